"""Tasks that open no scopes, as the interpreter of flows runs them."""

from tests.fuzz.scopes import NEVER, AmbiguousError, expression_error, failure, success
from tests.fuzz.story import step_of


def text_of(template, scope, task):
    """What a text comes to that has expressions in it."""
    values = {f"${{context.{key}}}": value for key, value in scope.context.items()}
    values["${task.visit}"], values["${task.attempt}"] = scope.visits[task], scope.attempts[task]
    for expression, value in values.items():
        template = template.replace(expression, str(value))
    return template


class Tasks:
    """What the interpreter does with every kind of task but parallel tasks and maps."""

    def run_activity(self, scope, task, now, cut):
        name, arguments = task["name"], task["arguments"]
        at = text_of(arguments["at"], scope, name)
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
            if crash != left:
                scope.attempts[name] -= 1
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

    def run_signal(self, scope, task, now, cut):
        name, due = task["signal"], scope.since + task.get("timeout", NEVER)
        if due <= now:
            raise AmbiguousError("a signal is waited for when the time for it is over")
        self.note(due, scope.path, task["name"], "due")
        path, count = self.taken.get(name, (scope.path, 0))
        if path != scope.path:
            raise AmbiguousError("several scopes wait for the same signal")
        sent = [
            signal
            for signal in self.signals
            if signal.name == name
            and self.began < signal.at < self.cancel
            and isinstance(signal.value, int)
        ]
        at = max(now, sent[count].at) if count < len(sent) else NEVER
        if min(at, due) >= cut:
            return None, cut
        if due < at:
            return failure("TimedOut"), due
        self.taken[name] = (path, count + 1)
        return success(sent[count].value), at

    def run_flow(self, scope, task, now, cut):
        """Run an execution of another flow, which is cancelled when its task is cut off."""
        name, visit, attempt = (
            task["name"],
            scope.visits[task["name"]],
            scope.attempts[task["name"]],
        )
        context = {}
        for key, value in task["arguments"].items():
            wanted = value[10:-1] if key != "at" and isinstance(value, str) else None
            if wanted is not None and wanted not in scope.context:
                return expression_error(), now
            context[key] = value if wanted is None else scope.context[wanted]
        context["at"] = text_of(context["at"], scope, name)
        limit = self.limit(scope, task, now)
        if limit <= now:
            raise AmbiguousError("a flow is started when its time is over")
        self.note(limit, scope.path, name, visit, "limit")
        child = self.child(task, f"{self.name}{scope.path}/{name}@{visit}.{attempt}:", context, now)
        child.cancel = end = min(limit, cut)
        left = child.execute(now)
        self.instants = child.instants
        if left < end:
            return child.result(), left
        if any(end < crash < left for crash in self.crashes):
            raise AmbiguousError("a crash while a flow is stopped")
        return (failure("TimedOut") if left < cut else None), left
