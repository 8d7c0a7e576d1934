"""Many scopes at once, against a bare task group that does the same; and conditions with `when`."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel

from flowmgr import Engine, activity, open_engine
from tests.benchmarks.figures import Figure
from tests.benchmarks.flows import chain
from tests.benchmarks.scale import Scale
from tests.benchmarks.timing import Times, in_turns

CONCURRENCY = 100


@activity("bench.turn")
async def turn(context: object) -> int:
    """Give up one turn, as whatever is worth running at once does at least once."""
    await anyio.lowlevel.checkpoint()
    return 1


async def measure(backend: str, scale: Scale) -> list[Figure]:
    """Measure one execution of each flow, and what the bare task group takes for the same."""
    branches, items = scale.branches, scale.items
    async with open_engine(activities=[turn]) as engine:
        await engine.register(_parallel(branches))
        await engine.register(_map(items))
        await engine.register(chain(10, "bench.turn"))
        await engine.register(_conditional(10))
        times = await in_turns(
            {
                "branches": lambda count: _run(engine, "parallel", {}, count),
                "bare branches": lambda count: _bare(branches, branches, count),
                "items": lambda count: _run(engine, "map", {"n": list(range(items))}, count),
                "bare items": lambda count: _bare(items, CONCURRENCY, count),
                "when": lambda count: _run(engine, "when", {"limit": 5}, count),
                "without": lambda count: _run(engine, "chain-10", {"limit": 5}, count),
            },
            scale,
        )
    return [
        _figure(backend, f"parallel, {branches:,} branches", times, "branches", branches),
        _figure(backend, f"map, {items:,} items", times, "items", items),
        Figure(
            backend,
            "a condition with `when`",
            (times.best("when") - times.best("without")) / 10 * 1e6,
            "µs",
            times.ratio("when", "without"),
            "flow with it / without",
            None,
            "a chain of 10 tasks",
        ),
    ]


def _figure(backend: str, name: str, times: Times, what: str, count: int) -> Figure:
    ours, bare = times.best(what), times.best(f"bare {what}")
    return Figure(
        backend,
        name,
        ours / count * 1e6,
        "µs each",
        times.ratio(what, f"bare {what}"),
        "ours / bare task group",
        None,
        f"bare {bare / count * 1e6:.1f} µs each; the whole {ours * 1e3:.0f} ms",
    )


async def _run(engine: Engine, flow: str, context: dict[str, Any], count: int) -> None:
    for _ in range(count):
        execution = await engine.run(flow, context)
        assert execution.status == "completed"


async def _bare(tasks: int, at_once: int, count: int) -> None:
    """Do the same in a task group: each task has its result kept; *at_once* of them run."""
    for _ in range(count):
        results: dict[int, int] = {}
        limiter = anyio.CapacityLimiter(at_once)

        async def work(
            number: int, results: dict[int, int], limiter: anyio.CapacityLimiter
        ) -> None:
            async with limiter:
                results[number] = await turn.function({})

        async with anyio.create_task_group() as group:
            for number in range(tasks):
                group.start_soon(work, number, results, limiter)
        assert len(results) == tasks


def _body() -> dict[str, Any]:
    return {"tasks": [{"name": "turn", "activity": "bench.turn"}]}


def _flow(name: str, task: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "start_task": "task",
        "tasks": [{"name": "task", **task}],
        "conditions": [],
    }


def _parallel(branches: int) -> dict[str, Any]:
    bodies = {f"branch-{number}": _body() for number in range(branches)}
    return _flow("parallel", {"kind": "parallel", "branches": bodies})


def _map(items: int) -> dict[str, Any]:
    concurrency = min(items, CONCURRENCY)
    task = {"kind": "map", "items": "${context.n}", "do": _body(), "max_concurrency": concurrency}
    return _flow("map", task)


def _conditional(length: int) -> dict[str, Any]:
    document = chain(length, "bench.turn") | {"id": "when"}
    for condition in document["conditions"]:
        condition["when"] = "result == 1 && context.limit < 10"
    return document
