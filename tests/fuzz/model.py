"""A naive interpreter of flows: recursion over intervals of time, in the words of the language.

Every function is told when it begins and at which instant it is cut off, and says when it has left.
What happens at an instant happens if that is before the cut. To find out which branch is first, the
branches are run to their ends on copies; then they are run again, and cut.
"""

import itertools
import math

from tests.fuzz.scopes import (
    AmbiguousError,
    Ending,
    Finished,
    Undo,
    expression_error,
    failure,
    opened,
    success,
)
from tests.fuzz.story import step_of

NEVER = math.inf
APART = 0.01
"""Seconds that two instants have to be apart, for their order to be certain."""

GRACE = 3600.0


class Model:
    """Interprets one story."""

    def __init__(self, story):
        done = story["done"]
        self.story, self.flow = story, story["flow"]
        self.cancel = done.get("cancel", NEVER)
        self.crashes = done.get("crashes", [])
        since, until = done.get("pause", [NEVER, NEVER])
        self.pause = [since, min(until, self.cancel)]  # what is cancelled is not paused any more
        self.finished, self.undo = [], []
        self.instants = {(): 0.0} | {
            (kind, at): at for kind in ("crashes", "pause") for at in done.get(kind, [])
        }
        self.instants["cancel"] = self.cancel

    def note(self, at, *what):
        self.instants[*what, at] = at

    def check_that_instants_are_apart(self):
        instants = sorted(self.instants.values())
        for one, other in itertools.pairwise(instants):
            if other - one < APART:
                raise AmbiguousError(one)
        for one, other in itertools.pairwise(sorted(self.undo, key=lambda each: each.at)):
            if other.at - one.at < APART and other.path != one.path:
                raise AmbiguousError("two are to be compensated that have finished at once")
        if any(self.pause[0] < crash < self.pause[1] for crash in self.crashes):
            raise AmbiguousError("a paused execution is not looked at before somebody asks for it")

    def allowed(self, at):
        """When a task starts that could start at an instant: not while all is paused."""
        return self.pause[1] if self.pause[0] <= at < self.pause[1] else at

    # An execution.

    def run(self):
        root = opened(self.flow, "", self.story["context"])
        cut = min(self.cancel, self.flow.get("timeout", NEVER))
        self.note(self.flow.get("timeout", NEVER), "timeout")
        now = self.go(root, 0.0, cut)
        status, error, error_task = "cancelled", None, None
        if root.outcome is not None:
            status = "failed" if root.outcome.error else "completed"
            error = root.outcome.error
            error_task = root.ended_in if error else None
        elif self.cancel > now:
            status, error, error_task = "failed", ("TimedOut", True), root.task
        if self.pause[0] >= now:
            self.pause = [NEVER, NEVER]
        compensated = []
        if status != "completed":
            now = self.compensate(now, compensated)
        if "finally" in self.flow:
            closing = opened(self.flow["finally"], "~finally", root.context)
            now = self.go(closing, now, NEVER)
            is_failing = self.cancel >= now and closing.outcome.error is not None
            if status == "completed" and is_failing:
                status, error, error_task = "failed", closing.outcome.error, "finally"
            if not compensated and (is_failing or self.cancel < now):
                now = self.compensate(now, compensated)
        if self.cancel < now:
            status = "cancelled"
            if now > self.cancel + GRACE:
                raise AmbiguousError("the grace ends")
        self.check_that_instants_are_apart()
        kind = error and error[0]
        results = [(name, each.value, bool(each.error)) for name, each in root.results.items()]
        return Ending(
            status, kind, error_task, root.context, results, self.finished, compensated, now
        )

    def compensate(self, now, compensated):
        for undo in sorted(self.undo, key=lambda each: each.at)[::-1]:
            task = undo.task["compensate"] | {"name": undo.name, "kind": "activity"}
            body = {"tasks": [task], "start_task": undo.name, "conditions": []}
            now = self.go(opened(body, "~compensate", undo.context), now, NEVER)
            compensated.append(undo.name)
        return now

    # A body.

    def go(self, scope, now, cut):
        """Run a scope from where it is to its end, or up to the cut; return when it is left."""
        while scope.outcome is None:
            now = self.allowed(now)
            if now >= cut:
                return cut
            if not scope.is_visiting:
                visit = scope.visits.get(scope.task, 0) + 1
                if visit > scope.body.get("max_visits", 1):
                    scope.outcome, scope.ended_in = failure("MaxVisitsExceeded"), scope.task
                    return now
                scope.visits[scope.task], scope.attempts[scope.task] = visit, 0
                scope.is_visiting, scope.since, scope.failures = True, now, 0
                scope.scopes = {}
            outcome, now = self.visit(scope, scope.plan(), now, cut)
            if outcome is None:
                return now
            self.finish(scope, scope.plan(), outcome, now)
        return now

    def finish(self, scope, task, outcome, now):
        name, visit, context = task["name"], scope.visits[task["name"]], scope.context
        if task["kind"] == "set" and not outcome.error:
            context.update(outcome.value)
        context[f"{name}_result"] = outcome.value
        scope.results.pop(name, None)
        scope.results[name] = outcome
        scope.is_visiting, scope.ended_in = False, name
        self.finished.append(Finished(now, scope.path, name, visit, not outcome.error))
        if "compensate" in task and not outcome.error:
            undone = f"{scope.path}/{name}" + (f"/{visit}" if visit > 1 else "")
            self.undo.append(Undo(now, scope.path, undone, task, dict(context), outcome))
        try:
            target = self.target(scope, outcome)
        except LookupError:
            # An attempt that may not be repeated has failed by that, whatever its conditions say.
            is_interrupted = outcome.error is not None and outcome.error[0] == "Interrupted"
            scope.outcome = outcome if is_interrupted else expression_error()
        else:
            if target == "end":
                scope.outcome = outcome
            else:
                scope.task = target

    def target(self, scope, outcome):
        for condition in scope.body["conditions"]:
            if condition["source_task"] != scope.task:
                continue
            if "when" in condition and not self.holds(condition["when"], scope, outcome):
                continue
            expected = condition.get("outcome", "success")
            is_equal = expected == ("failure" if outcome.error else "success")
            if is_equal:
                return condition["target_task_success"]
            return condition.get("target_task_failure", "end")
        return "end"

    def holds(self, when, scope, outcome):
        context = scope.context
        return {
            "task.visit < 2": lambda: scope.visits[scope.task] < 2,
            'error != null && error.type == "Boom"': lambda: (outcome.error or "x")[0] == "Boom",
            "result == 1": lambda: outcome.value == 1,
            "has(context.y) && context.y == 2": lambda: context.get("y") == 2,
            "context.y == 2": lambda: context["y"] == 2,
        }[when]()

    # A task.

    def visit(self, scope, task, now, cut):
        """Run the attempts of a visit; return the outcome, None if it was cut, and when."""
        name = task["name"]
        while True:
            scope.attempts[name] += 1
            outcome, now = getattr(self, f"run_{task['kind']}")(scope, task, now, cut)
            if outcome is None:
                return None, now
            if not outcome.error and "output" in task:
                if task["output"] != "[result]":
                    return expression_error(), now
                return success([outcome.value]), now
            due = self.due_again(scope, task, outcome, now)
            if due is None:
                return outcome, now
            scope.failures += 1
            self.note(due, scope.path, name, "due")
            now = self.allowed(due)
            if now >= cut:
                return None, cut

    def due_again(self, scope, task, outcome, now):
        retry = task.get("retry")
        if not outcome.error or retry is None or scope.failures + 1 >= retry["maximum_attempts"]:
            return None
        kind, is_final = outcome.error
        if is_final or kind in retry.get("non_retryable_error_types", []):
            return None
        due = now + retry["initial_interval"] * 2**scope.failures
        return None if due >= scope.since + task.get("deadline", NEVER) else due

    def limit(self, scope, task, began):
        """When an attempt's time is over."""
        ends = min(began + task.get("timeout", NEVER), scope.since + task.get("deadline", NEVER))
        return max(began, ends)

    def run_activity(self, scope, task, now, cut):
        name, arguments = task["name"], task["arguments"]
        at = arguments["at"]
        for key, value in scope.context.items():
            at = at.replace(f"${{context.{key}}}", str(value))
        attempt, visit = scope.attempts[name], scope.visits[name]
        step, delay = step_of(self.story, arguments["script"], at, visit, attempt)
        while True:
            limit = self.limit(scope, task, now)
            is_late = limit < now + delay
            end = limit + step["lingers"] if is_late else now + delay
            crash = next((each for each in self.crashes if now < each < min(end, cut)), None)
            if crash is None:
                break
            if task.get("at_most_once"):
                scope.attempts[name] -= 1
                return failure("Interrupted", is_final=True), crash
            now = self.allowed(crash)
            if now >= cut:
                return None, cut
        if end >= cut:
            left = end if is_late and limit < cut else cut + step["lingers"]
            crash = next((each for each in self.crashes if cut < each < left), left)
            if crash != left and cut != self.cancel:
                raise AmbiguousError("a crash while something is stopped")
            return None, crash
        self.note(end, scope.path, name, visit, attempt)
        if is_late:
            return failure("TimedOut"), end
        if "raises" in step:
            return failure(step["raises"], is_final=step["raises"] == "Final"), end
        value = step["returns"]
        return success(scope.context.get(value[2:-1]) if isinstance(value, str) else value), end

    def run_wait(self, scope, task, now, cut):
        due = max(now, scope.since + task["seconds"])
        self.note(due, scope.path, task["name"], "wait")
        return (None, cut) if due >= cut else (success(None), due)

    def run_set(self, scope, task, now, cut):
        values = {}
        for key, value in task["values"].items():
            name = value[10:-1] if isinstance(value, str) else None
            if name is not None and name not in scope.context:
                return expression_error(), now
            values[key] = value if name is None else scope.context[name]
        return success(values), now

    def run_raise(self, scope, task, now, cut):
        return failure(task["type"], is_final=True), now

    # Tasks that open scopes.

    def run_parallel(self, scope, task, now, cut):
        bodies = task["branches"]
        total, join = len(bodies), task["join"]
        needed = {"all": total, "any": 1}[join] if isinstance(join, str) else join["at_least"]
        for branch, body in bodies.items():
            path = f"{scope.path}/{task['name']}/{branch}"
            scope.scopes.setdefault(branch, opened(body, path, scope.context))
        ended, left = self.race(scope, task, list(bodies), (now, cut), (total - needed, needed))
        if not isinstance(ended, list):
            return ended, left
        results = {name: each.outcome.value for name, each in scope.scopes.items() if name in ended}
        enough = len(ended) >= needed
        return (success(results) if enough else failure("BranchesFailed")), left

    def run_map(self, scope, task, now, cut):
        items, tolerated = task["items"], task["tolerated_failures"]
        for item in items:
            path = f"{scope.path}/{task['name']}/{item}"
            context = scope.context | {task["as"]: item}
            scope.scopes.setdefault(item, opened(task["do"], path, context))
        ended, left = self.race(scope, task, items, (now, cut), (tolerated, None))
        if not isinstance(ended, list):
            return ended, left
        results = [scope.scopes[item].outcome.value if item in ended else None for item in items]
        failed = sum(bool(each.outcome and each.outcome.error) for each in scope.scopes.values())
        is_whole = len(ended) + failed == len(items) and failed <= tolerated
        return (success(results) if is_whole else failure("ItemsFailed")), left

    def race(self, scope, task, names, between, rules):
        """Run scopes until it is decided what becomes of their task.

        Returns:
            The names of those that have succeeded, or the task's outcome; and when all are left.
        """
        now, cut = between
        limit = self.limit(scope, task, now)
        scopes = scope.scopes
        if limit <= now:
            raise AmbiguousError("scopes are opened when their time is over")
        self.note(limit, scope.path, task["name"], scope.visits[task["name"]], "limit")
        if scope.attempts[task["name"]] > 1:
            for name in names:
                scopes[name].go_on(now)
        joined, runs = self.decided(scopes, names, task, now, rules)
        end = min(joined, limit, cut)
        left = end
        self.check_that_it_is_clear(joined, runs)
        for name, begin, last in runs:
            if begin < end or last <= end:
                left = max(left, self.go(scopes[name], begin, NEVER if last <= end else end))
        if left >= cut:
            return None, left
        if joined > limit:
            return failure("TimedOut"), left
        ended = [name for name in names if scopes[name].outcome and not scopes[name].outcome.error]
        return ended, left

    def check_that_it_is_clear(self, joined, runs):
        """Return if nothing else happens to the scopes at the instant that decides."""
        if joined in self.crashes and len(runs) > 1:
            raise AmbiguousError("it is decided when others are interrupted")
        if sum(abs(last - joined) < APART for _, _, last in runs) > 1:
            raise AmbiguousError("two scopes end when it is decided")
        if any(begin == joined < last for _, begin, last in runs):
            raise AmbiguousError("it is decided when another scope begins")

    def decided(self, scopes, names, task, now, rules):
        """Return when the task is decided, and when each scope begins and ends if nobody cuts it.

        Args:
            scopes: all scopes of the task, by name.
            names: the names, in their order.
            task: the task.
            now: when it begins.
            rules: how many may fail, and how many have to succeed; None for all others.
        """
        most, needed = rules
        done = [name for name in names if scopes[name].outcome and not scopes[name].outcome.error]
        # Those that have begun go on before further ones are opened.
        queue = sorted(
            (name for name in names if name not in done), key=lambda n: not scopes[n].visits
        )
        succeeded, failed, running, runs = len(done), 0, [], []
        if not queue or (needed is not None and succeeded >= needed):
            return now, []
        marks = len(self.finished), len(self.undo)
        instants = dict(self.instants)

        def begin(at):
            name = queue.pop(0)
            trial, at = scopes[name].copy(), self.allowed(at)
            last = self.go(trial, at, NEVER)
            running.append((last, name, trial.outcome))
            runs.append((name, at, last))

        for _ in range(min(len(queue), task.get("max_concurrency", len(queue)))):
            begin(now)
        while running:
            each = min(running, key=lambda run: run[0])
            running.remove(each)
            now, _, outcome = each
            succeeded, failed = succeeded + (not outcome.error), failed + bool(outcome.error)
            is_lost = failed > most and task["on_failure"] == "cancel"
            if is_lost or (needed is not None and succeeded >= needed):
                break
            if queue:
                begin(now)
        del self.finished[marks[0] :], self.undo[marks[1] :]
        self.instants = instants | {key: at for key, at in self.instants.items() if at <= now}
        return now, runs
