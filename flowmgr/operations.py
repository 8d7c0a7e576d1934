"""What can be done to executions that were started."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.actor import Reply
from actors.execution import ExecutionSupervisor
from actors.messages import (
    CancelExecution,
    EndedMeanwhileError,
    NotAllowedError,
    OperatorRequest,
    PauseExecution,
    ResumeExecution,
    RetryExecution,
    SendSignal,
    SkipTask,
)
from actors.outcome import NULL
from flowmgr.errors import ExecutionEndedError, ExecutionNotFoundError, ExecutionStateError
from flowmgr.executions import Execution, view
from flowmgr.signals import checked_signal, encoded_as_json
from flowmgr.starts import check_asker, check_key
from flowmgr.views import Views

logger = logging.getLogger(__name__)


class Operations(Views):
    """Shows executions that were started, waits for them, and changes them.

    Whoever changes one can say who they are (*by*) and why (*reason*); both are recorded. Every
    change is as durable as the journal when the call returns, and none is undone by cancelling the
    call. All that ask for a change raise, beside what their own text says:

    * InputError: *by* or *reason* is not text that JSON can hold.
    * ExecutionNotFoundError: there is no execution with this id.
    * ExecutionDamagedError: its record in the journal is damaged.
    * ExecutionStateError: its status does not allow this; the message says which ones do.
    * EngineBusyError: too many requests of this execution wait for the journal already.
    * EngineClosedError: the engine is stopping.
    * JournalUnavailableError: the request could not be recorded.
    """

    async def cancel(
        self,
        execution_id: str,
        *,
        by: str | None = None,
        reason: str | None = None,
        wait: float = 0.0,
    ) -> Execution:
        """Cancel an execution and wait, at most *wait* seconds, until nothing of it is running.

        Cancelling it again is the same as once: the first request and its reason stand.

        Returns:
            The execution: cancelling, or cancelled with the receipt.

        Raises:
            ExecutionEndedError: it has completed or failed.
        """
        check_asker(by, reason)
        if self._live.get(execution_id) is None:
            execution = await self.get(execution_id)
            if execution.status == "cancelled":
                return execution
        return await self._ask(execution_id, partial(CancelExecution, by=by, reason=reason), wait)

    async def pause(
        self, execution_id: str, *, by: str | None = None, reason: str | None = None
    ) -> Execution:
        """Start no further task of a running execution; what runs goes on to its end."""
        check_asker(by, reason)
        return await self._ask(execution_id, partial(PauseExecution, by=by, reason=reason))

    async def resume(
        self, execution_id: str, *, by: str | None = None, reason: str | None = None
    ) -> Execution:
        """Have an execution go on that was paused, or that is in quarantine.

        One whose record is damaged stays there.
        """
        check_asker(by, reason)
        return await self._ask(execution_id, partial(ResumeExecution, by=by, reason=reason))

    async def retry(
        self,
        execution_id: str,
        *,
        version: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Have an execution that has failed or was cancelled go on, from the task it ended in.

        What has finished stays finished, and the history goes on.

        Args:
            execution_id: the execution.
            version: the version of the flow to go on with; the one that it ran if None.
            by: who asks.
            reason: why.

        Raises:
            FlowNotFoundError: the flow has no such version.
        """
        check_asker(by, reason)
        plan = None
        if version is not None:
            plan = await self._plan_for(await self._history(execution_id), version)
        request = partial(RetryExecution, by=by, reason=reason, plan=plan)
        return await self._ask(execution_id, request)

    async def skip(
        self,
        execution_id: str,
        *,
        task: str | None = None,
        result: Any = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Give a task a result instead of running it, and go on behind it.

        It is one that waits, or has failed, or that a paused execution comes to next.

        Args:
            execution_id: the execution.
            task: the task's name, or its path if several tasks have this name or can be skipped;
                None if there is only one that can.
            result: what it is to have returned: a value that JSON can hold.
            by: who asks.
            reason: why.

        Raises:
            InputError: the result is not JSON.
        """
        check_asker(by, reason)
        encoded = encoded_as_json(result, "result")
        request = partial(SkipTask, by=by, reason=reason, task=task, result=encoded)
        return await self._ask(execution_id, request)

    async def signal(
        self,
        execution_id: str,
        name: str,
        value: Any = None,
        *,
        key: str | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Execution:
        """Send an execution a signal: a task that waits for it takes it, or the first that will.

        Args:
            execution_id: the execution.
            name: the signal's name: one that a task of the flow waits for.
            value: what the task is to have for its result: a value that JSON can hold.
            key: an idempotency key: a further signal with the same one changes nothing.
            by: who sends it.
            reason: why.

        Returns:
            The execution; with `is_replay` if a signal with the same key was sent before.

        Raises:
            SignalError: the flow has no such signal, or it does not take this value.
            InputError: the key cannot be one.
            ExecutionEndedError: it has ended.
        """
        check_key(key)
        check_asker(by, reason)
        with self._live.asking(execution_id):
            supervisor = await self._supervisor(execution_id)
            if supervisor.state.has_ended:  # which is refused, or had a signal with this key
                encoded = NULL
            else:
                encoded = checked_signal(supervisor.plan, name, value)
            request = partial(SendSignal, by=by, reason=reason, name=name, value=encoded, key=key)
            is_received = await self._asked(supervisor, request)
        return replace(view(execution_id, supervisor.state), is_replay=not is_received)

    async def delete(
        self, execution_id: str, *, by: str | None = None, reason: str | None = None
    ) -> None:
        """Delete an ended execution and all that is recorded of it, or one that is damaged.

        A sub-flow is kept for as long as the execution around it has not ended. That somebody
        did so is left in the log only.
        """
        if not await self._store.delete_executions([execution_id]):
            summary = await self._store.get_execution(execution_id)
            if summary is None:
                raise ExecutionNotFoundError(execution_id)
            why = "only completed, failed and cancelled executions can be deleted"
            if summary.ended_at is not None:
                why = "it is a sub-flow, and can be deleted when the execution around it has ended"
            raise ExecutionStateError(f"Execution '{execution_id}' is {summary.status}; {why}")
        logger.info("execution %s was deleted by %r: %r", execution_id, by, reason)

    async def _ask(
        self,
        execution_id: str,
        request: Callable[..., OperatorRequest],
        wait: float = 0.0,
    ) -> Execution:
        with self._live.asking(execution_id):
            while True:
                supervisor = await self._supervisor(execution_id)
                try:
                    await self._asked(supervisor, request)
                except EndedMeanwhileError:
                    continue
                break
        if wait > 0:
            return await self._over(supervisor, wait)
        return view(execution_id, supervisor.state)

    async def _asked(
        self, supervisor: ExecutionSupervisor, request: Callable[..., OperatorRequest]
    ) -> bool:
        """Ask something of an execution, and return whether there was anything to record for it."""

        def addressed(reply: Reply[bool]) -> OperatorRequest:
            return request(reply=reply)

        try:
            return await self._live.ask(supervisor, addressed)
        except NotAllowedError as error:
            msg = f"Execution '{supervisor.execution_id}' {error}"
            kind = ExecutionEndedError if supervisor.state.has_ended else ExecutionStateError
            raise kind(msg) from error
