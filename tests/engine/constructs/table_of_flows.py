"""The rest of the table: what belongs to flows and tasks of every kind, and what no cell is for."""

from tests.engine.constructs.table import CELLS as OF_TASKS
from tests.engine.constructs.table import (
    LONG,
    Cell,
    again,
    backing_off,
    each,
    ending,
    one,
    sub,
    undone,
    wait,
)
from tests.engine.constructs.world import body, flow, parallel_of, task

SET = {"kind": "set", "values": {"sum": "${ 20 + 1 }"}}


def setting(**fields):
    return task("put", **SET, **fields)


def raising(**fields):
    return task("stop", kind="raise", type="Unlikely", message="so it goes", **fields)


CAUGHT = [
    {
        "name": "caught",
        "source_task": "stop",
        "outcome": "failure",
        "when": "error.type == 'Unlikely'",
        "target_task_success": "gate",
    }
]


def choosing(*tasks, when="result == 'through'", source="gate"):
    """The second task if the condition holds for the result of the first, or the third."""
    first, second, third = tasks
    way = {"source_task": source, "target_task_failure": "end"}
    conditions = [
        {"name": "if", "when": when, "target_task_success": second["name"], **way},
        {"name": "else", "target_task_success": third["name"], **way},
    ]
    return flow(first, second, third, conditions=conditions)


OF_FLOWS = {
    "set": {
        "success": Cell(lambda u: flow(setting()), result={"sum": 21}),
        "failure": Cell(
            one("put", kind="set", values={"a": "${ context.no }"}), error="ExpressionError"
        ),
        "crash and recovery": Cell(
            lambda u: flow(setting(), task("gate"), task("of", kind="set", values=OUT)),
            result={"got": 21},
        ),
        "pause and resume": Cell(
            lambda u: flow(task("gate"), setting(), task("of", kind="set", values=OUT)),
            result={"got": 21},
        ),
    },
    "raise": {
        "failure": Cell(lambda u: flow(raising()), error="Unlikely"),
        "success": Cell(
            lambda u: flow(
                raising(), task("ok"), conditions=[{**CAUGHT[0], "target_task_success": "ok"}]
            ),
            result="fine",
        ),
        "crash and recovery": Cell(
            lambda u: flow(raising(), task("gate"), conditions=CAUGHT), result="through"
        ),
        "pause and resume": Cell(
            lambda u: flow(task("gate"), raising()), error="Unlikely", ran=["gate"]
        ),
    },
    "when": {
        "success": Cell(
            lambda u: choosing(
                task("ok"), task("other"), task("tidy"), when="result == 'fine'", source="ok"
            ),
            result="other",
            ran=["ok", "other"],
        ),
        "failure": Cell(
            lambda u: choosing(
                task("ok"), task("other"), task("tidy"), when="context.no == 1", source="ok"
            ),
            error="ExpressionError",
            ran=["ok"],
        ),
        "crash and recovery": Cell(
            lambda u: choosing(task("gate"), task("other"), task("tidy")),
            result="other",
            ran=["gate", "other"],
        ),
        "pause and resume": Cell(
            lambda u: choosing(task("gate"), task("other"), task("tidy"), when="result == 1"),
            result="tidy",
            ran=["gate", "tidy"],
        ),
    },
    "compensate": {
        "success": Cell(lambda u: flow(undone()), result="fine", ran=["ok"]),
        "failure": Cell(
            lambda u: flow(undone(), task("refuse")), error="Refused", ran=["ok", "undo"]
        ),
        "timeout": Cell(
            lambda u: flow(
                task("ok", compensate={"activity": "sleep", "timeout": u, "retry": again(u, 2)}),
                undone("second"),
                task("refuse"),
            ),
            error="Refused",
            ran=["ok", "ok", "undo"],
        ),
        "cancel while running": Cell(lambda u: flow(undone(), task("gate")), ran=["ok", "undo"]),
        "cancel while waiting": Cell(
            lambda u: flow(undone(), wait(u)), gates=0, ran=["ok", "undo"]
        ),
        "crash and recovery": Cell(
            lambda u: flow(
                undone("first"),
                task("second", activity="ok", compensate={"activity": "gate"}),
                task("refuse"),
            ),
            error="Refused",
            ran=["ok", "ok", "gate", "undo"],
        ),
        "pause and resume": Cell(
            lambda u: flow(undone(), task("gate"), task("refuse")),
            error="Refused",
            ran=["ok", "gate", "undo"],
        ),
    },
    "finally": {
        "success": Cell(lambda u: ending(task("ok")), result="fine", ran=["ok", "tidy"]),
        "failure": Cell(lambda u: ending(task("refuse")), error="Refused", ran=["tidy"]),
        "timeout": Cell(
            lambda u: flow(task("ok"), **{"finally": body(task("sleep", timeout=2 * u))}),
            error="TimedOut",
            ran=["ok"],
        ),
        "cancel while running": Cell(lambda u: ending(task("gate")), ran=["tidy"]),
        "cancel while waiting": Cell(lambda u: ending(wait(u)), gates=0, ran=["tidy"]),
        "crash and recovery": Cell(
            lambda u: flow(task("ok"), **{"finally": body(task("gate"), task("tidy"))}),
            result="fine",
            ran=["ok", "gate", "tidy"],
        ),
        "pause and resume": Cell(
            lambda u: ending(task("gate"), task("ok")), result="fine", ran=["gate", "ok", "tidy"]
        ),
    },
    "flow timeout": {
        "success": Cell(lambda u: flow(wait(u, 1), task("ok"), timeout=LONG * u), result="fine"),
        "failure": Cell(lambda u: flow(task("refuse"), timeout=LONG * u), error="Refused"),
        "timeout": Cell(
            lambda u: ending(
                undone(),
                parallel_of(task("sleep"), wait(u), sub("sleep"), each(task("sleep"))),
                timeout=2 * u,
            ),
            error="TimedOut",
            ran=["ok", "undo", "tidy"],
        ),
        "cancel while running": Cell(lambda u: flow(task("gate"), timeout=LONG * u)),
        "cancel while waiting": Cell(lambda u: flow(backing_off(u), timeout=LONG * u), gates=0),
        "crash and recovery": Cell(
            lambda u: flow(task("gate"), timeout=LONG * u), result="through", ran=["gate"]
        ),
        "pause and resume": Cell(
            lambda u: flow(task("gate"), task("ok"), timeout=LONG * u), result="fine"
        ),
    },
}
OUT = {"got": "${ context.sum }"}

CELLS = {**OF_TASKS, **OF_FLOWS}

AT_ONCE = "it takes no time: it never runs nor waits"
NO_CELL = {
    ("wait", "timeout"): "the language has no timeout of a wait: the wait is one itself",
    ("wait", "cancel while running"): "it runs no code: it only waits",
    ("signal", "cancel while running"): "it runs no code: it only waits",
    ("set", "timeout"): AT_ONCE,
    ("set", "cancel while running"): AT_ONCE,
    ("set", "cancel while waiting"): AT_ONCE,
    ("raise", "timeout"): AT_ONCE,
    ("raise", "cancel while running"): AT_ONCE,
    ("raise", "cancel while waiting"): AT_ONCE,
    ("when", "timeout"): AT_ONCE,
    ("when", "cancel while running"): AT_ONCE,
    ("when", "cancel while waiting"): AT_ONCE,
}


def column(name):
    """The cells of a column, as parameters of a test."""
    return [(construct, cells[name]) for construct, cells in CELLS.items() if name in cells]
