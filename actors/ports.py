"""What the runtime asks of the world around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from actors.context import Context
from actors.events import Event, TaskStarted
from actors.outcome import StopKind

Acknowledge = Callable[[Exception | None], None]
"""Called in the event loop's thread: with None when a batch is durable, or with why it is not.

A `NotRecordedError` says that nothing has been recorded, and that the journal goes on; only a batch
that asks for something is answered so. A `LostError` says that this execution cannot go on, and the
others do. With any other error the journal is broken.
"""


class NotRecordedError(Exception):
    """The journal has not recorded what was asked for, so it did not happen."""


class KeyTakenError(NotRecordedError):
    """Another start has this key.

    Attributes:
        execution_id: the execution that it has started.
        fingerprint: what was asked for then.
    """

    def __init__(self, execution_id: str, fingerprint: str) -> None:
        super().__init__(f"execution {execution_id} was started with this key")
        self.execution_id = execution_id
        self.fingerprint = fingerprint


class LostError(Exception):
    """The journal has lost an execution, damaged or deleted: nothing more is recorded of it."""


class StartKey(msgspec.Struct, frozen=True):
    """What makes one of several equal requests to start an execution the only one that does.

    Attributes:
        scope: what the key belongs to: the flow, or the execution that is repeated, or around it.
        key: the key, as the client has chosen it.
        fingerprint: what is asked for; other requests must not use the key.
        expires_at: when the key may be used again: seconds since 1970-01-01 UTC.
    """

    scope: str
    key: str
    fingerprint: str
    expires_at: float


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Events of one execution that become durable together, or not at all.

    Attributes:
        execution_id: whose events these are.
        first_seq: the position of the first event in the execution's log, from 1. A journal
            refuses a batch that does not continue the log it has.
        events: the events, in order.
        is_request: whether this is what somebody asks for, and who asks can be told that it could
            not be recorded. Otherwise it is what has happened, and is recorded as soon as it can
            be, however long that takes.
        key: recorded with the first batch, or else neither is.
    """

    execution_id: str
    first_seq: int
    events: tuple[Event, ...]
    is_request: bool = False
    key: StartKey | None = None


class Journal(Protocol):
    """Where the runtime records what happens. Reading back is the engine's business."""

    def append(self, batch: Batch, acknowledge: Acknowledge) -> None:
        """Make *batch* durable, then call *acknowledge* exactly once.

        Not a coroutine: no task waits for it, so cancelling one never leaves the fate of a batch
        unknown. *acknowledge* may be called before this returns (the in-memory journal does).
        Batches of one execution become durable in the order in which they were appended.
        """


class Clock(Protocol):
    """The time, so that tests can make their own."""

    def now(self) -> float:
        """Return the wall-clock time, seconds since 1970-01-01 UTC: for records, not durations."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps back. For durations."""


class Attempt(msgspec.Struct):
    """One attempt of a task: what an activity runner is given.

    Attributes:
        execution_id: the execution it belongs to.
        started: the attempt, as it is recorded.
        context: the values that the execution has so far.
        grace: seconds that a cancelled attempt has for its clean-up.
        stop_kind: how the attempt stopped, if it was cancelled; a runner that stops it in another
            way than at a checkpoint says so here before it lets the cancellation through.
        arguments: what the task is to be run with, a value of the runner's own; UNSET if the flow
            says nothing about it.
        opening: what tells the scope that it is in from those that had its path before it.
    """

    execution_id: str
    started: TaskStarted
    context: Context
    grace: float
    stop_kind: StopKind = "stopped"
    arguments: Any = msgspec.UNSET
    opening: str = ""


class ActivityRunner(Protocol):
    """Runs an activity: in the host task, in a thread, in a process."""

    async def run(self, attempt: Attempt) -> bytes:
        """Run the activity once and return its result, encoded by `actors.values.encode_value`.

        Whatever the activity raises comes out of here. When cancelled, it returns only after the
        activity's code has stopped running: it lets the cancellation through, after setting
        `Attempt.stop_kind` if "stopped" is not the word for it.
        """
