"""From tokens to the parts of an expression, by recursive descent."""

from __future__ import annotations

from typing import Final, NoReturn

from flowmgr.language.cel.errors import ExpressionSyntaxError
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
from flowmgr.language.cel.tokens import MAX_INTEGER, Token, tokenize
from flowmgr.language.findings import quote

MACROS: Final = ("all", "exists", "exists_one", "existsOne", "filter", "map")
"""The comprehensions."""

MAX_NESTING: Final = 24
"""Levels of brackets, calls and choices: what the stack of a thread has to hold."""

_LOGIC: Final = ("||", "&&")
_RANKS: Final = (
    frozenset({"<", "<=", ">", ">=", "==", "!=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"}
    | {"package", "namespace", "return", "var", "void", "while"}
)
_RESERVED_HINTS: Final = {
    "if": "write condition ? a : b",
    "else": "write condition ? a : b",
    "for": "write list.map(x, ...)",
    "while": "write list.map(x, ...)",
}


def parse(source: str) -> Node:
    """Parse *source*.

    Raises:
        ExpressionSyntaxError: it is not in the language, or nested too deep.
    """
    return _Parser(source).parse()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokenize(source)
        self._at = 0
        self._depth = 0

    def parse(self) -> Node:
        node = self._expression()
        if self._next.kind != "end":
            self._unexpected("an operator or the end")
        return node

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _is(self, mark: str) -> bool:
        token = self._next
        return token.text == mark and token.kind != "literal"

    def _take(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _took(self, mark: str) -> bool:
        if self._is(mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> Token:
        if not self._is(mark):
            self._unexpected(f"'{mark}'")
        return self._take()

    def _unexpected(self, wanted: str) -> NoReturn:
        token = self._next
        found = "it ends" if token.kind == "end" else f"there is {quote(token.text)}"
        raise ExpressionSyntaxError(f"Expected {wanted}, but {found}", token.start)

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            message = f"It is nested deeper than {MAX_NESTING} levels; split it, or flatten it"
            raise ExpressionSyntaxError(message, self._next.start)
        node = self._logic(0)
        if self._took("?"):
            then = self._logic(0)
            self._expect(":")
            otherwise = self._expression()
            node = Choice(node.start, otherwise.end, node, then, otherwise)
        self._depth -= 1
        return node

    def _logic(self, rank: int) -> Node:
        if rank == len(_LOGIC):
            return self._chain(0)
        operands = [self._logic(rank + 1)]
        while self._took(_LOGIC[rank]):
            operands.append(self._logic(rank + 1))
        if len(operands) == 1:
            return operands[0]
        return Logic(operands[0].start, operands[-1].end, _LOGIC[rank], tuple(operands))

    def _chain(self, rank: int) -> Node:
        if rank == len(_RANKS):
            return self._unary()
        first = self._chain(rank + 1)
        rest: list[tuple[str, Node]] = []
        while self._next.kind != "literal" and self._next.text in _RANKS[rank]:
            operator = self._take().text
            rest.append((operator, self._chain(rank + 1)))
        if not rest:
            return first
        return Chain(first.start, rest[-1][1].end, first, tuple(rest))

    def _unary(self) -> Node:
        token = self._next
        for operator in ("!", "-"):
            count = 0
            while self._took(operator):
                count += 1
            if count:
                return self._signed(token.start, operator, count)
        return self._member()

    def _signed(self, start: int, operator: str, count: int) -> Node:
        token = self._next
        is_number = token.kind == "literal" and type(token.value) in (int, float)
        if operator == "-" and is_number and self._tokens[self._at + 1].text not in {".", "["}:
            self._take()
            value = -token.value if count % 2 else token.value
            if value == MAX_INTEGER + 1:
                self._too_large(token)
            return Literal(start, token.end, value)
        operand = self._member()
        return Unary(start, operand.end, operator, count, operand)

    def _member(self) -> Node:
        node = self._primary()
        steps: list[Step] = []
        while True:
            start = self._next.start
            if self._took("["):
                key = self._expression()
                steps.append(Step(start, self._expect("]").end, key))
            elif self._took("."):
                field = self._field()
                if self._is("("):
                    node = self._call(field, _path(node, steps))
                    steps = []
                else:
                    steps.append(Step(start, field.end, field.text))
            else:
                return _path(node, steps)

    def _field(self) -> Token:
        if self._next.kind != "name" or self._next.text in {"in", *_CONSTANTS}:
            self._unexpected('the name of a field (write ["..."] for other keys)')
        return self._take()

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "literal":
            if token.value == MAX_INTEGER + 1 and type(token.value) is int:
                self._too_large(token)
            return Literal(token.start, token.end, token.value)
        if token.kind == "name" and token.text != "in":
            return self._named(token)
        match token.text:
            case "(":
                node = self._expression()
                self._expect(")")
                return node
            case "[":
                items = self._list("]")
                return ListOf(token.start, self._expect("]").end, items)
            case "{":
                entries = self._entries()
                return ObjectOf(token.start, self._expect("}").end, entries)
        self._at -= token.kind != "end"
        return self._unexpected("a value")

    def _too_large(self, token: Token) -> NoReturn:
        message = f"The number {token.text} is too large: integers have 64 bits"
        raise ExpressionSyntaxError(f"{message}; write it with a decimal point", token.start)

    def _named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.start, token.end, _CONSTANTS[token.text])
        if token.text in _RESERVED:
            hint = _RESERVED_HINTS.get(token.text, "choose another name")
            message = f"'{token.text}' is reserved by the language; {hint}"
            raise ExpressionSyntaxError(message, token.start)
        if self._is("("):
            return self._call(token, None)
        if self._is("{"):
            message = (
                f"'{token.text}{{...}}' makes a message, which is no JSON; write {{...}} alone"
            )
            raise ExpressionSyntaxError(message, token.start)
        return Name(token.start, token.end, token.text)

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._is(closing):
            items.append(self._expression())
            if not self._took(","):
                break
        return tuple(items)

    def _entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self._is("}"):
            key = self._expression()
            if isinstance(key, Literal) and not isinstance(key.value, str):
                message = "The keys of an object are text; put it in quotes"
                raise ExpressionSyntaxError(message, key.start)
            self._expect(":")
            entries.append((key, self._expression()))
            if not self._took(","):
                break
        return tuple(entries)

    def _call(self, name: Token, target: Node | None) -> Node:
        self._expect("(")
        arguments = self._list(")")
        end = self._expect(")").end
        start = name.start if target is None else target.start
        if name.text == "has" and target is None:
            return _has(start, end, arguments)
        if name.text in MACROS and target is not None:
            return _macro(name, end, target, arguments)
        return Call(start, end, name.text, target, arguments)


def _path(node: Node, steps: list[Step]) -> Node:
    return Path(node.start, steps[-1].end, node, tuple(steps)) if steps else node


def _has(start: int, end: int, arguments: tuple[Node, ...]) -> Node:
    subject = arguments[0] if len(arguments) == 1 else None
    last = subject.steps[-1].key if isinstance(subject, Path) else None
    if not isinstance(subject, Path) or not isinstance(last, str):
        message = "has() takes one path that ends in a field, as in has(context.order.id)"
        raise ExpressionSyntaxError(f'{message}; for other keys write "key" in object', start)
    return Has(start, end, _path(subject.operand, list(subject.steps[:-1])), last)


def _macro(name: Token, end: int, target: Node, arguments: tuple[Node, ...]) -> Node:
    most = 3 if name.text == "map" else 2
    variable = arguments[0] if arguments else None
    if not isinstance(variable, Name) or not 2 <= len(arguments) <= most:  # noqa: PLR2004
        message = f"'{name.text}' takes a variable and an expression, as in .{name.text}(x, x > 1)"
        raise ExpressionSyntaxError(message, name.start)
    return Macro(target.start, end, name.text, target, variable.name, arguments[1:])
