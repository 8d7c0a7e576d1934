"""The table: what each construct does, fails, is cancelled, killed and paused with.

A cell is a flow, and what is to become of it. Times are in units: seconds that are many where time
is virtual and few where it is real. What the cells of one column have to show stands once, in
`test_table`.
"""

from dataclasses import dataclass, field

from tests.engine.constructs.world import body, flow, parallel_of, task

COLUMNS = (
    "success",
    "failure",
    "timeout",
    "cancel while running",
    "cancel while waiting",
    "crash and recovery",
    "pause and resume",
)

LONG = 4_000
"""Units that nobody waits for."""


@dataclass
class Cell:
    """A flow, made from the unit of time, and what is to become of it.

    Attributes:
        flow: makes the flow from the seconds of a unit.
        result: what the task that finishes last has for its result.
        error: the type of the error that it fails with.
        ran: the activities that have come to their end, if that is to be looked at.
        failing: how often the activity "flaky" fails.
        gates: how many activities wait at once, where it is cancelled, killed or paused.
        signals: what is sent to it once it waits, or goes on after a restart or a pause.
        is_sorted: whether it does not matter in which order activities ran.
    """

    flow: object
    result: object = None
    error: str | None = None
    ran: list | None = None
    failing: int = 0
    gates: int = 1
    signals: list = field(default_factory=list)
    is_sorted: bool = False


CHILD = {
    name: flow(
        task(name, **({"activity": name} if name != "wait" else {})), flow_id=f"child-{name}"
    )
    for name in ("ok", "refuse", "gate", "sleep")
}


def children(unit):
    """The flows that run as sub-flows."""
    waiting = flow(task("wait", kind="wait", seconds=LONG * unit), flow_id="child-wait")
    short = flow(task("wait", kind="wait", seconds=3 * unit), flow_id="child-short")
    both = flow(
        task("ok", compensate={"activity": "undo"}),
        task("gate"),
        flow_id="child-undo",
        **{"finally": body(task("tidy"))},
    )
    return [*CHILD.values(), waiting, short, both]


def again(unit, attempts=3, interval=1.0, **fields):
    return {"maximum_attempts": attempts, "initial_interval": interval * unit, **fields}


def one(name, **fields):
    return lambda unit: flow(task(name, **fields))


def wait(unit, seconds=LONG, name="wait"):
    return task(name, kind="wait", seconds=seconds * unit)


def backing_off(unit, name="refuse", activity="refuse"):
    return task(name, activity=activity, retry=again(unit, 5, LONG))


def each(*tasks, items=(1, 2, 3), **fields):
    return task("each", kind="map", items=list(items), do=body(*tasks), **fields)


def nested(*tasks, **fields):
    """Parallel tasks in a map."""
    return each(parallel_of(*tasks), items=(1, 2), **fields)


def sub(name, **fields):
    return task("sub", kind="flow", flow=f"child-{name}", **fields)


def ending(*tasks, **fields):
    return flow(*tasks, **{"finally": body(task("tidy"))}, **fields)


def undone(name="ok", unit=None, **undo):
    return task(name, activity="ok", compensate={"activity": "undo", **undo})


CELLS = {
    "activity": {
        "success": Cell(
            lambda u: flow(task("flaky", retry=again(u), timeout=LONG * u, deadline=LONG * u)),
            result="at last",
            failing=2,
        ),
        "failure": Cell(lambda u: flow(task("refuse", retry=again(u))), error="Refused"),
        "timeout": Cell(
            lambda u: flow(task("sleep", retry=again(u, 2), timeout=2 * u)), error="TimedOut"
        ),
        "cancel while running": Cell(lambda u: flow(task("gate", retry=again(u)))),
        "cancel while waiting": Cell(lambda u: flow(backing_off(u)), gates=0),
        "crash and recovery": Cell(
            lambda u: flow(task("gate", retry=again(u), deadline=LONG * u), task("ok")),
            result="fine",
            ran=["gate", "ok"],
        ),
        "pause and resume": Cell(
            lambda u: flow(task("gate"), task("ok")), result="fine", ran=["gate", "ok"]
        ),
    },
    "wait": {
        "success": Cell(lambda u: flow(wait(u, 3))),
        "failure": Cell(
            one("wait", kind="wait", seconds="${ context.no }"), error="ExpressionError"
        ),
        "cancel while waiting": Cell(lambda u: flow(wait(u), task("ok")), gates=0, ran=[]),
        "crash and recovery": Cell(
            lambda u: flow(wait(u, 3), task("ok")), result="fine", ran=["ok"], gates=0
        ),
        "pause and resume": Cell(
            lambda u: flow(wait(u, 3), task("ok")), result="fine", ran=["ok"], gates=0
        ),
    },
    "signal": {
        "success": Cell(one("go", kind="signal"), result=7, signals=[("go", 7)]),
        "failure": Cell(
            one("go", kind="signal", output="result.no"),
            error="ExpressionError",
            signals=[("go", 7)],
        ),
        "timeout": Cell(lambda u: flow(task("go", kind="signal", timeout=2 * u)), error="TimedOut"),
        "cancel while waiting": Cell(one("go", kind="signal"), gates=0),
        "crash and recovery": Cell(
            one("go", kind="signal"), result=7, signals=[("go", 7)], gates=0
        ),
        "pause and resume": Cell(
            lambda u: flow(task("go", kind="signal"), task("ok")),
            result="fine",
            ran=["ok"],
            signals=[("go", 7)],
            gates=0,
        ),
    },
    "flow": {
        "success": Cell(lambda u: flow(sub("short"), sub("ok") | {"name": "last"}), result="fine"),
        "failure": Cell(lambda u: flow(sub("refuse", retry=again(u, 2))), error="SubflowFailed"),
        "timeout": Cell(lambda u: flow(sub("sleep", timeout=2 * u)), error="TimedOut"),
        "cancel while running": Cell(lambda u: flow(sub("undo")), ran=["ok", "undo", "tidy"]),
        "cancel while waiting": Cell(lambda u: flow(sub("wait")), gates=0),
        "crash and recovery": Cell(
            lambda u: flow(sub("gate"), task("ok")), result="fine", ran=["gate", "ok"]
        ),
        "pause and resume": Cell(
            lambda u: flow(sub("gate"), task("ok")), result="fine", ran=["gate", "ok"]
        ),
    },
    "parallel": {
        "success": Cell(
            lambda u: flow(parallel_of(task("ok"), wait(u, 2))), result={"a": "fine", "b": None}
        ),
        "failure": Cell(
            lambda u: flow(parallel_of(task("gate"), body(wait(u, 1), task("refuse")))),
            error="BranchesFailed",
            ran=[],
        ),
        "timeout": Cell(
            lambda u: flow(parallel_of(task("sleep"), wait(u), task("ok"), timeout=2 * u)),
            error="TimedOut",
            ran=["ok"],
        ),
        "cancel while running": Cell(
            lambda u: flow(parallel_of(task("gate"), task("gate"), wait(u))), gates=2, ran=[]
        ),
        "cancel while waiting": Cell(
            lambda u: flow(parallel_of(wait(u), task("go", kind="signal"), backing_off(u))), gates=0
        ),
        "crash and recovery": Cell(
            lambda u: flow(parallel_of(task("gate"), body(task("ok"), task("gate")), wait(u, 2))),
            result={"a": "through", "b": "through", "c": None},
            ran=["ok", "gate", "gate"],
            gates=2,
        ),
        "pause and resume": Cell(
            lambda u: flow(
                parallel_of(body(task("gate"), task("ok")), task("gate")), task("other")
            ),
            result="other",
            ran=["gate", "gate", "ok", "other"],
            gates=2,
        ),
    },
    "map": {
        "success": Cell(
            lambda u: flow(each(wait(u, 1), task("gate"), max_concurrency=2)), result=[1, 2, 3]
        ),
        "failure": Cell(
            lambda u: flow(each(task("refuse"), tolerated_failures=2)), error="ItemsFailed"
        ),
        "timeout": Cell(
            lambda u: flow(each(task("sleep"), max_concurrency=2, timeout=2 * u)), error="TimedOut"
        ),
        "cancel while running": Cell(
            lambda u: flow(each(task("gate"), max_concurrency=2)), gates=2, ran=[]
        ),
        "cancel while waiting": Cell(lambda u: flow(each(backing_off(u))), gates=0),
        "crash and recovery": Cell(
            lambda u: flow(each(task("gate"), max_concurrency=2)),
            result=[1, 2, 3],
            ran=["gate"] * 3,
            gates=2,
        ),
        "pause and resume": Cell(
            lambda u: flow(each(task("gate"), task("ok"), max_concurrency=2)),
            result=["fine"] * 3,
            ran=["gate"] * 3 + ["ok"] * 3,
            gates=2,
            is_sorted=True,
        ),
    },
    "map of flows": {
        "success": Cell(lambda u: flow(subs("ok")), result=["fine", "fine"]),
        "failure": Cell(lambda u: flow(subs("refuse")), error="ItemsFailed"),
        "timeout": Cell(lambda u: flow(subs("sleep", timeout=2 * u)), error="TimedOut"),
        "cancel while running": Cell(
            lambda u: flow(subs("undo")),
            gates=2,
            ran=["ok"] * 2 + ["undo"] * 2 + ["tidy"] * 2,
        ),
        "cancel while waiting": Cell(lambda u: flow(subs("wait")), gates=0),
        "crash and recovery": Cell(
            lambda u: flow(subs("gate")), result=[1, 2], ran=["gate"] * 2, gates=2
        ),
        "pause and resume": Cell(
            lambda u: flow(subs("gate", max_concurrency=1), task("ok")),
            result="fine",
            ran=["gate", "gate", "ok"],
        ),
    },
    "parallel in map": {
        "success": Cell(
            lambda u: flow(nested(task("ok"), wait(u, 1))), result=[{"a": "fine", "b": None}] * 2
        ),
        "failure": Cell(
            lambda u: flow(nested(task("gate"), body(wait(u, 1), task("refuse")))),
            error="ItemsFailed",
            ran=[],
        ),
        "timeout": Cell(
            lambda u: flow(nested(task("sleep"), wait(u), timeout=2 * u)), error="TimedOut"
        ),
        "cancel while running": Cell(
            lambda u: flow(nested(task("gate"), task("gate"))), gates=4, ran=[]
        ),
        "cancel while waiting": Cell(
            lambda u: flow(nested(wait(u), task("go", kind="signal"), backing_off(u))), gates=0
        ),
        "crash and recovery": Cell(
            lambda u: flow(nested(task("gate"), body(task("ok"), task("gate")))),
            result=[{"a": 1, "b": 1}, {"a": 2, "b": 2}],
            ran=["ok"] * 2 + ["gate"] * 4,
            gates=4,
        ),
        "pause and resume": Cell(
            lambda u: flow(nested(body(task("gate"), task("ok")), task("gate"))),
            result=[{"a": "fine", "b": 1}, {"a": "fine", "b": 2}],
            ran=["gate"] * 4 + ["ok"] * 2,
            gates=4,
        ),
    },
}


def subs(name, **fields):
    return task("subs", kind="map", items=[1, 2], flow=f"child-{name}", **fields)
