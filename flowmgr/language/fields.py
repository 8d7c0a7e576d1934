"""Reading the fields of one JSON object by rule, and noting what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from actors.plan import END
from actors.values import ValueRefusedError, decode_value, encode_value
from flowmgr.language.documents import refusal
from flowmgr.language.findings import SURROGATE, Findings, Names, capitalised, join, kind_of, quote

MAX_NAME_LENGTH: Final = 128
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RESERVED_IDS: Final = frozenset({"execute", "validate"})

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Fault(NamedTuple):
    """The rule that a text breaks, as a sentence goes on after naming the field."""

    code: str
    rule: str
    hint: str | None = None


TextRule = Callable[[str], Fault | None]


class Fields:
    """One JSON object of a document.

    A method that reads a field returns a stand-in when there is a problem with it, so that reading
    goes on: nothing that was read counts if there are problems in the end.

    Attributes:
        data: the object.
        pointer: where it is.
        subject: what it is, inside a sentence: "task 3 ('ship')".
        findings: takes the problems.
    """

    def __init__(
        self, data: dict[str, Any], pointer: str, subject: str, findings: Findings
    ) -> None:
        self.data = data
        self.pointer = pointer
        self.subject = subject
        self.findings = findings

    def add(self, field: str, code: str, message: str, hint: str | None = None) -> None:
        """Note a problem of a field."""
        self.findings.add(join(self.pointer, field), code, message, hint)

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Note every field that is not one of *known*."""
        unknown = [field for field in self.data if field not in known]
        if unknown:
            names = Names(known)
            for field in unknown:
                self._add_unknown(str(field), names)

    def required(self, field: str) -> bool:
        """Whether the field is there; noted if not."""
        if field in self.data:
            return True
        self.add(
            field, "missing_field", f"Missing required field: {quote(field)} in {self.subject}"
        )
        return False

    def required_text(self, field: str, rule: TextRule) -> str | None:
        """A text that must be there. One that breaks the rule is returned all the same."""
        if not self.required(field):
            return None
        return self._text(field, rule)

    def optional_text(self, field: str, rule: TextRule) -> str | None:
        """A text that may be absent or null."""
        if self.data.get(field) is None:
            return None
        return self._text(field, rule)

    def required_list(self, field: str, *, least: int) -> Sequence[Any] | None:
        """A list that must be there, with at least so many items."""
        if not self.required(field):
            return None
        value = self.data[field]
        wanted = "a non-empty list" if least else "a list"
        if not isinstance(value, (list, tuple)):
            self._add_wrong_type(field, wanted)
            return None
        if len(value) < least:
            self.add(field, "empty", f"Field '{field}' of {self.subject} must be {wanted}")
            return None
        return value

    def optional_integer(self, field: str, default: int, least: int, most: int) -> int | None:
        """A whole number that may be absent or null; None when there is a problem with it."""
        value = self.data.get(field)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            self._add_wrong_type(field, "a whole number")
            return None
        if not least <= value <= most:
            message = f"Field '{field}' of {self.subject} must be from {least} to {most}"
            self.add(field, "out_of_range", message)
            return None
        return value

    def optional_boolean(self, field: str) -> bool:
        """True or false; false if absent or null."""
        value = self.data.get(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        self._add_wrong_type(field, "true or false")
        return False

    def optional_object(self, field: str) -> dict[str, Any]:
        """An object of the author's that may be absent or null, as a copy."""
        value = self.data.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._add_wrong_type(field, "an object")
            return {}
        try:
            copy: dict[str, Any] = decode_value(encode_value(value))
        except ValueRefusedError as error:
            code, message = refusal(error, field)
            self.add(field, code, f"{capitalised(self.subject)}: {message}")
            return {}
        return copy

    def _text(self, field: str, rule: TextRule) -> str | None:
        value = self.data[field]
        if not isinstance(value, str):
            self._add_wrong_type(field, "a string")
            return None
        fault = any_text(value) or rule(value)
        if fault is not None:
            message = f"Field '{field}' of {self.subject} {fault.rule}"
            self.add(field, fault.code, message, fault.hint)
        return value

    def _add_wrong_type(self, field: str, wanted: str) -> None:
        found = kind_of(self.data[field])
        message = f"Field '{field}' of {self.subject} must be {wanted}, not {found}"
        self.add(field, "wrong_type", message)

    def _add_unknown(self, field: str, known: Names) -> None:
        closest = None if self.findings.is_full else known.closest(field)
        meant = f"; did you mean {quote(closest)}?" if closest else ""
        message = f"{capitalised(self.subject)} has no field {quote(field)}{meant}"
        hint = f"The fields are: {', '.join(known)}"
        if "metadata" in known:
            hint += ". Data of your own goes under 'metadata'"
        self.add(field, "unknown_field", message, hint)


def any_text(text: str) -> Fault | None:
    """Any text that can be written as UTF-8."""
    if text.isascii() or not SURROGATE.search(text):
        return None
    return Fault("invalid_text", "has half of a surrogate pair, which is no character")


def filled_text(text: str) -> Fault | None:
    """Text that is not only blanks."""
    return None if text.strip() else Fault("empty", "must be a non-empty string")


def name(text: str) -> Fault | None:
    """The name of a task or a condition."""
    if fault := filled_text(text):
        return fault
    if len(text) > MAX_NAME_LENGTH:
        rule = f"is {len(text):,} characters long; {MAX_NAME_LENGTH} are allowed: {quote(text)}"
        return Fault("too_long", rule)
    if _UNPRINTABLE.search(text):
        rule = f"must not have control characters or line breaks: {quote(text)}"
        return Fault("invalid_text", rule)
    return None


def task_name(text: str) -> Fault | None:
    """The name of a task."""
    if text == END:
        rule = f"must not be '{END}': that is the target that ends an execution"
        return Fault("reserved_name", rule, "Choose another name, such as 'finish'")
    return name(text)


def identifier(text: str) -> Fault | None:
    """An id that can stand in an address and in a file name."""
    if fault := filled_text(text):
        return fault
    if ID_PATTERN.fullmatch(text) and ".." not in text:
        return None
    hint = "1 to 128 of A-Z a-z 0-9 . _ - with a letter or digit first, and no '..'"
    return Fault("invalid_id", f"is not an id: {quote(text)}", hint)


def flow_id(text: str) -> Fault | None:
    """The id of a flow."""
    if text in RESERVED_IDS:
        rule = f"must not be {quote(text)}: /flows/{text} is an address of the API"
        return Fault("reserved_name", rule, "Choose another id")
    return identifier(text)
