"""From the parts of an expression to functions that evaluate them."""

from __future__ import annotations

from typing import Any, Final

from actors.expressions import ExpressionError
from flowmgr.language.cel.errors import MAX_SHOWN
from flowmgr.language.cel.functions import FUNCTIONS, call
from flowmgr.language.cel.macros import comprehension
from flowmgr.language.cel.matching import matcher
from flowmgr.language.cel.nodes import (
    Call,
    Chain,
    Choice,
    Has,
    ListOf,
    Literal,
    Logic,
    Macro,
    Name,
    Node,
    ObjectOf,
    Path,
    Step,
    Unary,
)
from flowmgr.language.cel.operators import arithmetic, contained, equal, negate, order, type_name
from flowmgr.language.cel.run import ERROR_STEPS, Evaluate, Run, TooMuchError
from flowmgr.language.findings import shorten

_CALL_STEPS: Final = 4
_ROUND_STEPS: Final = 2


def compile_node(node: Node, source: str, variable: str | None = None) -> Evaluate:
    """Return what evaluates *node*, which has been checked.

    Args:
        node: the part.
        source: the whole expression, for errors that quote it.
        variable: the variable of the macro that it is in.
    """
    return _Compiler(source, variable).compile(node)


def steps_of(node: Node) -> int:
    """How many steps evaluating *node* takes at most, without what depends on its values."""
    return (_CALL_STEPS if isinstance(node, Call) else 1) + sum(map(steps_of, node.children()))


class _Compiler:
    def __init__(self, source: str, variable: str | None) -> None:
        self._source = source
        self._variable = variable

    def compile(self, node: Node) -> Evaluate:
        evaluate: Evaluate = getattr(self, f"_{type(node).__name__.lower()}")(node)
        return evaluate

    def _literal(self, node: Literal) -> Evaluate:
        value = node.value
        return lambda _run: value

    def _name(self, node: Name) -> Evaluate:
        name = node.name
        if name == self._variable:
            return lambda run: run.item
        return lambda run: run.values[name]

    def _path(self, node: Path) -> Evaluate:
        operand = self.compile(node.operand)
        steps = [(step, self._step(step)) for step in node.steps]
        source = self._source

        def evaluate(run: Run) -> Any:
            value = operand(run)
            for step, take in steps:
                key = take if isinstance(take, str) else take(run)
                if not _leads_on(value, key):
                    owner = source[node.start : step.start]
                    raise ExpressionError(_missing(owner, value, key, step))
                value = value[key]
            return value

        return evaluate

    def _step(self, step: Step) -> Evaluate | str:
        if isinstance(step.key, Literal) and isinstance(step.key.value, str):
            return step.key.value
        return step.key if isinstance(step.key, str) else self.compile(step.key)

    def _has(self, node: Has) -> Evaluate:
        operand = self.compile(node.operand)
        owner = self._source[node.operand.start : node.operand.end]
        field = node.field

        def evaluate(run: Run) -> bool:
            value = operand(run)
            if type(value) is dict:
                return field in value
            raise ExpressionError(f"has(): {_cut(owner)} is {type_name(value)} and has no fields")

        return evaluate

    def _call(self, node: Call) -> Evaluate:
        given = (*(() if node.target is None else (node.target,)), *node.arguments)
        if node.name == "matches":
            pattern = given[1]
            assert isinstance(pattern, Literal)
            return matcher(self.compile(given[0]), pattern.value)
        arguments = [self.compile(each) for each in given]
        name, function = node.name, FUNCTIONS[node.name]
        return lambda run: call(name, function, run, [argument(run) for argument in arguments])

    def _macro(self, node: Macro) -> Evaluate:
        target = self.compile(node.target)
        inner = _Compiler(self._source, node.variable)
        bodies = tuple(inner.compile(body) for body in node.bodies)
        return comprehension(
            node.name, target, bodies, _ROUND_STEPS + sum(map(steps_of, node.bodies))
        )

    def _unary(self, node: Unary) -> Evaluate:
        operand = self.compile(node.operand)
        is_odd = node.count % 2 == 1
        if node.operator == "!":
            return lambda run: _truth(operand(run), "!") is not is_odd

        def evaluate(run: Run) -> Any:
            value = negate(operand(run))
            return value if is_odd else negate(value)

        return evaluate

    def _chain(self, node: Chain) -> Evaluate:
        first = self.compile(node.first)
        rest = [(operator, self.compile(operand)) for operator, operand in node.rest]

        def evaluate(run: Run) -> Any:
            value = first(run)
            for operator, operand in rest:
                value = _apply(run, operator, value, operand(run))
            return value

        return evaluate

    def _logic(self, node: Logic) -> Evaluate:
        operands = [self.compile(operand) for operand in node.operands]
        operator, decides = node.operator, node.operator == "||"

        def evaluate(run: Run) -> bool:
            failure: ExpressionError | None = None
            for operand in operands:
                try:
                    if _truth(operand(run), operator) is decides:
                        return decides
                except TooMuchError:
                    raise
                except ExpressionError as error:
                    run.spend(ERROR_STEPS)
                    failure = failure or error
            if failure is not None:
                raise failure
            return not decides

        return evaluate

    def _choice(self, node: Choice) -> Evaluate:
        condition = self.compile(node.condition)
        then, otherwise = self.compile(node.then), self.compile(node.otherwise)
        return lambda run: then(run) if _truth(condition(run), "?") else otherwise(run)

    def _listof(self, node: ListOf) -> Evaluate:
        items = [self.compile(item) for item in node.items]
        return lambda run: [item(run) for item in items]

    def _objectof(self, node: ObjectOf) -> Evaluate:
        entries = [(self.compile(key), self.compile(value)) for key, value in node.entries]

        def evaluate(run: Run) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for make_key, make_value in entries:
                key = make_key(run)
                if type(key) is not str:
                    raise ExpressionError(f"the keys of an object are text, not {type_name(key)}")
                made[key] = make_value(run)
            return made

        return evaluate


def _apply(run: Run, operator: str, left: Any, right: Any) -> Any:
    if operator == "==":
        return equal(run, left, right)
    if operator == "!=":
        return not equal(run, left, right)
    if operator == "in":
        return contained(run, left, right)
    if operator in {"<", "<=", ">", ">="}:
        return order(run, operator, left, right)
    return arithmetic(run, operator, left, right)


def _leads_on(value: Any, key: Any) -> bool:
    if type(value) is dict:
        return type(key) is str and key in value
    return type(value) is list and type(key) is int and 0 <= key < len(value)


def _truth(value: Any, operator: str) -> bool:
    if value is True or value is False:
        return value
    raise ExpressionError(f"'{operator}' needs a bool, not {type_name(value)}; compare it first")


def _cut(text: str) -> str:
    return shorten(text, MAX_SHOWN)


def _missing(owner: str, value: Any, key: Any, step: Step) -> str:
    shown = _cut(repr(key))
    if type(value) is dict and type(key) is str:
        guard = f"{owner}.{key}" if isinstance(step.key, str) else None
        way_out = f"has({guard})" if guard else f"{shown} in {owner}"
        return f"{_cut(owner)} has no {shown}; guard it with {_cut(way_out)}"
    if type(value) is list and type(key) is int:
        return f"{_cut(owner)} has {len(value)} items and no index {shown}; look at size(...) first"
    kind = type_name(value)
    if kind in {"map", "list"}:
        return f"{_cut(owner)} is a {kind} and has no key of type {type_name(key)}"
    return f"{_cut(owner)} is {kind} and has no {shown}; a path leads through maps and lists"
