"""The checker: compares what is stored, what clients were told, and what activities have left."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from actors.events import ExecutionEvent
from actors.evolving import fold
from actors.state import ExecutionState
from tests.crash.effects import Effects, Visit
from tests.crash.flows import ASK, FLOWS, HOLD, POISON, POISON_ONCE, is_at_most_once
from tests.crash.history import History, IllegalError
from tests.crash.ledger import Ledger
from tests.crash.rows import Database

KNOWN = FLOWS | {flow["id"]: flow for flow in (HOLD, POISON, POISON_ONCE)}

_decode = msgspec.json.Decoder(list[ExecutionEvent]).decode


class Violation(NamedTuple):
    """A promise that was broken.

    Attributes:
        rule: its name.
        where: the execution, or what else it is about.
        text: how.
    """

    rule: str
    where: str
    text: str


class Shown(NamedTuple):
    """What the last server has shown, when all was over.

    Attributes:
        views: each execution, by its id.
        listed: the items of the list of executions, as they came.
    """

    views: Mapping[str, Mapping[str, Any]]
    listed: list[dict[str, Any]]


class Recorded:
    """What the journal says of attempts, whether or not it should.

    Attributes:
        started: every attempt that was started.
        finished: the attempt that each visit succeeded with.
    """

    def __init__(self, database: Database) -> None:
        self.started: set[tuple[Visit, int]] = set()
        self.finished: dict[Visit, int] = {}
        for execution_id, events in database.events.items():
            for event in events:
                if event["type"] == "TaskStarted":
                    visit = Visit(execution_id, event["task"], event["visit"])
                    self.started.add((visit, event["attempt"]))
                elif event["type"] == "TaskFinished" and event["outcome"]["error"] is None:
                    visit = Visit(execution_id, event["task"], event["visit"])
                    self.finished[visit] = event["attempt"]


class Checker:
    """Checks one database.

    Attributes:
        violations: what was found.
        histories: the executions, by the naive model.
        checks: how many comparisons were made.
    """

    def __init__(self, database: Database, effects: Effects, violations: list[Violation]) -> None:
        self.violations = violations
        self.histories: dict[str, History] = {}
        self.checks = 0
        self._database = database
        self._effects = effects

    def expect(self, is_right: object, rule: str, where: str, text: str) -> None:
        self.checks += 1
        if not is_right:
            self.violations.append(Violation(rule, where, text))

    def check(self, ledger: Ledger, shown: Shown) -> None:
        """Check everything."""
        for execution_id in self._database.events:
            self._check_history(execution_id)
        self._check_effects(ledger)
        self._check_starts(ledger)
        self._check_deletions(ledger)
        self._check_changes(ledger)
        self._check_answers(ledger)
        for execution_id, history in self.histories.items():
            self._check_shown(execution_id, history, shown)
        self._check_list(shown)

    # The journal by itself.

    def _check_history(self, execution_id: str) -> None:
        events = self._database.events[execution_id]
        if not events:
            self.expect(is_right=False, rule="history", where=execution_id, text="no events")
            return
        history = History(KNOWN[events[0]["flow_id"]])
        for seq, event in enumerate(events, 1):
            try:
                history.follow(event)
            except (IllegalError, KeyError, TypeError) as error:
                self.expect(
                    is_right=False, rule="history", where=execution_id, text=f"{seq}: {error!r}"
                )
                return
            self.checks += 1
        self.histories[execution_id] = history
        status = events[-1]["type"]
        self.expect(history.has_ended, "liveness", execution_id, f"not ended: {status}")
        for (task, visit), event in history.finished.items():
            self._check_result(execution_id, task, visit, event)

    def _check_result(
        self, execution_id: str, task: str, visit: int, event: Mapping[str, Any]
    ) -> None:
        """The result is that of the attempt that finished, which has come to its end."""
        where = Visit(execution_id, task, visit)
        outcome, attempt = event["outcome"], event["attempt"]
        if task == ASK:
            return  # it runs no code
        if outcome["status"] == "success":
            is_same = outcome["data"] == {"visit": visit, "attempt": attempt}
            self.expect(is_same, "result", execution_id, f"{task}: {outcome}")
            is_done = attempt in self._effects.done[where]
            self.expect(is_done, "effect", execution_id, f"{where} has no effect")
        elif outcome["error"]["type"] != "Interrupted":
            is_done = attempt in self._effects.failed[where]
            self.expect(is_done, "effect", execution_id, f"{where} has not failed: {outcome}")

    # What activities have left.

    def _check_effects(self, ledger: Ledger) -> None:
        """Nothing ran that was not recorded before, and nothing that had finished."""
        journal = Recorded(self._database)
        for visit, began in self._effects.began.items():
            execution_id = visit.execution_id
            events = self._database.events.get(execution_id)
            if events is None and execution_id in ledger.deletions:
                continue
            if not events:
                self.expect(is_right=False, rule="lost", where=execution_id, text=f"{visit} ran")
                continue
            for attempt, times in began.items():
                is_known = (visit, attempt) in journal.started and times == 1
                text = f"{visit}: attempt {attempt} ran {times} times, or was not recorded"
                self.expect(is_known, "attempt", execution_id, text)
            is_last = max(began) <= journal.finished.get(visit, math.inf)
            self.expect(is_last, "ran again", execution_id, f"{visit}: {dict(began)}")
            if is_at_most_once(KNOWN[events[0]["flow_id"]], visit.task):
                once = sum(began.values()) <= 1
                self.expect(once, "at most once", execution_id, f"{visit}: {dict(began)}")

    # What clients were told.

    def _check_starts(self, ledger: Ledger) -> None:
        by_tag: dict[str, list[str]] = defaultdict(list)
        for execution_id, events in self._database.events.items():
            if events:
                by_tag[events[0]["context"].get("tag", "")].append(execution_id)
        for tag, (flow_id, key) in ledger.tags.items():
            found, answered = by_tag.get(tag, []), ledger.starts.get(tag, set())
            lost = answered - self._database.events.keys() - ledger.deletions.keys()
            self.expect(not lost, "lost", tag, f"acknowledged, and not there: {lost}")
            text = f"{tag} of {flow_id} ({key}) has started {found}, was answered {answered}"
            self.expect(len(found) <= 1 and len(answered) <= 1, "started twice", tag, text)
            if key is not None and found:
                has_key = self._database.keys.get((flow_id, key)) == found[0]
                self.expect(has_key, "key", tag, f"{text}; the key is of another, or lost")

    def _check_deletions(self, ledger: Ledger) -> None:
        for execution_id, status in ledger.deletions.items():
            is_gone = execution_id not in self._database.events
            is_right = is_gone if status == 204 else status is None or not is_gone
            self.expect(is_right, "deletion", execution_id, f"{status}, and gone: {is_gone}")

    def _check_changes(self, ledger: Ledger) -> None:
        for execution_id, changes in ledger.changes.items():
            history = self.histories.get(execution_id)
            if history is None:
                continue
            recorded = {
                (kind, reason) for kind, reasons in history.changes.items() for reason in reasons
            }
            sent: set[tuple[str, str | None]] = set()
            for change in changes:
                sent.add((change.kind, change.reason))
                if change.status in {200, 202} and change.kind != "resume":
                    # It is recorded; or one before it is, whose answer has been lost.
                    is_there = sent & recorded
                    self.expect(is_there, "change", execution_id, f"{change} was not recorded")
            for kind, reasons in history.changes.items():
                is_once = len(set(reasons)) == len(reasons)
                self.expect(is_once, "change", execution_id, f"{kind} twice: {reasons}")
            if any(c.kind == "cancel" and c.status in {200, 202} for c in changes):
                is_cancelled = history.status == "cancelled"
                self.expect(is_cancelled, "cancel", execution_id, f"ended as {history.status}")

    def _check_answers(self, ledger: Ledger) -> None:
        """What was shown as ended has stayed as it was, unless a retry was asked for."""
        for text in ledger.wrong:
            self.expect(is_right=False, rule="answer", where="", text=text)
        for execution_id, view in ledger.views.items():
            reopened = {c.kind for c in ledger.changes.get(execution_id, ())} & {"retry", "skip"}
            history = self.histories.get(execution_id)
            if history is None or reopened:
                continue
            is_same = view["status"] == history.status and _results(view) == _outcomes(history)
            text = f"was {view['status']} {_results(view)}; is {history.status}"
            self.expect(is_same, "answer changed", execution_id, text)

    # What the last server has shown.

    def _check_shown(self, execution_id: str, history: History, shown: Shown) -> None:
        view = shown.views.get(execution_id)
        if view is None:
            self.expect(is_right=False, rule="view", where=execution_id, text="is not shown")
            return
        status = (view["status"], view["end_time"] is not None, view["had_failures"])
        expected = (history.status, history.has_ended, history.had_failures)
        self.expect(status == expected, "view", execution_id, f"{status}, not {expected}")
        is_same = _results(view) == _outcomes(history)
        self.expect(is_same, "view", execution_id, f"results {_results(view)}")
        self._check_fold(execution_id, history)
        error_task = None if view["error"] is None else view["error"]["task"]
        self.expect(error_task == history.error_task, "view", execution_id, f"{view['error']}")
        if history.status == "cancelled":
            receipt = [(s["task"], s["attempt"], s["how"]) for s in view["cancellation"]["tasks"]]
            stopped = [(s["task"], s["attempt"], s["how"]) for s in history.receipt]
            self.expect(receipt == stopped, "receipt", execution_id, f"{receipt}, not {stopped}")

    def _check_fold(self, execution_id: str, history: History) -> None:
        """The product's own fold comes to the same as the naive model."""
        state: ExecutionState = fold(
            [event for text in self._database.texts[execution_id] for event in _decode(text)]
        )
        folded = (state.status, state.has_ended, state.has_failures, state.interruptions)
        model = (history.status, history.has_ended, history.had_failures, history.interrupted)
        self.expect(folded == model, "fold", execution_id, f"{folded}, not {model}")
        self.expect(list(state.results) == list(history.results), "fold", execution_id, "results")

    def _check_list(self, shown: Shown) -> None:
        ids = [item["execution_id"] for item in shown.listed]
        in_order = sorted(self._database.events, reverse=True)
        self.expect(ids == in_order, "list", "", f"{len(ids)} listed, of {len(in_order)}")
        for item in shown.listed:
            execution_id = item["execution_id"]
            row, history = self._database.rows[execution_id], self.histories.get(execution_id)
            if history is None:
                continue
            listed = (item["status"], item["end_time"] is not None, item["had_failures"])
            stored = (row.status, row.has_ended, row.had_failures)
            model = (history.status, history.has_ended, history.had_failures)
            text = f"listed {listed}, stored {stored}, not {model}"
            self.expect(listed == stored == model, "list", execution_id, text)
            self.expect(row.damage is None, "damage", execution_id, f"{row.damage}")


def _results(view: Mapping[str, Any]) -> dict[str, Any]:
    return {task: (each["status"], each["data"]) for task, each in view["task_results"].items()}


def _outcomes(history: History) -> dict[str, Any]:
    return {task: (each["status"], each["data"]) for task, each in history.results.items()}
