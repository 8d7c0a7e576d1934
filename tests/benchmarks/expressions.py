"""How long expressions take: ``python -m tests.benchmarks.expressions``.

Prints the worst times of hostile and of generated expressions with contexts of one mebibyte, and
what a usual condition costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from actors.expressions import NAMES, ExpressionError
from flowmgr.language.expressions import (
    ExpressionSyntaxError,
    compile_expression,
    compile_predicate,
)
from flowmgr.language.templates import compile_template
from tests.support.expressions import GeneratedExpressions
from tests.support.hostile_expressions import HOSTILE, contexts

BOUND = 0.050
USUAL = "context.order.total > 100.0 && result.status == 'paid'"


def main() -> None:
    """Measure, and print a line for each figure."""
    usual = dict.fromkeys(NAMES)
    usual |= {"context": {"order": {"total": 120.0}}, "result": {"status": "paid"}}
    condition = compile_predicate(USUAL)
    print(f"a usual condition: {_each(lambda: condition.evaluate(usual), 20_000):.2f} us")
    template = compile_template({"id": "${context.order}", "text": "total ${context.order.total}"})
    print(f"a usual template: {_each(lambda: template.evaluate(usual), 20_000):.2f} us")
    print(f"compiling it: {_each(lambda: compile_predicate(USUAL), 500):.0f} us")
    generated = list(GeneratedExpressions(Random(20)).take(2_000))
    for name, context in contexts().items():
        values = {**usual, "context": context, "result": context["list"]}
        condition = compile_predicate("context.int == 1 && size(context.list) >= 0")
        cost = _each(lambda: condition.evaluate(values), 2_000)  # noqa: B023 - called at once
        print(f"context of {name}: a condition {cost:.2f} us")
        _print_worst("hostile", HOSTILE, values)
        _print_worst("generated", generated, values)


def _each(do: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        do()
    return (time.perf_counter() - started) / count * 1e6


def _print_worst(kind: str, sources: Iterable[str], values: dict[str, Any]) -> None:
    times = []
    refused = failed = 0
    for source in sources:
        started = time.perf_counter()
        try:
            expression = compile_expression(source)
        except ExpressionSyntaxError:
            refused += 1
            continue
        finally:
            compiling = time.perf_counter() - started
        best = min(_timed(expression, values) for _ in range(2))
        failed += best[1]
        times.append((best[0], source, compiling))
    times.sort(reverse=True)
    longest = max(compiling for _, _, compiling in times)
    over = sum(seconds > BOUND for seconds, _, _ in times)
    print(
        f"  {kind}: {refused} refused, {failed} without a value, {len(times) - failed} with one; "
        f"{over} over {BOUND * 1e3:.0f} ms; compiling took {longest * 1e3:.1f} ms at most"
    )
    for seconds, source, _ in times[:3]:
        print(f"    {seconds * 1e3:6.2f} ms  {source[:80]}")


def _timed(expression: Any, values: dict[str, Any]) -> tuple[float, bool]:
    started = time.perf_counter()
    try:
        expression.evaluate(values)
    except ExpressionError:
        return time.perf_counter() - started, True
    return time.perf_counter() - started, False


if __name__ == "__main__":
    main()
