"""Brings back the executions that the last run of the engine has left unfinished."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import anyio
import msgspec

from actors.actor import Reply
from actors.events import Event, ExecutionStarted
from actors.execution import ExecutionSupervisor
from actors.plan import Plan
from actors.state import ExecutionState, fold
from flowmgr.errors import (
    EngineClosedError,
    ExecutionNotFoundError,
    FlowmgrError,
    InternalError,
    JournalError,
)
from flowmgr.flows import Flows
from flowmgr.journal.store import EVERYTHING, Store, Unfinished
from flowmgr.live import LiveExecutions, recorded

logger = logging.getLogger(__name__)

MAX_KILLS: Final = 5
"""An execution is quarantined when the engine has ended so often while it ran and came no further.
"""

SUSPECT: Final = 2
"""Recoveries that led to nothing after which an execution is recovered alone: if the engine ends
again, it is known which one it was.
"""

PROBATION: Final = 1.0
"""Seconds after which an execution that was recovered alone is not what ends the engine."""

CHUNK: Final = 500
"""Executions that are recovered together."""

RETRY_SECONDS: Final = 1.0
"""Pause before the journal is asked again after it has failed."""


class RecoveryProgress(msgspec.Struct):
    """How far the recovery has come.

    Attributes:
        unfinished: executions that had not ended when the engine was opened.
        recovered: of those, how many go on, wait as they did, or were ended.
        quarantined: of those, how many will not be run: they have ended the engine too often, or
            their record is damaged.
        stranded: why others cannot go on now, by id: an activity is not loaded. They stay as they
            are until the engine is opened with what they need.
        is_over: whether the recovery has dealt with all of them.
    """

    unfinished: int = 0
    recovered: int = 0
    quarantined: int = 0
    stranded: dict[str, str] = {}
    is_over: bool = False


class Recovery:
    """Takes executions from the journal: the unfinished ones after a start, others on demand."""

    def __init__(self, store: Store, flows: Flows, live: LiveExecutions) -> None:
        self.progress: Final = RecoveryProgress()
        self._store = store
        self._flows = flows
        self._live = live
        self._loading: dict[str, anyio.Event] = {}

    async def load(self, execution_id: str) -> ExecutionSupervisor:
        """Return the supervisor of an execution: the live one, or one made from the journal.

        What the last run of the engine has left unfinished goes on first.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionDamagedError: its record is damaged.
            FlowmgrError: it cannot go on.
        """
        while True:
            supervisor = self._live.get(execution_id)
            if supervisor is not None:
                return supervisor
            if execution_id not in self._loading:
                break
            await self._loading[execution_id].wait()
        self._loading[execution_id] = anyio.Event()
        try:
            events = await self._store.read_events(execution_id, 0, EVERYTHING)
            if not events:
                raise ExecutionNotFoundError(execution_id)
            supervisor, reply = await self._adopt(execution_id, events)
        finally:
            self._loading.pop(execution_id).set()
        await recorded(reply)
        return supervisor

    async def run(self) -> None:
        """Recover what is unfinished; the body of a task of the engine's.

        Cancelling it leaves the rest for the next start. A journal that fails is asked again.
        """
        while True:
            try:
                await self._recover(await self._store.list_unfinished())
            except EngineClosedError:
                return
            except JournalError:
                logger.exception("the recovery goes on in %s s", RETRY_SECONDS)
                await anyio.sleep(RETRY_SECONDS)
            else:
                break
        self.progress.is_over = True

    async def _recover(self, unfinished: Sequence[Unfinished]) -> None:
        progress = self.progress
        progress.unfinished = len(unfinished)
        progress.recovered = progress.quarantined = 0
        progress.stranded = {}
        waiting, together, alone, killers = _sorted(unfinished)
        progress.recovered += len(waiting)
        for first in range(0, len(together), CHUNK):
            await self._bring_back(together[first : first + CHUNK])
        for execution_id, recoveries in killers.items():
            logger.error(
                "execution %s is quarantined: the engine has ended %d times while it ran",
                execution_id,
                recoveries + 1,
            )
            await self._bring_back([execution_id], quarantined_after=recoveries)
        for execution_id in alone:
            await self._bring_back_alone(execution_id)

    async def _bring_back_alone(self, execution_id: str) -> None:
        await self._bring_back([execution_id])
        supervisor = self._live.get(execution_id)
        with anyio.move_on_after(PROBATION):
            if supervisor is not None:
                await supervisor.over()
        await self._store.forgive([execution_id])

    async def _bring_back(
        self, execution_ids: Iterable[str], quarantined_after: int | None = None
    ) -> None:
        wanted = [each for each in execution_ids if self._is_left(each)]
        for execution_id in wanted:
            self._loading[execution_id] = anyio.Event()
        replies: list[Reply[bool]] = []
        try:
            if quarantined_after is None:
                await self._store.count_recovery(wanted)
            histories = await self._store.read_histories(wanted)
            for execution_id, history in histories.items():
                reply = await self._try_to_adopt(execution_id, history, quarantined_after)
                replies += [reply] if reply is not None else []
        finally:
            for execution_id in wanted:
                self._loading.pop(execution_id).set()
        for reply in replies:
            try:
                await recorded(reply)
            except JournalError:
                raise
            except Exception:
                logger.exception("a bug in flowmgr ended an execution that was to be recovered")
            if quarantined_after is None:
                self.progress.recovered += 1
            else:
                self.progress.quarantined += 1

    def _is_left(self, execution_id: str) -> bool:
        """Whether nobody has asked for this one, and had it recovered so, already."""
        is_taken = self._live.get(execution_id) is not None or execution_id in self._loading
        self.progress.recovered += is_taken
        return not is_taken

    async def _try_to_adopt(
        self,
        execution_id: str,
        history: Sequence[Event] | Exception,
        quarantined_after: int | None,
    ) -> Reply[bool] | None:
        if isinstance(history, Exception):  # its record is damaged
            logger.error("%s", history)
            self.progress.quarantined += 1
            return None
        try:
            _, reply = await self._adopt(execution_id, history, quarantined_after)
        except (EngineClosedError, JournalError):
            raise
        except FlowmgrError as error:
            logger.error("execution %s cannot go on: %s", execution_id, error)  # noqa: TRY400
            self.progress.stranded[execution_id] = str(error)
            return None
        except Exception as error:
            logger.exception("execution %s cannot go on: a bug in flowmgr", execution_id)
            self.progress.stranded[execution_id] = f"a bug in flowmgr: {type(error).__name__}"
            return None
        return reply

    async def _adopt(
        self, execution_id: str, events: Sequence[Event], quarantined_after: int | None = None
    ) -> tuple[ExecutionSupervisor, Reply[bool]]:
        plan, state = await self._plan_and_state(execution_id, events)
        return self._live.adopt(execution_id, plan, state, quarantined_after)

    async def _plan_and_state(
        self, execution_id: str, events: Sequence[Event]
    ) -> tuple[Plan, ExecutionState]:
        started = events[0]
        if not isinstance(started, ExecutionStarted):
            msg = f"execution {execution_id} does not begin with its start"
            raise InternalError(msg)
        state = fold(events)
        return await self._flows.pinned_plan(started, state.flow_version), state


def _sorted(
    unfinished: Sequence[Unfinished],
) -> tuple[list[str], list[str], list[str], dict[str, int]]:
    """Return which wait, which go on together, which alone, and which have to be quarantined."""
    waiting: list[str] = []
    together: list[str] = []
    alone: list[str] = []
    killers: dict[str, int] = {}
    for each in unfinished:
        if each.status in {"paused", "quarantined"}:
            waiting.append(each.execution_id)
        elif each.recoveries + 1 >= MAX_KILLS:
            killers[each.execution_id] = each.recoveries
        elif each.recoveries >= SUSPECT:
            alone.append(each.execution_id)
        else:
            together.append(each.execution_id)
    return waiting, together, alone, killers
