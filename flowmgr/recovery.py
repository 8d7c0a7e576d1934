"""Brings back the executions that the last run of the engine has left unfinished."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from actors.actor import Reply
from actors.events import TERMINAL, Event, ExecutionParked, ExecutionStarted
from actors.evolving import fold
from actors.execution import ExecutionSupervisor
from actors.messages import CancelExecution, NotAllowedError
from actors.plan import Plan
from actors.recovery import given_up
from actors.state import ExecutionState
from actors.waits import Waits, earliest_due
from flowmgr.errors import (
    EngineClosedError,
    ExecutionNotFoundError,
    FlowmgrError,
    InternalError,
    JournalError,
    KeyDamagedError,
)
from flowmgr.flows import Flows
from flowmgr.journal.store import EVERYTHING, Store, Unfinished
from flowmgr.live import LiveExecutions, recorded
from flowmgr.subflows import child_key
from flowmgr.timers import Timers
from flowmgr.triage import MAX_APART_FIRST, SUSPECT, kills, triage

logger = logging.getLogger(__name__)

PROBATION: Final = 1.0
"""Seconds after which what was recovered apart from others is not what ends the engine."""

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
        stranded: why others cannot go on now, by id: an activity is not loaded, or what they need
            of the journal is damaged. They stay as they are until the engine is opened with it.
        is_over: whether the recovery has dealt with all of them.
    """

    unfinished: int = 0
    recovered: int = 0
    quarantined: int = 0
    stranded: dict[str, str] = {}
    is_over: bool = False


class Recovery:
    """Takes executions from the journal: the unfinished ones after a start, others on demand."""

    def __init__(self, store: Store, flows: Flows, live: LiveExecutions, timers: Timers) -> None:
        self.progress: Final = RecoveryProgress()
        self.suspects: Final[dict[str, int]] = {}  # parked ones, and how often they were recovered
        self.paused: Final[set[str]] = set()  # those that are taken up when they are due
        self._timers = timers
        self._store = store
        self._flows = flows
        self._live = live
        self._loading: dict[str, anyio.Event] = {}
        self._asleep: set[str] = set()  # parked ones that count as recovered; their timers are set
        self._parents: list[str] = []  # to be taken up once their sub-flows are stopped

    async def load(self, execution_id: str) -> ExecutionSupervisor:
        """Return the supervisor of an execution: the live one, or one made from the journal.

        What the last run of the engine has left unfinished goes on first: what is recorded about
        that is on its way to the journal, and what is asked of the supervisor is handled behind it.

        Raises:
            ExecutionNotFoundError: there is none with this id.
            ExecutionDamagedError: its record is damaged.
            FlowmgrError: it cannot go on.
        """
        supervisor, reply = await self._load(execution_id)
        if reply is not None and reply.is_given:
            await recorded(reply)
        return supervisor

    async def _load(
        self, execution_id: str, *, is_counted: bool = False
    ) -> tuple[ExecutionSupervisor, Reply[bool] | None]:
        """Do what `load` does; return also what is given when that is recorded, unless it was.

        It is a recovery as well, and counted unless it *is_counted*: or what is asked for at once
        after each start could end the engine as often as it is.
        """
        while True:
            supervisor = self._live.get(execution_id)
            if supervisor is not None:
                return supervisor, None
            if execution_id not in self._loading:
                break
            await self._loading[execution_id].wait()
        self._loading[execution_id] = anyio.Event()
        is_to_be_counted = not (is_counted or self.progress.is_over)  # now: `run` leaves it out
        try:
            events = await self._store.read_events(execution_id, 0, EVERYTHING)
            if not events:
                raise ExecutionNotFoundError(execution_id)
            plan, state = await self._plan_and_state(execution_id, events)
            await self._stop_children(execution_id, plan, state)
            if is_to_be_counted and not state.has_ended:
                await self._store.count_recovery([execution_id])
            adopted = self._live.adopt(execution_id, plan, state)
            self.paused.discard(execution_id)
            return adopted
        finally:
            self._loading.pop(execution_id).set()

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
        self._live.watches.look_again()

    async def _recover(self, unfinished: Sequence[Unfinished]) -> None:
        progress = self.progress
        progress.unfinished = len(unfinished)
        progress.recovered = progress.quarantined = 0
        progress.stranded = {}
        found = triage(unfinished)
        progress.recovered += found.waiting
        for each in reversed(found.killers):  # sub-flows first: what is around them takes them up
            goes_on = each.status == "cancelling"
            logger.error(
                "execution %s is %s: the engine has ended %d times while it ran",
                each.execution_id,
                "cancelled without what ran last of its end" if goes_on else "quarantined",
                kills(each),
            )
            await self._bring_back([each.execution_id], each)
        # Before any other runs, of which one that has come further each time may end the engine.
        for group in found.apart[:MAX_APART_FIRST]:
            await self._bring_back_apart(group)
        await self._set_timers(found.parked)
        for first in range(0, len(found.together), CHUNK):
            await self._bring_back(found.together[first : first + CHUNK])
        for group in found.apart[MAX_APART_FIRST:]:
            await self._bring_back_apart(group)
        await self._set_timers_of_paused(found.paused)

    async def _set_timers(self, parked: Sequence[Unfinished]) -> None:
        """Have parked executions taken up when they are due; nothing of them is read before."""
        for first in range(0, len(parked), CHUNK):
            await checkpoint()
            for each in parked[first : first + CHUNK]:
                execution_id, due = each.execution_id, each.due
                is_newer_known = self._timers.due(execution_id) is not None
                if due is None or is_newer_known or self.is_taken(execution_id):
                    continue
                if each.recoveries >= SUSPECT:
                    self.suspects[execution_id] = each.recoveries
                self._timers.set(execution_id, due)
                self._asleep.add(execution_id)
        self.progress.recovered += len(parked)

    async def _set_timers_of_paused(self, paused: Sequence[str]) -> None:
        """Have paused executions taken up when they are due, and not before.

        A pause stops neither the time of a flow nor what a task waits for.
        """
        for first in range(0, len(paused), CHUNK):
            histories = await self._store.read_histories(paused[first : first + CHUNK])
            for execution_id, history in histories.items():
                due = await self._due_of_paused(execution_id, history)
                is_newer_known = self._timers.due(execution_id) is not None
                if due is not None and not is_newer_known and not self.is_taken(execution_id):
                    self.paused.add(execution_id)
                    self._timers.set(execution_id, due)

    async def _due_of_paused(
        self, execution_id: str, history: Sequence[Event] | Exception
    ) -> float | None:
        """Return when something happens in a paused execution; None for never, or if it is not."""
        if isinstance(history, Exception):
            return None
        try:
            plan, state = await self._plan_and_state(execution_id, history)
        except JournalError:
            raise
        except Exception:  # noqa: BLE001 - whoever has it go on is told
            return None
        waits = Waits()
        waits.add_all(state)
        return earliest_due(plan, state, waits) if state.status == "paused" else None

    async def take_up_paused(self, execution_ids: Sequence[str]) -> None:
        """Take up paused executions, which look then at what is due.

        Raises:
            EngineClosedError: the engine is stopping.
            JournalError: the journal cannot be read, or not written to.
        """
        for execution_id in execution_ids:
            try:
                with self._live.asking(execution_id):  # or it would stay, if it has ended since
                    await self.load(execution_id)
            except (EngineClosedError, JournalError):
                raise
            except Exception:
                logger.exception("execution %s cannot go on", execution_id)

    async def _bring_back_apart(self, execution_ids: Sequence[str]) -> None:
        await self._bring_back(execution_ids)
        await self.watch_over(execution_ids)

    async def watch_over(self, execution_ids: Sequence[str]) -> None:
        """Wait for the probation of what was taken up apart from others, and forgive it then.

        Cancelling this leaves the counts as they are.

        Raises:
            EngineClosedError: the engine is stopping; so it leaves them as well.
            JournalError: the journal cannot be written to.
        """
        await self.loaded(execution_ids)  # somebody else may be taking one up
        supervisors = [self._live.get(each) for each in execution_ids]
        with anyio.move_on_after(PROBATION):
            for supervisor in supervisors:
                if supervisor is not None:
                    await supervisor.over()
        self._live.check_open()  # what it has stopped to end has not shown anything
        await self._store.forgive(execution_ids)

    async def _bring_back(
        self, execution_ids: Iterable[str], killer: Unfinished | None = None
    ) -> None:
        wanted: list[str] = []
        for execution_id in execution_ids:
            if self.is_taken(execution_id):  # somebody has asked for it, which has recovered it
                self.progress.recovered += 1
            else:
                wanted.append(execution_id)
        replies = await self.take_up(wanted, None if killer is None else killer.recoveries)
        await self._bring_back_parents()
        for reply in replies:
            try:
                await recorded(reply)
            except JournalError:
                raise
            except Exception:
                logger.exception("a bug in flowmgr ended an execution that was to be recovered")
            if killer is None or killer.status == "cancelling":
                self.progress.recovered += 1
            else:
                self.progress.quarantined += 1

    async def _bring_back_parents(self) -> None:
        """Bring back the executions that were left out because sub-flows are to be stopped."""
        while self._parents:
            execution_id = self._parents.pop()
            try:
                with self._live.asking(execution_id):  # or it would stay, if it has ended since
                    _, reply = await self._load(execution_id, is_counted=True)
                if reply is not None:
                    await recorded(reply)
            except (EngineClosedError, JournalError):
                raise
            except KeyDamagedError as error:
                self._strand(execution_id, error)
                continue
            except Exception:
                logger.exception("execution %s cannot go on", execution_id)
            self.progress.recovered += 1

    async def _stop_children(self, execution_id: str, plan: Plan, state: ExecutionState) -> None:
        """Cancel the sub-flows that the last run of the engine had no time to cancel.

        That is recorded when this returns, so their parent may forget them. One that cannot be
        taken up is cancelled by its parent's task, which goes on and waits until it can be.

        Raises:
            KeyDamagedError: it is not known which one is to be cancelled.
        """
        for started in given_up(plan, state, self._timers.now()):
            key = child_key(state, started)
            found = await self._store.find_start(execution_id, key, 0.0)
            if found is not None:
                await self._stop_child(found[0], execution_id)

    async def _stop_child(self, execution_id: str, parent: str) -> None:
        request = partial(
            CancelExecution, by="flowmgr", reason=f"execution {parent} has stopped its task"
        )
        with self._live.asking(execution_id):
            try:
                supervisor = await self.load(execution_id)
                await self._live.ask(supervisor, lambda reply: request(reply=reply))
            except NotAllowedError:
                return  # it has ended by itself
            except (EngineClosedError, JournalError):
                raise
            except FlowmgrError as error:
                logger.error("execution %s is not stopped: %s", execution_id, error)  # noqa: TRY400

    async def take_up(
        self,
        execution_ids: Sequence[str],
        quarantined_after: int | None = None,
        *,
        only_parked: bool = False,
    ) -> list[Reply[bool]]:
        """Take executions from the journal, none of which is taken already.

        That is counted first: a count that is not set back means that the engine has ended
        meanwhile. Cancelling it leaves the rest in the journal. What cannot go on is logged.

        Args:
            execution_ids: the executions.
            quarantined_after: after how many recoveries they are quarantined instead of going on,
                which is not counted; None to have them go on.
            only_parked: leave those out that are not parked any more.

        Returns:
            For each that goes on, the reply that is given when what follows in it is recorded.

        Raises:
            EngineClosedError: the engine is stopping.
            JournalError: the journal cannot be read, or not written to.
        """
        self._live.check_open()  # what is stopped on the way is not to be blamed for it
        for execution_id in execution_ids:
            self._loading[execution_id] = anyio.Event()
        replies: list[Reply[bool]] = []
        try:
            if quarantined_after is None:
                await self._store.count_recovery(execution_ids)
            histories = await self._store.read_histories(execution_ids)
            for execution_id, history in histories.items():
                if only_parked and not _is_parked(history):
                    continue
                reply = await self._try_to_adopt(execution_id, history, quarantined_after)
                replies += [reply] if reply is not None else []
        finally:
            for execution_id in execution_ids:
                self._loading.pop(execution_id).set()
        return replies

    def is_taken(self, execution_id: str) -> bool:
        """Whether an execution is live, or about to be."""
        return self._live.get(execution_id) is not None or execution_id in self._loading

    async def loaded(self, execution_ids: Sequence[str]) -> None:
        """Wait while any of these executions is about to be live: then each is, or cannot be."""
        loading = self._loading
        while events := [loading[each] for each in execution_ids if each in loading]:
            await events[0].wait()

    async def _try_to_adopt(
        self,
        execution_id: str,
        history: Sequence[Event] | Exception,
        quarantined_after: int | None,
    ) -> Reply[bool] | None:
        was_asleep = execution_id in self._asleep
        self._asleep.discard(execution_id)
        if isinstance(history, Exception):  # its record is damaged
            logger.error("%s", history)
            self.progress.quarantined += 1
            self.progress.recovered -= was_asleep
            self._live.watches.lost(execution_id)
            return None
        if not history or isinstance(history[-1], TERMINAL):
            # It has ended since it was listed: somebody has asked for it, and may have deleted it.
            self.progress.recovered += 1
            return None
        try:
            plan, state = await self._plan_and_state(execution_id, history)
            if quarantined_after is None and any(given_up(plan, state, self._timers.now())):
                self._parents.append(execution_id)  # which waits for others: not among these
                return None
            _, reply = self._live.adopt(execution_id, plan, state, quarantined_after)
        except (EngineClosedError, JournalError):
            raise
        except FlowmgrError as error:
            self._strand(execution_id, error)
        except Exception as error:
            logger.exception("execution %s cannot go on: a bug in flowmgr", execution_id)
            self.progress.stranded[execution_id] = f"a bug in flowmgr: {type(error).__name__}"
        else:
            return reply
        self.progress.recovered -= was_asleep
        return None

    def _strand(self, execution_id: str, error: FlowmgrError) -> None:
        logger.error("execution %s cannot go on: %s", execution_id, error)
        self.progress.stranded[execution_id] = str(error)

    async def _plan_and_state(
        self, execution_id: str, events: Sequence[Event]
    ) -> tuple[Plan, ExecutionState]:
        started = events[0]
        if not isinstance(started, ExecutionStarted):
            msg = f"execution {execution_id} does not begin with its start"
            raise InternalError(msg)
        state = fold(events)
        return await self._flows.pinned_plan(started, state.flow_version), state


def _is_parked(history: Sequence[Event] | Exception) -> bool:
    """Whether an execution is parked by its history; one that is damaged has to be reported."""
    if isinstance(history, Exception):
        return True
    return bool(history) and isinstance(history[-1], ExecutionParked)
