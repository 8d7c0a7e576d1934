"""The comprehensions: all, exists, exists_one, filter and map."""

from __future__ import annotations

from typing import Any

from actors.expressions import ExpressionError
from flowmgr.language.cel.operators import type_name
from flowmgr.language.cel.run import ERROR_STEPS, Evaluate, Run, TooMuchError


def comprehension(
    name: str, target: Evaluate, bodies: tuple[Evaluate, ...], steps: int
) -> Evaluate:
    """Return what evaluates ``target.name(x, *bodies)``.

    Args:
        name: the macro.
        target: comes to the list or the object.
        bodies: one or two expressions about the item.
        steps: what one round costs.
    """
    if name in {"all", "exists"}:
        return _quantified(name, target, bodies[0], steps)
    collect = _collected(name, target, bodies, steps)
    if name in {"filter", "map"}:
        return collect
    return lambda run: len(collect(run)) == 1


def _items(run: Run, name: str, target: Evaluate) -> list[Any]:
    value = target(run)
    if type(value) is list:
        return value
    if type(value) is dict:
        run.spend(len(value) >> 3)
        return list(value)
    raise ExpressionError(f"{name} cannot go through {type_name(value)}; it takes a list or a map")


def _quantified(name: str, target: Evaluate, body: Evaluate, steps: int) -> Evaluate:
    """What decides counts, even after an error for another item."""
    decides = name == "exists"

    def evaluate(run: Run) -> bool:
        failure: ExpressionError | None = None
        for item in _items(run, name, target):
            run.spend(steps)
            run.item = item
            try:
                if _truth(body(run), name) is decides:
                    return decides
            except TooMuchError:
                raise
            except ExpressionError as error:
                run.spend(ERROR_STEPS)
                failure = error
        if failure is not None:
            raise failure
        return not decides

    return evaluate


def _collected(name: str, target: Evaluate, bodies: tuple[Evaluate, ...], steps: int) -> Evaluate:
    has_condition = name != "map" or len(bodies) > 1
    condition = bodies[0]
    result = bodies[-1] if name == "map" else None

    def evaluate(run: Run) -> list[Any]:
        found: list[Any] = []
        for item in _items(run, name, target):
            run.spend(steps)
            run.item = item
            if has_condition and not _truth(condition(run), name):
                continue
            found.append(item if result is None else result(run))
        return found

    return evaluate


def _truth(value: Any, name: str) -> bool:
    if value is True or value is False:
        return value
    raise ExpressionError(f"the condition of {name} has to be a bool, not {type_name(value)}")
