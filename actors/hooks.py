"""What a supervisor asks and tells the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.ports import Clock, Journal

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

    def is_wanted(self, supervisor: ExecutionSupervisor) -> bool:
        """Whether somebody is about to ask something of the execution: it is not parked now.

        When nobody is any more, the supervisor is sent `WakeUp`, and can look again.
        """
        del supervisor
        return False

    def wake_at(self, supervisor: ExecutionSupervisor, due: float | None) -> None:
        """Send the supervisor `WakeUp` when *due* has come, for which something in it waits.

        It stays live meanwhile. Each call takes the place of the one before.

        Args:
            supervisor: the execution's.
            due: the first instant at which something is due: seconds since 1970-01-01 UTC; None if
                nothing is any more.
        """

    def execution_parked(self, supervisor: ExecutionSupervisor, due: float | None) -> None:
        """It is recorded that nothing of the execution runs: all of it waits, or is in quarantine.

        The supervisor is retired and forgotten. When *due* has come, or somebody asks something of
        the execution, it is taken up again from the journal, by another supervisor.

        Args:
            supervisor: the execution's.
            due: the first instant at which something is due: seconds since 1970-01-01 UTC; None if
                only what somebody asks can make it go on.
        """

    def execution_idle(self, supervisor: ExecutionSupervisor) -> None:
        """Nothing of the execution runs, and nothing will before somebody asks for it."""

    def execution_ended(self, supervisor: ExecutionSupervisor) -> None:
        """The terminal event is recorded."""

    def host_closed(self, supervisor: ExecutionSupervisor) -> None:
        """No code of the execution is running any more."""

    def has_abandoned_all(self, supervisor: ExecutionSupervisor, subflows: int) -> bool:
        """Whether the sub-flows have ended that this many running tasks wait for.

        Then the tasks wait for code only that has not stopped within a grace.
        """
        del supervisor
        return not subflows

    def journal_failed(self, error: Exception) -> None:
        """The journal could not record what happened."""

    def host_again(self, supervisor: ExecutionSupervisor) -> None:
        """The execution needs another host: the one it had was cancelled, and its end follows."""


class Surroundings(msgspec.Struct, frozen=True):
    """What all supervisors of an engine share.

    Attributes:
        journal: where they record what happens.
        clock: where the time comes from.
        grace: seconds that a cancelled attempt has for its clean-up.
        hooks: the engine.
    """

    journal: Journal
    clock: Clock
    grace: float
    hooks: SupervisorHooks
