"""Random stories: a flow, what its activities do at every attempt, and what is done to it.

A story is JSON: ``{"flow": …, "flows": …, "context": …, "script": …, "done": …}``. The flow is a
document of the language, and so are the flows that are run inside of it. The script has for each
activity what it does, one step after the other:
``{"delay": 3, "returns": 1}``, ``{"delay": 3, "raises": "Boom"}``; "lingers" are the seconds that
it takes to clean up when it is cancelled. ``done`` is what is done to the execution, by the seconds
since its start: ``{"cancel": 7.5}``, ``{"crashes": [3.25]}``, ``{"pause": [2.5, 40.5]}``,
``{"signals": [[5.5, "s3", 1]]}``; a signal is sent to every execution that there is then; and
``{"meddling": [[5.5, "pause", 0.37]]}``, at random, which the model does not follow.

``then`` is what is done when it has ended, after some seconds: ``{"do": "retry", "after": 3}``,
``{"do": "rerun", "after": 3, "pick": 0.37}``, ``{"do": "skip", "after": 3, "pick": 0.37}``; and
what is done to it from then on (``done``).
"""

import random
import re
import zlib

from hypothesis import strategies as st

MAX_TASKS = 25
MAX_DEPTH = 4

WHENS = [
    "task.visit < 2",
    'error != null && error.type == "Boom"',
    "result == 1",
    "has(context.y) && context.y == 2",
    "context.y == 2",
]
"""The conditions of conditions; the last one has no answer where there is no y."""

WHENS_OF_THE_END = [
    *WHENS,
    'execution.status == "running"',
    'execution.status == "completed"',
    'execution.status == "cancelled"',
    'execution.error != null && execution.error.type == "Boom"',
]
"""Those in a `finally`, and in the flows that are run there, whose end is another one."""

OUTPUTS = ["[result]", "result.nothing"]

MADE_TO_GO_ON = ["retry", "retry", "rerun", "rerun", "skip"]

FLOW_OUTPUTS = ["context.x", "context.y"]


def step_of(story, script, at, visit, attempt):
    """What an activity does at an attempt, and how long it takes: never as long as another one."""
    steps = story["script"][script]
    place = sum(int(number) for number in re.findall(r"/(\d+)", at))
    step = steps[(place + visit + attempt - 2) % len(steps)]
    chance = zlib.crc32(f"{script} {at} {visit} {attempt}".encode()) / 2**32
    return step, step["delay"] * (1 + chance / 2)


class _Author:
    """Writes one story."""

    def __init__(self, integer, pick, *, with_interventions):
        self.integer, self.pick = integer, pick
        self.script, self.flows = {}, {}
        self._left = MAX_TASKS
        self._number = 0
        self._signals = []
        self._may_wait_for_ever = False
        self._with_interventions = with_interventions

    def story(self):
        flow = self.a_flow("story", 1, "")
        return {
            "flow": flow,
            "flows": self.flows,
            "context": self.pick([{}, {"x": 1}, {"x": 0, "y": 2}]),
            "script": self.script,
            "done": self.done() if self._with_interventions else self.sent(),
            "then": self.then() if self._with_interventions else [],
        }

    def a_flow(self, flow_id, depth, at, *, in_end=False):
        flow = {"id": flow_id, "name": flow_id, **self.body(depth, at, in_end=in_end)}
        if self.chance(8):
            flow["timeout"] = self.seconds(1, 1000)
        if self.chance(8):
            flow["output"] = self.pick(FLOW_OUTPUTS)
        if self.chance(5):
            flow["finally"] = self.body(MAX_DEPTH - 1, f"{at}~finally", in_end=True)
        return flow

    def chance(self, one_in):
        """Whether something is the case that is not, if it can be left out."""
        return self.integer(0, one_in - 1) == one_in - 1

    def seconds(self, least, most):
        """Seconds that nothing else takes."""
        self._number += 1
        fraction = round(random.Random(self._number).random(), 6)
        return self.integer(least, most) + fraction

    def done(self):
        done = self.sent()
        if self._may_wait_for_ever or self.chance(3):
            done["cancel"] = self.seconds(0, 600)
        if self.chance(2):
            done["crashes"] = sorted(self.seconds(0, 600) for _ in range(self.integer(1, 2)))
            if self.chance(8):
                done["cancel"] = done["crashes"][-1]  # as the first thing behind it
        if self.chance(4):
            since = self.seconds(0, 400)
            done["pause"] = [since, since + self.seconds(1, 300)]
        if self.chance(6):
            done["meddling"] = sorted(
                [
                    self.seconds(0, 300),
                    self.pick(["pause", "resume", "skip", "skip"]),
                    self.integer(0, 99) / 100,
                ]
                for _ in range(self.integer(2, 6))
            )
        return done

    def then(self):
        """What is done after the end, each time that there is one."""
        acts = []
        for _ in range(self.pick([0, 1, 1, 2])):
            act = {"do": self.pick(MADE_TO_GO_ON), "after": self.seconds(1, 100)}
            if act["do"] != "retry":
                act["pick"] = self.integer(0, 99) / 100
            if act["do"] == "rerun":
                act |= {"context": {"x": 2}} if self.chance(4) else {}
            if self._may_wait_for_ever or self.chance(3):
                act["done"] = self.done()
            acts.append(act)
        return acts

    def sent(self):
        """The signals that are sent: before they are waited for, meanwhile, later, or never."""
        signals = [
            [self.seconds(0, 400), name, self.pick([1, 1, 2, "refused"])]
            for name in self._signals
            for _ in range(self.pick([0, 1, 1, 2, 3]))
        ]
        return {"signals": sorted(signals)} if signals else {}

    def body(self, depth, at, *, in_end=False):
        count = self.integer(1, 4)
        names = []
        for _ in range(count):
            if self._left or not names:
                self._left -= 1
                names.append(f"t{MAX_TASKS - self._left}")
        tasks = []
        for name in names:
            # What begins a scope takes a time of its own, so that scopes that are opened at once
            # never do something at once from there on.
            is_entry = depth > 1 and name == names[0]
            tasks.append(self.task(name, depth, at, is_entry=is_entry, in_end=in_end))
        visits = self.pick([1, 1, 2, 3])
        conditions = []
        for position, name in enumerate(names):
            conditions += self.conditions(name, names, position, is_loop=visits > 1, in_end=in_end)
        body = {"start_task": names[0], "tasks": tasks, "conditions": conditions}
        return body | ({"max_visits": visits} if visits > 1 else {})

    def conditions(self, name, names, position, *, is_loop, in_end):
        found = []
        following = names[position + 1 :]
        targets = ["end", *(names if is_loop else following)]
        if self.chance(4):
            condition = {"source_task": name, "target_task_success": self.pick(targets)}
            condition["when"] = self.pick(WHENS_OF_THE_END if in_end else WHENS)
            found.append(condition)
        if following and not self.chance(4):
            condition = {"source_task": name, "target_task_success": following[0]}
            if self.chance(2):
                condition["target_task_failure"] = self.pick(targets)
            found.append(condition)
        elif self.chance(2):
            condition = {
                "source_task": name,
                "outcome": self.pick(["success", "failure"]),
                "target_task_success": self.pick(targets),
                "target_task_failure": self.pick(targets),
            }
            found.append(condition)
        return found

    def task(self, name, depth, at, *, is_entry, in_end):
        kinds = ["activity"] * 6 + ["wait", "signal", "set", "raise"]
        if depth < MAX_DEPTH and self._left > 2:
            kinds += ["parallel", "map", "flow"] * 2
        kind = "activity" if is_entry else self.pick(kinds)
        task = {"name": name, "kind": kind, **getattr(self, kind)(name, depth, at, in_end=in_end)}
        if kind in {"activity", "parallel", "map", "flow"}:
            task |= self.attempts(is_entry=is_entry)
        if kind not in {"wait", "signal", "raise"} and not in_end and self.chance(4):
            task["compensate"] = self.activity(f"undo_{name}", depth, f"~{at}", in_end=True)
            if self.chance(3):
                task["compensate"]["retry"] = self.retry(2, 3)
        return task

    def attempts(self, *, is_entry):
        fields = {}
        if self.chance(3):
            fields["retry"] = self.retry(3, 60)
        if not is_entry and self.chance(4):
            fields["timeout"] = self.seconds(1, 300)
        if not is_entry and self.chance(6):
            fields["deadline"] = self.seconds(1, 600)
        if self.chance(8):
            fields["output"] = self.pick(OUTPUTS)
        return fields

    def retry(self, most, longest):
        retry = {
            "maximum_attempts": self.integer(2, most) if most > 2 else 2,
            "initial_interval": self.seconds(1, longest),
        }
        return retry | ({"non_retryable_error_types": ["Bang"]} if self.chance(4) else {})

    def activity(self, name, depth, at, *, in_end):
        longest = 20 if in_end else 200
        self.script[name] = [self.step(longest) for _ in range(self.integer(1, 3))]
        arguments = {
            "script": name,
            "at": at,
            "visit": "${task.visit}",
            "attempt": "${task.attempt}",
        }
        fields = {"activity": "act", "arguments": arguments}
        return fields | ({"at_most_once": True} if not in_end and self.chance(12) else {})

    def step(self, longest):
        step = {"delay": self.integer(1, longest), "lingers": self.pick([0, 0, 0, 3])}
        if self.chance(3):
            return step | {"raises": self.pick(["Boom", "Boom", "Bang", "Final"])}
        return step | {"returns": self.pick([1, 2, "${x}", "${y}"])}

    def wait(self, name, depth, at, *, in_end):
        return {"seconds": self.seconds(0, 20 if in_end else 200)}

    def signal(self, name, depth, at, *, in_end):
        signal = f"s{name}"
        self._signals.append(signal)
        fields = {"signal": signal, "schema": {"type": "integer"}}
        if in_end or not self._with_interventions or not self.chance(6):
            return fields | {"timeout": self.seconds(1, 20 if in_end else 300)}
        self._may_wait_for_ever = True
        return fields

    def set(self, name, depth, at, *, in_end):
        value = self.pick([1, 2, "${context.x}", "${context.y}"])
        return {"values": {self.pick(["x", "y"]): value}}

    def __getattr__(self, name):
        if name == "raise":
            return lambda *_, **__: {"type": self.pick(["Boom", "Bang"])}
        raise AttributeError(name)

    def parallel(self, name, depth, at, *, in_end):
        count = self.integer(1, 3)
        branches = {
            f"b{n}": self.body(depth + 1, f"{at}/{name}/b{n}", in_end=in_end) for n in range(count)
        }
        join = self.pick(["all", "any", {"at_least": min(2, count)}])
        return {"branches": branches, "join": join, **self.on_failure()}

    def map(self, name, depth, at, *, in_end):
        count = self.integer(0, 4)
        bound = f"i{name}"
        fields = {
            "items": list(range(count)),
            "as": bound,
            "do": self.body(depth + 1, f"{at}/{name}/${{context.{bound}}}", in_end=in_end),
            "tolerated_failures": self.integer(0, 2),
            **self.on_failure(),
        }
        if self.chance(2):
            fields["max_concurrency"] = self.integer(1, 3)
        return fields

    def flow(self, name, depth, at, *, in_end):
        known = [flow_id for flow_id in self.flows if flow_id.startswith("end" if in_end else "f")]
        if known and self.chance(3):
            flow_id = self.pick(known)
        else:
            flow = self.a_flow("", depth + 1, "${context.at}", in_end=in_end)
            flow_id = f"{'end' if in_end else 'f'}{len(self.flows) + 1}"
            self.flows[flow_id] = flow | {"id": flow_id, "name": flow_id}
        arguments = {"at": f"{at}/{name}@${{task.visit}}.${{task.attempt}}"}
        if self.chance(2):
            arguments["x"] = self.pick([1, 2, "${context.x}"])
        return {"flow": flow_id, "arguments": arguments}

    def on_failure(self):
        return {"on_failure": self.pick(["cancel", "wait"])}


@st.composite
def stories(draw, *, with_interventions=True):
    """A strategy of stories; small ones are more frequent, and Hypothesis can shrink them."""

    def integer(least, most):
        return draw(st.integers(least, most))

    def pick(values):
        return draw(st.sampled_from(values))

    return _Author(integer, pick, with_interventions=with_interventions).story()


def random_story(number):
    """The story of a number; large ones are frequent."""
    chance = random.Random(number)
    return _Author(chance.randint, chance.choice, with_interventions=bool(number % 3)).story()
