"""Expressions that are made at random, most of them right, and some of them not."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

_PLAIN = {
    "int": ["0", "1", "-3", "7", "context.n", "size(result)", "result[1]", "task.visit", "0x10"],
    "double": ["1.5", "-0.25", "context.order.total", "2e3"],
    "string": ["'a'", '"b,c"', "r'\\n'", "context.order.id", "execution.id", "'A-1'", "''"],
    "bool": ["true", "false", "context.flag", "has(context.n)", "has(context.gone)"],
    "list": ["result", "[1, 2]", "context.order.lines", "[]", "['a', 'b']"],
    "map": ["context.order", "context", "{'a': 1}", "task", "{}"],
    "null": ["null", "error", "context.nothing"],
    "wrong": ["context.gone", "result[9]", "error.type", "context.n.a"],
}
_KINDS = [*_PLAIN]


class GeneratedExpressions:
    """Makes expressions.

    Args:
        random: decides; the same seed, the same expressions.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._is_in_macro = False

    def take(self, count: int) -> Iterator[str]:
        for _ in range(count):
            self._is_in_macro = False
            yield self.make(self._kind(), self._random.randint(1, 4))

    def make(self, kind: str, depth: int) -> str:
        random = self._random
        if random.random() < 0.02:
            kind = self._kind()
        if depth == 0 or kind in {"null", "wrong"}:
            if self._is_in_macro and random.random() < 0.3:
                return "x"
            return random.choice(_PLAIN[kind])
        if random.random() < 0.1:
            made = [self.make(each, depth - 1) for each in ("bool", kind, kind)]
            return f"({made[0]} ? {made[1]} : {made[2]})"
        return getattr(self, f"_{kind}")(depth - 1)

    def _kind(self) -> str:
        return self._random.choice(_KINDS)

    def _int(self, depth: int) -> str:
        if self._random.random() < 0.3:
            return f"size({self.make(self._random.choice(['string', 'list', 'map']), depth)})"
        return self._infix("int", depth, "+-*/%")

    def _double(self, depth: int) -> str:
        if self._random.random() < 0.2:
            return f"double({self.make('int', depth)})"
        return self._infix("double", depth, "+-*/")

    def _string(self, depth: int) -> str:
        if self._random.random() < 0.3:
            return f"string({self.make(self._random.choice(['int', 'string', 'double']), depth)})"
        return self._infix("string", depth, "+")

    def _bool(self, depth: int) -> str:
        random = self._random
        match random.randrange(7):
            case 0:
                made = self._infix("bool", depth, ["&&", "||"])
            case 1:
                made = f"!({self.make('bool', depth)})"
            case 2:
                made = self._infix(self._kind(), depth, ["==", "!="])
            case 3:
                made = self._infix(random.choice(["int", "double", "string"]), depth, ["<", ">="])
            case 4:
                made = f"({self.make(self._kind(), depth)} in {self.make('list', depth)})"
            case 5:
                method = random.choice(["contains", "startsWith", "endsWith"])
                made = f"{self.make('string', depth)}.{method}({self.make('string', depth)})"
            case _:
                made = self._macro(random.choice(["all", "exists", "exists_one"]), "bool", depth)
        return made

    def _list(self, depth: int) -> str:
        random = self._random
        match random.randrange(4):
            case 0:
                return self._infix("list", depth, "+")
            case 1:
                items = [self.make(self._kind(), depth) for _ in range(random.randrange(4))]
                return f"[{', '.join(items)}]"
            case 2:
                return self._macro("filter", "bool", depth)
        return self._macro("map", self._kind(), depth)

    def _map(self, depth: int) -> str:
        entries = [f"'{key}': {self.make(self._kind(), depth)}" for key in "ab"]
        return f"{{{', '.join(entries)}}}"

    def _infix(self, kind: str, depth: int, operators) -> str:
        operator = self._random.choice(operators)
        return f"({self.make(kind, depth)} {operator} {self.make(kind, depth)})"

    def _macro(self, name: str, kind: str, depth: int) -> str:
        # Another CEL goes through the keys of an object in no order, ours in that of the object.
        has_order = name in {"map", "filter"}
        target = self.make("list" if has_order else self._random.choice(["list", "map"]), depth)
        if self._is_in_macro:
            return self._random.choice(_PLAIN["list" if has_order else "bool"])
        self._is_in_macro = True
        body = self.make(kind, depth)
        self._is_in_macro = False
        return f"{target}.{name}(x, {body})"
