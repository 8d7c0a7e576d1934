"""From the source of an expression to its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from flowmgr.language.cel.errors import ExpressionSyntaxError

MAX_INTEGER: Final = 2**63 - 1

_TOKEN = re.compile(
    r"""
    (?P<space> (?: [ \t\r\n\f] | //[^\r\n]* )+ )
  | (?P<number> 0[xX][0-9a-fA-F]+ | [0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?
      | [0-9]+[eE][+-]?[0-9]+ | [0-9]+ )
  | (?P<text> [rRbB]{0,2} (?: \"\"\" | ''' | \" | ' ) )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<mark> && | \|\| | == | != | <= | >= | [-+*/%<>!?:.,()\[\]{}] )
    """,
    re.VERBOSE,
)
_PLAIN: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip
_IN_BRACKETS: Final = (
    """; a key that is no plain name is written in brackets, as in context["my key"]"""
)
_HINTS: Final = {
    "=": "; equality is written '=='",
    "&": "; 'and' is written '&&'",
    "|": "; 'or' is written '||'",
    "`": _IN_BRACKETS,
}
_ESCAPE = re.compile(
    r"x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}"
)
_RAW = re.compile("[rR]")


class Token(NamedTuple):
    """One word of the source.

    Attributes:
        kind: "literal", "name", "mark" or "end".
        text: how it is written.
        value: what a literal comes to.
        start: where it begins.
        end: where it ends.
    """

    kind: str
    text: str
    value: Any
    start: int
    end: int


def tokenize(source: str) -> list[Token]:
    """Split *source* into tokens; the last one is of kind "end".

    Raises:
        ExpressionSyntaxError: a character that begins nothing, a text that does not end, a number
            too large, or a literal of a type that JSON does not have.
    """
    tokens = list(_scan(source, 0))
    tokens.append(Token("end", "", None, len(source), len(source)))
    return tokens


def closing_brace(text: str, at: int) -> int | None:
    """Where the ``}`` is that ends an expression in *text*, which begins at *at*; None if nowhere.

    Raises:
        ExpressionSyntaxError: something before it is no token.
    """
    depth = 0
    for token in _scan(text, at):
        if token.kind == "mark" and token.text == "{":
            depth += 1
        elif token.kind == "mark" and token.text == "}":
            depth -= 1
            if depth < 0:
                return token.start
    return None


def _scan(source: str, at: int) -> Iterator[Token]:
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            hint = _HINTS.get(source[at], _IN_BRACKETS if source[at].isalpha() else "")
            raise ExpressionSyntaxError(f"{source[at]!r} has no meaning here{hint}", at)
        kind, end = str(found.lastgroup), found.end()
        if kind == "text":
            value, end = _text(source, found.group(), at, end)
            yield Token("literal", source[at:end], value, at, end)
        elif kind == "number":
            yield Token("literal", found.group(), _number(source, at, end), at, end)
        elif kind != "space":
            yield Token(kind, found.group(), None, at, end)
        at = end


def _number(source: str, at: int, end: int) -> int | float:
    digits = source[at:end]
    following = source[end : end + 1]
    if following in {"u", "U"}:
        message = f"{digits}{following} is an unsigned number; write {digits}"
        raise ExpressionSyntaxError(message, at)
    if following == "_" or following.isalnum():
        message = f"The number {digits} runs into {following!r}; put a space or an operator between"
        raise ExpressionSyntaxError(message, end)
    is_hexadecimal = digits[:2] in {"0x", "0X"}
    if not is_hexadecimal and not digits.isdigit():
        value = float(digits)
        if value == float("inf"):
            raise ExpressionSyntaxError(f"The number {digits[:20]} is too large", at)
        return value
    # The smallest integer is written with a minus sign, so that one more is let through here;
    # negating is what brings it back, and nothing else accepts it.
    number = int(digits, 16) if is_hexadecimal else int(digits) if len(digits) < 40 else 2**64  # noqa: PLR2004
    if number > MAX_INTEGER + 1:
        message = f"The number {digits[:20]} is too large: integers have 64 bits"
        raise ExpressionSyntaxError(f"{message}; write it with a decimal point", at)
    return number


def _text(source: str, opening: str, at: int, start: int) -> tuple[str, int]:
    prefix = opening.rstrip("\"'")
    quotes = opening[len(prefix) :]
    if "b" in prefix.lower():
        raise ExpressionSyntaxError("Bytes are no JSON; write the text without the b", at)
    if len(prefix) > 1:
        raise ExpressionSyntaxError(f"A text cannot begin with {opening}", at)
    is_raw = bool(prefix)
    parts: list[str] = []
    place = start
    while not source.startswith(quotes, place):
        character = source[place : place + 1]
        if not character or (len(quotes) == 1 and character in "\r\n"):
            message = f"The text that begins with {opening} does not end; close it with {quotes}"
            raise ExpressionSyntaxError(message, at)
        if character == "\\" and not is_raw:
            character, place = _escape(source, place)
        else:
            place += 1
        parts.append(character)
    return "".join(parts), place + len(quotes)


def _escape(source: str, at: int) -> tuple[str, int]:
    plain = _PLAIN.get(source[at + 1 : at + 2])
    if plain is not None:
        return plain, at + 2
    found = _ESCAPE.match(source, at + 1)
    if found is None:
        message = f"{source[at : at + 2]!r} is no escape; write \\\\ for a backslash, or r'...'"
        raise ExpressionSyntaxError(message, at)
    written = found.group()
    code = int(written, 8) if written.isdigit() else int(written[1:], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - the limits of Unicode
        raise ExpressionSyntaxError(f"\\{written} is no character of Unicode", at)
    return chr(code), found.end()
