"""Tasks that open scopes, as the interpreter of flows runs them.

To find out which scope is first, they are run to their ends on copies; then they are run again, and
cut.
"""

from tests.fuzz.scopes import APART, NEVER, AmbiguousError, failure, opened, success


class Forks:
    """What the interpreter does with parallel tasks and maps."""

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
        if scope.attempts[task["name"]] > 1 and any(each.is_open for each in scopes.values()):
            raise AmbiguousError("a rerun has opened scopes in an order of its own")
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
        if joined == self.pause[1] and len(runs) > 1:
            raise AmbiguousError("it is decided when others go on behind a pause")
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
            (name for name in names if name not in done),
            key=lambda n: not (scopes[n].visits or scopes[n].is_open),
        )
        succeeded, failed, running, runs = len(done), 0, [], []
        if not queue or (needed is not None and succeeded >= needed):
            return now, []
        marks = len(self.finished), len(self.undo)
        instants, taken, first = dict(self.instants), dict(self.taken), dict(self.first)
        is_endless = False

        def begin(at):
            nonlocal is_endless
            name = queue.pop(0)
            trial, at = scopes[name].copy(), self.allowed(at)
            last = self.go(trial, at, NEVER)
            runs.append((name, at, last))
            if trial.outcome is None:
                is_endless = True
            else:
                running.append((last, name, trial.outcome))

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
        else:
            now = NEVER if is_endless else now
        del self.finished[marks[0] :], self.undo[marks[1] :]
        self.taken, self.first = taken, first
        self.instants = instants | {key: at for key, at in self.instants.items() if at <= now}
        return now, runs
