"""What a supervisor asks and tells the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.execution import ExecutionSupervisor


class SupervisorHooks:
    """What a supervisor asks and tells the engine; always in the event loop's thread."""

    @property
    def is_closing(self) -> bool:
        """Whether host tasks are cancelled because the engine closes."""
        return False

    def execution_cancelling(self, supervisor: ExecutionSupervisor) -> None:
        """The cancellation is recorded and the tasks have been told to stop."""

    def execution_idle(self, supervisor: ExecutionSupervisor) -> None:
        """Nothing of the execution runs, and nothing will before somebody asks for it."""

    def execution_ended(self, supervisor: ExecutionSupervisor) -> None:
        """The terminal event is recorded."""

    def host_closed(self, supervisor: ExecutionSupervisor) -> None:
        """No code of the execution is running any more."""

    def journal_failed(self, error: Exception) -> None:
        """The journal could not record what happened."""
