"""A naive model of an execution: what may follow what, told once more and on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.crash.flows import ASK, is_at_most_once, target

Event = dict[str, Any]
Run = tuple[str, int, int]
"""A task, its visit, its attempt."""


class IllegalError(Exception):
    """An event that may not be where it is."""


class History:
    """The events of one execution, followed one after the other.

    Attributes:
        status: how the execution stands.
        results: the last outcome of each task that has one, in the order of finishing.
        finished: the event that finished each visit.
        started: every attempt that was started.
        interrupted: how many attempts the end of a server has ended.
        receipt: the tasks that were stopped since the last request to cancel.
        changes: the reasons of the changes that are recorded, by their kind.
        error_task: where it failed.
        signals: the signals that were received and not taken.
    """

    def __init__(self, flow: dict[str, Any]) -> None:
        self.status = "pending"
        self.results: dict[str, Event] = {}
        self.finished: dict[tuple[str, int], Event] = {}
        self.started: set[Run] = set()
        self.interrupted = 0
        self.receipt: list[Event] = []
        self.changes: dict[str, list[str | None]] = {}
        self.had_failures = False
        self.error_task: str | None = None
        self.tag: str | None = None
        self.signals: list[Any] = []
        self._taken: list[Any] = []  # what the task that is about to finish has taken
        self._flow = flow
        self._next: str | None = None  # the task that is to be started: a new visit
        self._again: Run | None = None  # the attempt that is to be followed by the next one
        self._running: Run | None = None
        self._failing: Run | None = None  # the attempt that failed, and led to the end
        self._visits: dict[str, int] = {}

    @property
    def has_ended(self) -> bool:
        return self.status in {"completed", "failed", "cancelled"}

    def follow(self, event: Event) -> None:
        """Go on by one event.

        Raises:
            IllegalError: it may not follow.
        """
        kind = event["type"]
        if self.has_ended and kind not in {"ExecutionRetried", "TaskSkipped"}:
            raise IllegalError(f"{kind} after the end ({self.status})")
        if (self.status == "pending") != (kind == "ExecutionStarted"):
            raise IllegalError(f"{kind} while {self.status}")
        _FOLLOWERS[kind](self, event)

    def _check(self, is_allowed: object, event: Event) -> None:
        if not is_allowed:
            raise IllegalError(f"{event} while {self.status}, running {self._running}")

    def _execution_started(self, event: Event) -> None:
        self.status = "running"
        self.tag = event["context"].get("tag")
        self._next = event["start_task"]
        self._check(self._next == self._flow["start_task"], event)

    def _task_started(self, event: Event) -> None:
        run = (event["task"], event["visit"], event["attempt"])
        self._check(self.status == "running" and self._running is None, event)
        if self._again is not None:
            task, visit, attempt = self._again
            self._check(run == (task, visit, attempt + 1), event)
        else:
            self._check(run == (self._next, self._visits.get(event["task"], 0) + 1, 1), event)
            self._visits[event["task"]] = event["visit"]
            self._check(event["visit"] <= self._flow.get("max_visits", 1), event)
        self._next = self._again = None
        self._running = run
        self.started.add(run)

    def _attempt_interrupted(self, event: Event) -> None:
        run = (event["task"], event["visit"], event["attempt"])
        self._check(run == self._running and self.status != "cancelling", event)
        self._running, self._again = None, run
        self.interrupted += 1

    def _task_finished(self, event: Event) -> None:
        run = (event["task"], event["visit"], event["attempt"])
        outcome = event["outcome"]
        if run == self._again:  # interrupted, and not to be repeated
            self._check(is_at_most_once(self._flow, event["task"]), event)
            self._check(outcome["error"]["type"] == "Interrupted", event)
        else:
            self._check(run == self._running, event)
        if event["task"] == ASK:
            self._check_asked(event)
        visit = (event["task"], event["visit"])
        before = self.finished.get(visit)
        self._check(before is None or before["outcome"]["status"] == "failure", event)
        self.finished[visit] = event
        self._keep(event["task"], outcome)
        self._running = self._again = None
        if self.status == "cancelling":
            self._check(event["transition"] is None, event)
            self._remember_end(event["task"], outcome["status"], run)
            return
        self._lead_on(event, outcome["status"], run)

    def _check_asked(self, event: Event) -> None:
        """A task that waits for a signal succeeds with what it takes, and takes what there is."""
        taken, self._taken = self._taken, []
        if event["outcome"]["status"] == "success":
            self._check(taken == [event["outcome"]["data"]], event)
        elif self.status != "cancelling":
            self._check(not self.signals, event)
            self._check(event["outcome"]["error"]["type"] == "TimedOut", event)

    def _wait_started(self, event: Event) -> None:
        run = (event["task"], event["visit"], event["attempt"])
        self._check(run == self._running and event["task"] == ASK, event)

    def _parked(self, event: Event) -> None:
        self._check(self._running is not None and self._running[0] == ASK, event)

    def _signal_received(self, event: Event) -> None:
        self._check(event["name"] == ASK, event)
        self.changes.setdefault("signal", []).append(event["key"])
        self.signals.append(event["value"])

    def _signal_taken(self, event: Event) -> None:
        self._check(event["task"] == ASK and self.signals, event)
        self._taken.append(self.signals.pop(0))

    def _remember_end(self, task: str, outcome: str, run: Run) -> None:
        """Note what a retry would go on with: behind a task that succeeded, or with it again."""
        following = target(self._flow, task, outcome)
        if outcome == "failure":
            self._again = run
        else:
            self._next = following

    def _lead_on(self, event: Event, outcome: str, run: Run) -> None:
        following = target(self._flow, event["task"], outcome)
        self._check(event["transition"]["target"] == following, event)
        self._next = following
        if following == "end" and outcome == "failure":
            self._failing = run

    def _keep(self, task: str, outcome: Event) -> None:
        self.results.pop(task, None)
        self.results[task] = outcome
        self.had_failures = self.had_failures or outcome["status"] == "failure"

    def _task_skipped(self, event: Event) -> None:
        self._check(self.status in {"paused", "failed"} and self._running is None, event)
        self._note("skip", event)
        if self.status == "failed":
            self.status, self.error_task = "running", None
        task = event["task"]
        expected = self._next if self._again is None else self._again[0]
        self._check(task == expected, event)
        if self._again is None:
            self._visits[task] = self._visits.get(task, 0) + 1
        self._check(event["visit"] == self._visits[task], event)
        self._keep(task, {"status": "success", "data": event["result"], "error": None})
        self._again = None
        self._next = event["transition"]["target"]
        self._check(self._next == target(self._flow, task, "success"), event)

    def _note(self, kind: str, event: Event) -> None:
        self.changes.setdefault(kind, []).append(event["reason"])

    def _paused(self, event: Event) -> None:
        self._check(self.status == "running", event)
        self._note("pause", event)
        self.status = "paused"

    def _resumed(self, event: Event) -> None:
        self._check(self.status in {"paused", "quarantined"}, event)
        self._note("resume", event)
        self.status = "running"

    def _retried(self, event: Event) -> None:
        self._check(self.status in {"failed", "cancelled"}, event)
        self._note("retry", event)
        self.status = "running"
        self.error_task = None

    def _quarantined(self, event: Event) -> None:
        self._check(self.status == "running", event)
        self._check(self._running is None or self._running[0] == ASK, event)  # which has no code
        self._check(event["recoveries"] >= 4, event)
        self.status = "quarantined"

    def _cancel_requested(self, event: Event) -> None:
        self._check(self.status in {"running", "paused", "quarantined"}, event)
        self._note("cancel", event)
        self.receipt = []
        self.status = "cancelling"

    def _task_stopped(self, event: Event) -> None:
        self._check(self.status == "cancelling", event)
        self.receipt.append(event)
        if event["how"] == "finished":
            last = next(reversed(self.results), None)
            self._check(last == event["task"] and self._running is None, event)
            return
        run = self._running
        self._check(run is not None and run[::2] == (event["task"], event["attempt"]), event)
        self._running, self._again = None, run

    def _completed(self, event: Event) -> None:
        self._check(self.status in {"running", "paused"} and self._next == "end", event)
        self._check(self._last_outcome() == "success", event)
        self.status = "completed"

    def _failed(self, event: Event) -> None:
        self._check(self.status in {"running", "paused"} and self._next == "end", event)
        self._check(self._last_outcome() == "failure", event)
        self.status = "failed"
        self.error_task = event["task"]
        self._again = self._failing

    def _cancelled(self, event: Event) -> None:
        self._check(self.status == "cancelling" and self._running is None, event)
        self.status = "cancelled"

    def _last_outcome(self) -> str:
        return str(self.results[next(reversed(self.results))]["status"])


_FOLLOWERS: dict[str, Callable[[History, Event], None]] = {
    "ExecutionStarted": History._execution_started,
    "TaskStarted": History._task_started,
    "AttemptInterrupted": History._attempt_interrupted,
    "TaskFinished": History._task_finished,
    "TaskSkipped": History._task_skipped,
    "WaitStarted": History._wait_started,
    "ExecutionParked": History._parked,
    "SignalReceived": History._signal_received,
    "SignalTaken": History._signal_taken,
    "ExecutionPaused": History._paused,
    "ExecutionResumed": History._resumed,
    "ExecutionRetried": History._retried,
    "ExecutionQuarantined": History._quarantined,
    "CancelRequested": History._cancel_requested,
    "TaskStopped": History._task_stopped,
    "ExecutionCompleted": History._completed,
    "ExecutionFailed": History._failed,
    "ExecutionCancelled": History._cancelled,
}
