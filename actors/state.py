"""The state of an execution: what its events say of it.

The supervisor owns one of these and changes it with `evolve` alone, after the journal has the
event; a recovery, or a look at an ended execution, folds the same events into the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from actors.context import Context
from actors.events import (
    AttemptFailed,
    EndingStarted,
    ExecutionParked,
    Scalar,
    TaskStarted,
    TaskStopped,
    WaitStarted,
)
from actors.outcome import NULL, ErrorInfo, Outcome
from actors.paths import COMPENSATION, FINALLY, ROOT

MAX_VERSION: Final = 10**9
"""The greatest number that a version of a flow can have."""

ExecutionStatus = Literal[
    "pending",
    "running",
    "paused",
    "quarantined",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
]
"""How an execution stands.

``pending``: not recorded yet. ``paused``: no further task is started, one that runs goes on.
``quarantined``: not run any more, because it cannot be: the server ends when it runs, or its record
is damaged. ``cancelling``: asked to stop. The last three are ends.
"""


class Cancellation(msgspec.Struct):
    """That the execution was asked to stop, and the receipt: how each running task did.

    Attributes:
        requested_at: when: seconds since 1970-01-01 UTC.
        reason: why, in the words of whoever asked.
        tasks: the tasks that were running then, in the order in which they ended.
        by: who asked, as they said themselves.
    """

    requested_at: float
    reason: str | None
    tasks: tuple[TaskStopped, ...] = ()
    by: str | None = None


_NOTHING = Context()


class Fork(msgspec.Struct):
    """The scopes that a task of a scope opens: the branches of a parallel task, the items of a map.

    Attributes:
        task: the task's name.
        total: how many scopes there will have been in the end.
        items: what a map runs for, each as JSON; empty for a parallel task.
        binds: the name that an item has in its scope's context.
        scopes: the scopes by their path, in the order of their opening.
        attempt: the attempt of the task that opened them, or had them go on, last.
        following: the position of the item whose scope is to be opened next, and `ahead` those
            behind it that were opened before: in a rerun, what is kept of the other execution.
        succeeded: how many came to their end with a success, and `failed` with a failure.
        is_joined: whether what becomes of the task is decided.
        is_resumed: whether they go on in a further attempt: those that have begun come first then.
    """

    task: str
    total: int
    items: list[msgspec.Raw]
    binds: str | None
    attempt: int
    scopes: dict[str, ScopeState] = {}
    following: int = 0
    ahead: set[int] = set()
    succeeded: int = 0
    failed: int = 0
    is_joined: bool = False
    is_resumed: bool = False


@dataclass(slots=True, init=False)
class ScopeState:
    """What is known about one run of a body: the flow's own, or one that a task has opened.

    Attributes:
        current_task: the task that runs or ran last; "end" after the transition to the end.
        next_task: where the last transition leads, until that task is started: not yet, or not at
            all, if the execution is paused or has ended.
        stopped_task: the task whose attempt ended without an outcome (it was cancelled, or the
            server ended), or failed and is to be repeated, until it is started again.
        results: the last outcome of every task that has finished, in the order of finishing.
        visits: how often each task was started.
        running: how the attempt was started that has not ended; None if there is none.
        attempts: the number of the last attempt of each task's last visit.
        since: when the first attempt of the current visit began.
        failures: how many attempts of the current visit have failed.
        wait: what the scope waits for, while nothing of it runs.
        fork: the scopes that the current task has opened.
        outcome: how the scope ended; None while it has not, and for the execution's own.
        is_stopped: whether it was stopped before its end.
        is_busy: whether code of the scope's own runs, or is about to: none of a scope it opened.
    """

    current_task: str
    next_task: str | None
    stopped_task: str | None
    context: Context
    results: dict[str, Outcome]
    visits: dict[str, int]
    running: TaskStarted | None
    attempts: dict[str, int]
    since: float
    failures: int
    wait: WaitStarted | AttemptFailed | None
    fork: Fork | None
    outcome: Outcome | None
    is_stopped: bool
    is_busy: bool

    def __init__(self) -> None:
        self.current_task = ""
        self.next_task = None
        self.stopped_task = None
        self.context = _NOTHING
        self.results = {}
        self.visits = {}
        self.running = None
        self.attempts = {}
        self.since = 0.0
        self.failures = 0
        self.wait = None
        self.fork = None
        self.outcome = None
        self.is_stopped = False
        self.is_busy = False

    @property
    def is_open(self) -> bool:
        """Whether it has neither come to its end nor been stopped."""
        return self.outcome is None and not self.is_stopped

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it runs or waits, although it is open."""
        return self.is_open and self.running is None and self.wait is None


class Compensable(msgspec.Struct, frozen=True):
    """A finished task that is to be compensated if the execution does not complete.

    Attributes:
        name: what its compensation is called, in the scope of compensations: its task path, with
            the visit's number if that is not the first; and "#" with its own position among all
            compensable tasks if there is one of that name.
        scope: the path of its scope.
        task: its name there.
        context: the context behind it.
        outcome: how it finished.
    """

    name: str
    scope: str
    task: str
    context: Context
    outcome: Outcome


@dataclass(slots=True, init=False)
class ExecutionState(ScopeState):
    """What is known about an execution; also the state of its own scope.

    Attributes:
        seq: how many events made this state.
        runs_since: when it was started, or was last retried or otherwise had go on after its end.
        interruptions: how many attempts ended because the server did.
        metadata: what the execution can be looked up by.
        rerun_of: the execution that this one repeats.
        parent: the execution that this one is a sub-flow of, and `depth` how many it is inside of.
        has_failures: whether any task has failed.
        error: why the execution failed, and `error_task` where.
        scopes: all other scopes by their path.
        busy: how many scopes are busy.
        signals: the signals that no task has taken yet, by name, oldest first.
        signal_keys: the keys of all signals that were sent with one.
        compensable: finished tasks that are to be compensated, by the name of the compensation.
        ending: the beginning of the execution's end, if its end takes more than an event.
        output: what the flow makes of it, as JSON.
        parked: that it is parked, if that is what was recorded last.
    """

    flow_id: str
    flow_version: int
    status: ExecutionStatus
    seq: int
    started_at: float
    runs_since: float
    ended_at: float | None
    interruptions: int
    metadata: dict[str, Scalar]
    rerun_of: str | None
    parent: str | None
    depth: int
    has_failures: bool
    error: ErrorInfo | None
    error_task: str | None
    cancellation: Cancellation | None
    scopes: dict[str, ScopeState]
    busy: int
    signals: dict[str, list[msgspec.Raw]]
    signal_keys: set[str]
    compensable: dict[str, Compensable]
    ending: EndingStarted | None
    output: msgspec.Raw
    parked: ExecutionParked | None

    def __init__(self) -> None:
        ScopeState.__init__(self)  # a class with slots is another one than super() would find
        self.flow_id = ""
        self.flow_version = 0
        self.status = "pending"
        self.seq = 0
        self.started_at = 0.0
        self.runs_since = 0.0
        self.ended_at = None
        self.interruptions = 0
        self.metadata = {}
        self.rerun_of = None
        self.parent = None
        self.depth = 0
        self.has_failures = False
        self.error = None
        self.error_task = None
        self.cancellation = None
        self.scopes = {}
        self.busy = 0
        self.signals = {}
        self.signal_keys = set()
        self.compensable = {}
        self.ending = None
        self.output = NULL
        self.parked = None

    @property
    def has_ended(self) -> bool:
        """Whether the execution has ended; nothing changes it any more then."""
        return self.ended_at is not None

    @property
    def is_waiting(self) -> bool:
        """Whether any scope waits for something."""
        return any(scope.wait is not None for _, scope in self.all_scopes())

    def is_parked_until(self, due: float | None) -> bool:
        """Whether the last that was recorded is that it is parked until *due*."""
        return self.parked is not None and self.parked.due == due

    @property
    def is_ending_busy(self) -> bool:
        """Whether something that belongs to the end runs, waits, or is about to go on."""
        compensation, closing = self.scopes.get(COMPENSATION), self.scopes.get(FINALLY)
        is_compensating = compensation is not None and not compensation.is_idle
        return is_compensating or (closing is not None and closing.is_open)

    def scope(self, path: str) -> ScopeState:
        """Return the state of the scope *path*, which there is."""
        return self.scopes[path] if path else self

    def find(self, path: str) -> ScopeState | None:
        """Return the state of the scope *path*; None if there is none any more."""
        return self.scopes.get(path) if path else self

    def all_running(self) -> Iterator[tuple[str, TaskStarted]]:
        """Return how all attempts were started that have not ended, with the paths of scopes."""
        for path, scope in self.all_scopes():
            if scope.running is not None:
                yield path, scope.running

    def all_scopes(self) -> Iterator[tuple[str, ScopeState]]:
        """Return all scopes with their paths, the execution's own first."""
        yield ROOT, self
        yield from list(self.scopes.items())
