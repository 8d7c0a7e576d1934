"""Deliberate bugs, put into the product from outside: would the checker notice?"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from actors import execution
from actors.events import (
    AttemptInterrupted,
    CancelRequested,
    Event,
    ExecutionCompleted,
    TaskStarted,
)
from actors.execution import ExecutionSupervisor
from actors.messages import CancelExecution, OperatorRequest
from actors.plan import Plan
from actors.ports import Batch, StartKey
from actors.recovery import recover
from actors.state import ExecutionState
from flowmgr.journal.sqlite import chain, recorder
from flowmgr.journal.sqlite.journal import SqliteJournal
from flowmgr.journal.sqlite.position import PositionKeeper
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.rows import KeyRow
from flowmgr.journal.sqlite.work import Answer, Append
from flowmgr.journal.sqlite.writer import Writer
from flowmgr.recovery import Recovery
from tests.crash.points import replace

Events = tuple[Event, ...]

ANSWER_SECONDS = 0.01
"""Time for an answer to reach a client before the commit that it was to wait for."""


def _skip_commits() -> None:
    count = itertools.count(1)
    commit = Writer._commit

    def skipping(writer: Writer) -> None:
        if next(count) % 20:
            commit(writer)
        else:
            if writer._connection.in_transaction:
                writer._connection.execute("ROLLBACK")
            writer._recorder._values.clear()
            writer._recorder.committed()

    replace(Writer, "_commit", skipping)


def _answer_starts_before_commit() -> None:
    apply = Writer._apply

    def hasty(writer: Writer, group: Sequence[Any]) -> list[Answer]:
        answers = apply(writer, group)
        starts = [isinstance(work, Append) and work.batch.first_seq == 1 for work in group]
        writer._deliver(list(itertools.compress(answers, starts)))
        time.sleep(ANSWER_SECONDS * any(starts))
        return [answer for answer, is_start in zip(answers, starts, strict=True) if not is_start]

    replace(Writer, "_apply", hasty)


def _lose_answers() -> None:
    count = itertools.count(1)
    deliver = Writer._deliver

    def losing(writer: Writer, answers: Sequence[Answer]) -> None:
        deliver(writer, [answer for answer in answers if next(count) % 30])

    replace(Writer, "_deliver", losing)


def _break_chain() -> None:
    link = chain.link

    def unchained(_: int, *rest: Any) -> int:
        return link(0, *rest)

    replace(chain, "link", unchained)
    replace(recorder, "link", unchained)


def _leave_list() -> None:
    update = Recorder._update

    def forgetting(self: Recorder, *args: Any) -> None:
        if args[-1].summary.ended_at is None:
            update(self, *args)

    replace(Recorder, "_update", forgetting)


def _run_ahead_with_position() -> None:
    moved_to = PositionKeeper.moved_to

    def ahead(keeper: PositionKeeper, position: int) -> None:
        moved_to(keeper, position + 1000)

    replace(PositionKeeper, "moved_to", ahead)


def _forget_keys() -> None:
    columns = "scope, key, fingerprint, execution, execution_id, expires_at, crc"
    insert = f"INSERT OR REPLACE INTO start_key ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"

    def take(self: Recorder, key: StartKey, batch: Batch, number: int) -> None:
        row = KeyRow(
            key.scope, key.key, key.fingerprint, number, batch.execution_id, key.expires_at
        )
        self.connection.execute(insert, row.values())

    async def find(*_: Any) -> None:
        return None

    replace(Recorder, "_take_key", take)
    replace(SqliteJournal, "find_start", find)


# The runtime.


def _cancel_without_record() -> None:
    ask = ExecutionSupervisor._operator_request

    def forgetful(supervisor: ExecutionSupervisor, message: OperatorRequest) -> None:
        state = supervisor.state
        if isinstance(message, CancelExecution) and state.status == "running":
            seq = state.seq
            supervisor._apply((CancelRequested(at=supervisor._clock.now()),))
            state.seq = seq
            message.reply.give(answer=True)
        else:
            ask(supervisor, message)

    replace(ExecutionSupervisor, "_operator_request", forgetful)


def _end_twice() -> None:
    record = ExecutionSupervisor.record

    def twice(supervisor: ExecutionSupervisor, events: Events, **rest: Any) -> None:
        last = events[-1]
        record(supervisor, (*events, last) if type(last) is ExecutionCompleted else events, **rest)

    replace(ExecutionSupervisor, "record", twice)


def _run_before_record() -> None:
    record, run = ExecutionSupervisor.record, ExecutionSupervisor._run_task

    def eager(supervisor: ExecutionSupervisor, events: Events, **rest: Any) -> None:
        if isinstance(events[-1], TaskStarted):
            run(supervisor, events[-1])
        record(supervisor, events, **rest)

    replace(ExecutionSupervisor, "record", eager)
    replace(ExecutionSupervisor, "_run_task", lambda *_: None)


# Recovery.


def _recovering(
    otherwise: Callable[[Plan, ExecutionState, str, float], Events],
) -> Callable[[], None]:
    return lambda: replace(execution, "recover", otherwise)


def _rerun_finished(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    events = recover(plan, state, execution_id, at)
    if state.status != "running" or not state.results:
        return events
    task = next(reversed(state.results))
    visit, attempt = state.visits[task], state.attempts.get(task, 0) + 1
    again = TaskStarted(at=at, task=task, visit=visit, attempt=attempt)
    return (*(each for each in events if isinstance(each, AttemptInterrupted)), again)


def _ignore_cancelling(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    if state.status == "cancelling":
        state.status, state.cancellation = "running", None
    return recover(plan, state, execution_id, at)


def _repeat_at_most_once(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    tasks = {
        name: msgspec.structs.replace(task, at_most_once=False) for name, task in plan.tasks.items()
    }
    return recover(msgspec.structs.replace(plan, tasks=tasks), state, execution_id, at)


def _repeat_attempt(plan: Plan, state: ExecutionState, execution_id: str, at: float) -> Events:
    return tuple(
        msgspec.structs.replace(event, attempt=event.attempt - 1)
        if isinstance(event, TaskStarted) and event.attempt > 1
        else event
        for event in recover(plan, state, execution_id, at)
        if not isinstance(event, AttemptInterrupted)
    )


def _forget_one() -> None:
    bring_back = Recovery._bring_back

    async def forgetful(recovery: Recovery, ids: Iterable[str], *rest: Any, **named: Any) -> None:
        await bring_back(recovery, list(ids)[1:], *rest, **named)

    replace(Recovery, "_bring_back", forgetful)


def _count_no_recovery() -> None:
    async def count(*_: Any) -> None:
        return None

    replace(SqliteJournal, "count_recovery", count)


class Mutant(NamedTuple):
    """A bug.

    Attributes:
        install: puts it into this process.
        rules: those that the checker finds broken: one of them at least.
        point: the crash point that shows it; None if any moment does.
        flows: the only ones that are run; any if there are none.
    """

    install: Callable[[], None]
    rules: frozenset[str]
    point: str | None = None
    flows: tuple[str, ...] = ()


def _mutant(
    install: Callable[[], None], *rules: str, point: str | None = None, flows: Sequence[str] = ()
) -> Mutant:
    return Mutant(install, frozenset(rules), point, tuple(flows))


MUTANTS: dict[str, Mutant] = {
    "a commit is skipped": _mutant(_skip_commits, "server", "lost", "answer"),
    "answered before the commit": _mutant(
        _answer_starts_before_commit, "lost", point="keyed start not committed"
    ),
    # Behind its end, an execution is shown as running for ever, although it is recorded as ended.
    "an answer is lost": _mutant(_lose_answers, "liveness", "answer", "view"),
    "the chain is not advanced": _mutant(_break_chain, "checksum"),
    "the list is not updated": _mutant(_leave_list, "list", "liveness"),
    "the position runs ahead": _mutant(_run_ahead_with_position, "server"),
    "keys are not unique": _mutant(_forget_keys, "started twice", "key"),
    "a cancel is not recorded": _mutant(
        _cancel_without_record, "history", "change", "cancel", point="receipt not committed"
    ),
    "an end is recorded twice": _mutant(_end_twice, "history"),
    "a task runs before it is recorded": _mutant(
        _run_before_record, "attempt", point="before commit"
    ),
    "a finished task runs again": _mutant(_recovering(_rerun_finished), "history", "ran again"),
    "recovery ignores a cancel": _mutant(
        _recovering(_ignore_cancelling), "history", "cancel", point="cancel committed"
    ),
    "at most once is repeated": _mutant(
        _recovering(_repeat_at_most_once), "at most once", flows=["once"]
    ),
    "an attempt is not numbered": _mutant(_recovering(_repeat_attempt), "history", "attempt"),
    "one is not recovered": _mutant(_forget_one, "liveness"),
    "recoveries are not counted": _mutant(_count_no_recovery, "poison"),
}
"""The bugs by what is wrong. The last one shows only where an execution ends the server."""
