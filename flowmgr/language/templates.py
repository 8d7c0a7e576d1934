"""JSON values with expressions in them: ``"${ expression }"``, or ``"text ${ expression }"``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeVar

from actors.expressions import Expression, text_of
from actors.values import decode_value, encode_value
from flowmgr.language.cel.errors import ExpressionSyntaxError
from flowmgr.language.cel.run import Run
from flowmgr.language.cel.tokens import closing_brace
from flowmgr.language.expressions import CompiledExpression, compile_expression, names_in
from flowmgr.language.findings import join, quote

_OPENING: Final = "${"
_ESCAPED: Final = "$${"

_Make = Callable[[Run], Any]

T = TypeVar("T")


class TemplateError(ValueError):
    """A template has expressions that cannot be used.

    Attributes:
        problems: all of them: a JSON Pointer into the template, and a sentence.
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        pointer, message = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{pointer or 'The template'}: {message}{more}")
        self.problems = problems


def compile_template(value: Any) -> Expression:
    """Compile a JSON value in which texts may have expressions.

    A text that is one ``${ expression }`` and nothing else becomes its value, whatever that is. In
    a text that has more, each becomes text (see `actors.expressions.text_of`). ``$${`` stands for
    ``${``. Keys are never expressions.

    Args:
        value: what `actors.values.encode_value` accepts.

    Returns:
        An expression; each evaluation returns a value of its own. The bound on steps is one for
        all expressions of the template together.

    Raises:
        TemplateError: one expression or more cannot be used.
        ValueRefusedError: *value* is not JSON.
    """
    return _Template(encode_value(value))


def names_in_template(
    value: Any, wanted: Collection[str], pointer: str = ""
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield those of *wanted* that expressions in a template, which can be compiled, speak of.

    For each text of it: a JSON Pointer that leads to it from *pointer* on, and the names.
    """
    for place, sources in sources_in_template(value, pointer):
        yield place, frozenset[str]().union(*(names_in(source, wanted) for source in sources))


def sources_in_template(value: Any, pointer: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield the expressions in a template, which can be compiled.

    For each text that may have some: a JSON Pointer that leads to it from *pointer* on, and they.
    """
    if isinstance(value, str) and _OPENING in value:
        sources: list[str] = []
        _split(value, sources.append)
        yield pointer, sources
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from sources_in_template(item, join(pointer, at))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from sources_in_template(item, join(pointer, key))


class _Template:
    """A template that has been compiled."""

    __slots__ = ("_constant", "_make", "source")

    def __init__(self, encoded: bytes) -> None:
        self.source = encoded.decode()
        self._constant = encoded
        problems: list[tuple[str, str]] = []
        self._make = _compile(decode_value(encoded), "", problems)
        if problems:
            raise TemplateError(problems)

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        if self._make is None:
            return decode_value(self._constant)
        return self._make(Run(values))


def _compile(value: Any, pointer: str, problems: list[tuple[str, str]]) -> _Make | None:
    """What makes *value*; None if it has no expressions and no escapes."""
    if isinstance(value, str):
        try:
            return _text(value)
        except ExpressionSyntaxError as error:
            problems.append((pointer, str(error)))
            return None
    if isinstance(value, list):
        return _list(
            [(item, _compile(item, join(pointer, at), problems)) for at, item in enumerate(value)]
        )
    if isinstance(value, dict):
        made = {
            key: (item, _compile(item, join(pointer, key), problems)) for key, item in value.items()
        }
        return _object(made)
    return None


def _constant(value: Any) -> _Make:
    if not isinstance(value, (list, dict)):
        return lambda _run: value
    encoded = encode_value(value)
    return lambda _run: decode_value(encoded)


def _list(items: list[tuple[Any, _Make | None]]) -> _Make | None:
    if all(make is None for _, make in items):
        return None
    makers = [make or _constant(value) for value, make in items]
    return lambda run: [make(run) for make in makers]


def _object(items: dict[str, tuple[Any, _Make | None]]) -> _Make | None:
    if all(make is None for _, make in items.values()):
        return None
    makers = {key: make or _constant(value) for key, (value, make) in items.items()}
    return lambda run: {key: make(run) for key, make in makers.items()}


def _text(text: str) -> _Make | None:
    parts = _split(text, compile_expression)
    if not any(isinstance(part, CompiledExpression) for part in parts):
        literal = "".join(str(part) for part in parts)
        return None if literal == text else lambda _run: literal
    if len(parts) == 1 and isinstance(parts[0], CompiledExpression):
        return parts[0].run

    def make(run: Run) -> str:
        pieces = [part if isinstance(part, str) else text_of(part.run(run)) for part in parts]
        run.spend(sum(map(len, pieces)) >> 6)
        return "".join(pieces)

    return make


def _split(text: str, made: Callable[[str], T]) -> list[str | T]:
    """Return the parts of *text*: what is between the expressions, and what is *made* of each."""
    parts: list[str | T] = []
    at = 0
    while (opening := text.find(_OPENING, at)) >= 0:
        if opening > at and text[opening - 1] == "$":
            parts.append(text[at : opening - 1] + _OPENING)
            at = opening + len(_OPENING)
            continue
        if opening > at:
            parts.append(text[at:opening])
        begin = opening + len(_OPENING)
        end = closing_brace(text, begin)
        if end is None:
            message = f"The expression {quote(text[opening:])} does not end; close it with }}"
            raise ExpressionSyntaxError(
                f"{message}, or write {_ESCAPED} for the characters {_OPENING}"
            )
        parts.append(made(text[begin:end].strip()))
        at = end + 1
    if at < len(text):
        parts.append(text[at:])
    return parts
