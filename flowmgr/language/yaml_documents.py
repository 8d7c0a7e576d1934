"""YAML from outside, read as the JSON that it stands for, or refused with the line and a reason.

Only what JSON has is accepted, and only what every reader of YAML takes for the same. Nothing is
constructed but plain data: the parser (libyaml's) gives events, and these are put together here,
without recursion and within bounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import yaml

from flowmgr.errors import DocumentError, Problem
from flowmgr.language.documents import MAX_DOCUMENT_DEPTH
from flowmgr.language.findings import SURROGATE, join, quote

MAX_YAML_BYTES: Final = 1_048_576
MAX_REPEATED: Final = 1_048_576
"""Values, and characters in them, that aliases may repeat."""

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:.*)?")
_BREAK = re.compile("[\x85\u2028\u2029]")
_ESCAPE: Final = 'Write it as an escape in a text in double quotes, as in "\\u2028"'
_AMBIGUOUS = re.compile(
    r"(?i:y|n|yes|no|on|off)|[-+]?0[0-9_]+|[-+]?0[xXoObB][0-9a-fA-F_]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[-+]?[0-9][0-9,]*_[0-9_,.]*|=|<<"
)


def parse_yaml(text: bytes) -> Any:
    """Read a YAML document.

    Args:
        text: the document, in UTF-8.

    Returns:
        Plain data, as `flowmgr.language.documents.parse_json` does. What aliases repeat is shared.

    Raises:
        DocumentError: it is not UTF-8, not YAML, empty, too large or too deep, or has what JSON
            has not: several documents, tags, keys that are not text or are there twice, dates,
            numbers that are not finite; or what readers of YAML differ about.
    """
    if len(text) > MAX_YAML_BYTES:
        _refuse("", "too_large", f"The document is larger than {MAX_YAML_BYTES:,} bytes of YAML")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        found = f"byte {text[error.start]:#04x} at offset {error.start}"
        message = f"The document is not UTF-8: {found} ({error.reason})"
        _refuse("", "not_utf8", message, "Encode the document as UTF-8")
    if mark := _BREAK.search(decoded):
        line = decoded.count("\n", 0, mark.start()) + 1
        message = f"The document has the character U+{ord(mark[0]):04X}, at line {line}"
        _refuse("", "ambiguous", f"{message}: not every reader breaks the line there", _ESCAPE)
    return _Builder().build(_events(decoded))


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        _refuse("", "malformed_yaml", f"The document is not YAML: {error.problem}{where}")
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        _refuse("", "malformed_yaml", f"The document is not YAML: {reason}")


def _refuse(pointer: str, code: str, message: str, hint: str | None = None) -> NoReturn:
    raise DocumentError(message, [Problem(pointer, code, message, hint)])


class _Weighed:
    """A value, and how much an alias of it repeats.

    Attributes:
        value: the value.
        weight: how many values there are in it, and characters in those.
        height: levels of mappings and sequences in it.
    """

    __slots__ = ("height", "value", "weight")

    def __init__(self, value: Any, weight: int = 1, height: int = 0) -> None:
        self.value = value
        self.weight = weight
        self.height = height


class _Open(_Weighed):
    """A mapping or a sequence whose end has not come.

    Attributes:
        anchor: the name that aliases have for it, if any.
        key: in a mapping, the key whose value is next; None before a key.
    """

    __slots__ = ("anchor", "key")

    def __init__(self, value: Any, anchor: str | None) -> None:
        super().__init__(value, height=1)
        self.anchor = anchor
        self.key: str | None = None

    @property
    def wants_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None

    @property
    def place(self) -> str | int:
        """The key or the position of what is next."""
        if isinstance(self.value, dict):
            return "" if self.key is None else self.key
        return len(self.value)


class _Builder:
    """Puts events together to one value."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchored: dict[str, _Weighed] = {}
        self._repeated = 0
        self._documents = 0
        self._whole: Any = None

    def build(self, events: Iterator[Any]) -> Any:
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._add_scalar(event)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                ended = self._open.pop()
                self._add(ended, ended.anchor)
            elif isinstance(event, yaml.AliasEvent):
                self._repeat(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._refuse(event, "several_documents", "has a second document", "Send one")
        if not self._documents:
            _refuse("", "empty_document", "The document is empty", "Send a YAML document")
        return self._whole

    def _refuse(self, event: Any, code: str, message: str, hint: str | None = None) -> NoReturn:
        pointer = join("", *(each.place for each in self._open if not each.wants_key))
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        where = f"line {line}, column {column}"
        _refuse(pointer, code, f"The document {message}, at {where}", hint)

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            message = f"has the tag {quote(event.tag)}, and JSON has no tags"
            self._refuse(event, "unknown_tag", message, "Take it out; quote what is text")

    def _begin(self, event: Any) -> None:
        self._refuse_tag(event)
        self._refuse_as_key(event)
        if len(self._open) >= MAX_DOCUMENT_DEPTH:
            self._refuse_deep(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open({} if is_mapping else [], event.anchor))

    def _refuse_deep(self, event: Any) -> NoReturn:
        message = f"is nested deeper than {MAX_DOCUMENT_DEPTH} levels"
        self._refuse(event, "too_deep", message, "Send a flatter document")

    def _refuse_as_key(self, event: Any) -> None:
        if self._open and self._open[-1].wants_key:
            self._refuse(event, "invalid_key", "has a key that is not text", "Keys are text")

    def _repeat(self, event: Any) -> None:
        self._refuse_as_key(event)
        repeated = self._anchored.get(event.anchor)
        if repeated is None:
            message = f"has the alias {quote(event.anchor)} of what has not ended before it"
            self._refuse(event, "unknown_alias", message)
        self._repeated += repeated.weight
        if self._repeated > MAX_REPEATED:
            message = f"repeats more than {MAX_REPEATED:,} values and characters by aliases"
            self._refuse(event, "too_large", message, "Write it out, or send JSON")
        if len(self._open) + repeated.height > MAX_DOCUMENT_DEPTH:
            self._refuse_deep(event)
        self._add(repeated)

    def _add_scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        text: str = event.value
        if SURROGATE.search(text):
            self._refuse(event, "lone_surrogate", "has half of a surrogate pair")
        value = self._plain(event, text) if event.implicit[0] else text
        if self._open and self._open[-1].wants_key:
            self._take_key(event, value)
            if event.anchor is not None:
                self._anchored[event.anchor] = _Weighed(value, 1 + len(text))
        else:
            self._add(_Weighed(value, 1 + len(text)), event.anchor)

    def _take_key(self, event: Any, key: Any) -> None:
        if not isinstance(key, str):
            message = f"has the key {quote(event.value)}, which is not text"
            self._refuse(event, "invalid_key", message, f'Quote it: "{event.value[:60]}"')
        holder = self._open[-1]
        if key in holder.value:
            message = f"has the key {quote(key)} more than once in the same mapping"
            self._refuse(event, "duplicate_key", message, "Keep one of them")
        holder.key = key
        holder.weight += len(key)

    def _add(self, item: _Weighed, anchor: str | None = None) -> None:
        if anchor is not None:
            self._anchored[anchor] = item
        if not self._open:
            self._whole = item.value
            return
        holder = self._open[-1]
        holder.weight += item.weight
        holder.height = max(holder.height, 1 + item.height)
        if isinstance(holder.value, list):
            holder.value.append(item.value)
        else:
            holder.value[holder.key] = item.value
            holder.key = None

    def _plain(self, event: Any, text: str) -> Any:
        """The value of text without quotes."""
        if _NULL.fullmatch(text):
            return None
        if _BOOLEAN.fullmatch(text):
            return text[0] in "tT"
        self._refuse_what_json_has_not(event, text)
        try:
            if _INTEGER.fullmatch(text):
                return int(text)
            if not _FLOAT.fullmatch(text):
                return text
            number = float(text)
        except ValueError:
            message = f"has an integer of {len(text):,} digits"
            self._refuse(event, "integer_too_long", message, "Quote it, as text")
        if not math.isfinite(number):
            message = f"has the number {quote(text)}, which is too large"
            self._refuse(event, "not_finite", message, "Quote it, as text")
        return number

    def _refuse_what_json_has_not(self, event: Any, text: str) -> None:
        hint = f'Quote it to mean text: "{text[:60]}"'
        if _DATE.fullmatch(text):
            message = f"has the date {quote(text)}, and JSON has no dates"
            self._refuse(event, "date", message, hint)
        if _NOT_FINITE.fullmatch(text):
            self._refuse(
                event, "not_finite", f"has {quote(text)}, which is no number in JSON", hint
            )
        if _AMBIGUOUS.fullmatch(text):
            message = f"has {quote(text)}, which readers of YAML take for different things"
            hint += ", or write true, false or a decimal number"
            self._refuse(event, "ambiguous", message, hint)
