"""A naive interpreter of flows: recursion over intervals of time, in the words of the language.

Every function is told when it begins and at which instant it is cut off, and says when it has left.
What happens at an instant happens if that is before the cut.
"""

import itertools

from tests.fuzz.forks import Forks
from tests.fuzz.scopes import (
    APART,
    NEVER,
    AmbiguousError,
    Ending,
    Finished,
    Signal,
    Undo,
    expression_error,
    failure,
    opened,
    step_at,
    success,
)
from tests.fuzz.tasks import Tasks

GRACE = 3600.0


class Model(Forks, Tasks):
    """Interprets one execution of a story: the first one, or that of another flow inside of it.

    Instants are seconds since the first one was started.
    """

    def __init__(self, story, flow, context, name="", began=0.0):
        self.story, self.flow, self.name, self.began = story, flow, name, began
        self.root = opened(flow, "", context)
        self.cancel, self.crashes, self.pause = NEVER, [], [NEVER, NEVER]
        self.signals, self.taken = [], {}
        self.way, self.first = [], {}
        self.finished, self.undo, self.compensated = [], [], []
        self.instants = {(): 0.0}
        self.status, self.error, self.error_task, self.output = "", None, None, None
        self.ended_at = NEVER

    @classmethod
    def of(cls, story):
        """The interpreter of the first execution."""
        model = cls(story, story["flow"], story["context"])
        model.intervene(story["done"], 0.0)
        return model

    def child(self, task, name, context, now):
        """The interpreter of an execution that a task of this one starts."""
        child = type(self)(self.story, self.story["flows"][task["flow"]], context, name, now)
        child.crashes, child.signals = self.crashes, self.signals
        child.instants, child.finished = self.instants, self.finished
        return child

    def intervene(self, done, since):
        """Note what is done to the execution from an instant on."""
        self.is_meddled_with = "meddling" in done
        self.cancel = since + done.get("cancel", NEVER)
        self.crashes = [since + at for at in done.get("crashes", [])]
        pause = [since + at for at in done.get("pause", [NEVER, NEVER])]
        self.pause = [pause[0], min(pause[1], self.cancel)]  # what is cancelled is not paused
        sent = [Signal(since + at, name, value) for at, name, value in done.get("signals", [])]
        self.signals = self.signals + sent
        self.note(self.cancel, "cancel")
        instants = (*self.crashes, *pause, *(signal.at for signal in sent))
        for at in instants:
            self.note(at, "done")
        ends = [at for at in (*instants, self.cancel) if at != NEVER]
        self.busy_until = max(ends, default=since)

    def note(self, at, *what):
        self.instants[self.name, *what, at] = at

    def check_that_instants_are_apart(self):
        instants = sorted(self.instants.values())
        for one, other in itertools.pairwise(instants):
            if other - one < APART:
                raise AmbiguousError(one)
        if any(self.pause[0] < crash < self.pause[1] for crash in self.crashes):
            raise AmbiguousError("a paused execution is not looked at before somebody asks for it")

    def allowed(self, at):
        """When a task starts that could start at an instant: not while all is paused."""
        return self.pause[1] if self.pause[0] <= at < self.pause[1] else at

    # An execution.

    def run(self):
        """Run the first execution to its end, and say what came of it."""
        self.execute(0.0)
        return self.ending()

    def ending(self):
        if self.is_meddled_with:
            raise AmbiguousError("things are done to it that are not followed here")
        self.check_that_instants_are_apart()
        root, kind = self.root, self.error and self.error[0]
        results = [(name, each.value, bool(each.error)) for name, each in root.results.items()]
        return Ending(
            self.status,
            kind,
            self.error_task,
            root.context,
            self.output,
            results,
            self.finished,
            self.compensated,
            self.ended_at,
        )

    def execute(self, now):
        """Run the execution from where it is to its end; return when that is."""
        root, timeout = self.root, now + self.flow.get("timeout", NEVER)
        self.note(timeout, "timeout")
        self.status, self.error, self.error_task = "running", None, None
        now = self.go(root, now, min(self.cancel, timeout))
        if now == NEVER:
            return NEVER
        self.status, self.error, self.error_task = "cancelled", None, None
        if root.outcome is not None:
            self.status = "failed" if root.outcome.error else "completed"
            self.error = root.outcome.error
            self.error_task = root.ended_in if self.error else None
        elif self.cancel > now:
            self.status, self.error, self.error_task = "failed", ("TimedOut", True), root.task
        if self.pause[0] >= now:
            self.pause = [NEVER, NEVER]
        if self.status != "completed":
            now = self.compensate(now)
        if "finally" in self.flow:
            now = self.close(now)
        if self.status == "completed" and "output" in self.flow:
            now = self.put_out(self.allowed(now))
        if self.cancel <= now:
            self.status = "cancelled"
            if now > self.cancel + GRACE:
                raise AmbiguousError("the grace ends")
        self.ended_at = now
        return now

    def close(self, now):
        """Run what the flow has for every end."""
        closing = opened(self.flow["finally"], "~finally", self.root.context)
        now = self.go(closing, now, NEVER)
        is_failing = self.cancel > now and closing.outcome.error is not None
        if self.status == "completed" and is_failing:
            self.fail(closing.outcome.error, "finally")
        if not self.compensated and (is_failing or self.cancel <= now):
            now = self.compensate(now)
        return now

    def put_out(self, now):
        """Find out what the flow makes of the execution, unless that is cancelled."""
        if self.cancel <= now:
            return now if self.compensated else self.compensate(now)
        name = self.flow["output"].removeprefix("context.")
        if name in self.root.context:
            self.output = self.root.context[name]
            return now
        self.fail(expression_error().error, "output")
        return self.compensate(now)

    def fail(self, error, task):
        self.status, self.error, self.error_task = "failed", error, task

    def result(self):
        """What an execution comes to that has ended, for the task that has started it."""
        if self.status != "completed":
            return failure("SubflowFailed" if self.status == "failed" else "SubflowCancelled")
        last = next(reversed(self.root.results.values()))
        return success(self.output if "output" in self.flow else last.value)

    def compensate(self, now):
        undone = sorted(self.undo, key=lambda each: each.at)
        for one, other in itertools.pairwise(undone):
            if other.at - one.at < APART and other.path != one.path:
                raise AmbiguousError("two are to be compensated that have finished at once")
        for undo in reversed(undone):
            task = undo.task["compensate"] | {"name": undo.name, "kind": "activity"}
            body = {"tasks": [task], "start_task": undo.name, "conditions": []}
            now = self.go(opened(body, "~compensate", undo.context), now, NEVER)
            self.compensated.append(undo.name)
        return now

    # A body.

    def go(self, scope, now, cut):
        """Run a scope from where it is to its end, or up to the cut; return when it is left."""
        self.way.append(scope)
        now = self.go_along(scope, now, cut)
        self.way.pop()
        return now

    def go_along(self, scope, now, cut):
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
                if (scope.path, scope.task) not in self.first:
                    self.first[scope.path, scope.task] = [step_at(each) for each in self.way]
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
        self.finished.append(Finished(now, self.name + scope.path, name, visit, not outcome.error))
        if "compensate" in task and not outcome.error:
            undone = f"{scope.path}/{name}" + (f"/{visit}" if visit > 1 else "")
            self.undo.append(Undo(now, scope.path, undone, task, dict(context), outcome))
        try:
            target = self.target(scope, outcome, now)
        except LookupError:
            # An attempt that may not be repeated has failed by that, whatever its conditions say.
            is_interrupted = outcome.error is not None and outcome.error[0] == "Interrupted"
            scope.outcome = outcome if is_interrupted else expression_error()
        else:
            if target == "end":
                scope.outcome = outcome
            else:
                scope.task = target

    def target(self, scope, outcome, now):
        for condition in scope.body["conditions"]:
            if condition["source_task"] != scope.task:
                continue
            if "when" in condition and not self.holds(condition["when"], scope, outcome, now):
                continue
            expected = condition.get("outcome", "success")
            is_equal = expected == ("failure" if outcome.error else "success")
            if is_equal:
                return condition["target_task_success"]
            return condition.get("target_task_failure", "end")
        return "end"

    def holds(self, when, scope, outcome, now):
        context = scope.context
        is_cancelled = self.status != "running" and self.cancel <= now
        status = "cancelled" if is_cancelled else self.status
        return {
            "task.visit < 2": lambda: scope.visits[scope.task] < 2,
            'error != null && error.type == "Boom"': lambda: (outcome.error or "x")[0] == "Boom",
            "result == 1": lambda: outcome.value == 1,
            "has(context.y) && context.y == 2": lambda: context.get("y") == 2,
            "context.y == 2": lambda: context["y"] == 2,
            'execution.status == "running"': lambda: status == "running",
            'execution.status == "completed"': lambda: status == "completed",
            'execution.status == "cancelled"': lambda: status == "cancelled",
            'execution.error != null && execution.error.type == "Boom"': lambda: (
                (self.error or "x")[0] == "Boom"
            ),
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
