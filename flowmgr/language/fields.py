"""Reading the fields of one JSON object by rule, and noting what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from actors.task import MAX_WAIT
from actors.values import ValueRefusedError, decode_value, encode_value
from flowmgr.language.documents import refusal
from flowmgr.language.findings import Findings, Names, capitalised, join, kind_of, quote
from flowmgr.language.texts import TextRule, any_text

MAX_SECONDS: Final = int(MAX_WAIT)
"""No duration is longer than a hundred years: times stay such as a calendar has them."""


class Bounds(NamedTuple):
    """What a number may be.

    Attributes:
        least: the least number, or the one that it must be above.
        most: the greatest.
        is_above: whether it must be above *least*.
    """

    least: float
    most: float
    is_above: bool = False

    def hold(self, number: float) -> bool:
        """Whether *number* is within them; NaN is not."""
        is_above = number > self.least if self.is_above else number >= self.least
        return is_above and number <= self.most

    def rule(self) -> str:
        """What they are, as a sentence goes on after "must be"."""
        if self.is_above:
            return f"above {self.least:g}, and at most {self.most:,.15g}"
        return f"from {self.least:g} to {self.most:,.15g}"


SECONDS: Final = Bounds(0, MAX_SECONDS, is_above=True)


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

    def refuse_unknown(self, known: Sequence[str], listed: Sequence[str] = ()) -> None:
        """Note every field that is not one of *known*; those *listed* are named to the author."""
        unknown = [field for field in self.data if field not in known]
        if unknown:
            names = Names(listed or known)
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
            self.add_wrong_type(field, wanted)
            return None
        if len(value) < least:
            self.add(field, "empty", f"Field '{field}' of {self.subject} must be {wanted}")
            return None
        return value

    def optional_list(self, field: str, *, least: int = 0) -> Sequence[Any]:
        """A list that may be absent or null, with at least so many items."""
        if self.data.get(field) is None:
            return ()
        return self.required_list(field, least=least) or ()

    def is_item(self, field: str, index: int, *, fits: bool, wanted: str) -> bool:
        """Whether an item of a list is what is wanted, which it is if it *fits*; noted if not."""
        if not fits:
            message = f"Item {index + 1} of field {quote(field)} of {self.subject} must be {wanted}"
            self.findings.add(join(self.pointer, field, index), "wrong_type", message)
        return fits

    def optional_integer(self, field: str, default: int, least: int, most: int) -> int | None:
        """A whole number that may be absent or null; None when there is a problem with it."""
        if self.data.get(field) is None:
            return default
        return self.required_integer(field, least, most)

    def required_integer(self, field: str, least: int, most: int) -> int | None:
        """A whole number that is there; None when there is a problem with it."""
        value = self.data[field]
        if not isinstance(value, int) or isinstance(value, bool):
            self.add_wrong_type(field, "a whole number")
            return None
        if not least <= value <= most:
            message = f"Field '{field}' of {self.subject} must be from {least} to {most}"
            self.add(field, "out_of_range", message)
            return None
        return value

    def optional_number(self, field: str, default: float, bounds: Bounds) -> float:
        """A number that may be absent or null."""
        value = self.data.get(field)
        if value is None:
            return default
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self.add_wrong_type(field, "a number")
        elif not bounds.hold(value):
            message = f"Field '{field}' of {self.subject} must be {bounds.rule()}"
            self.add(field, "out_of_range", message)
        else:
            return float(value)
        return default

    def optional_choice(self, field: str, choices: Sequence[str], default: str) -> str:
        """One of some words; may be absent or null."""
        if self.data.get(field) is None:
            return default
        return self.required_choice(field, choices) or default

    def required_choice(self, field: str, choices: Sequence[str]) -> str | None:
        """One of some words, which must be there; None when there is a problem with it."""
        if not self.required(field):
            return None
        value = self.data[field]
        if value in choices:
            return str(value)
        wanted = " or ".join(f"'{choice}'" for choice in choices)
        if isinstance(value, str):
            message = f"Field '{field}' of {self.subject} must be {wanted}, not {quote(value)}"
            self.add(field, "invalid_choice", message, Names(choices).suggestion(value))
        else:
            self.add_wrong_type(field, wanted)
        return None

    def optional_boolean(self, field: str) -> bool:
        """True or false; false if absent or null."""
        value = self.data.get(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.add_wrong_type(field, "true or false")
        return False

    def optional_object(self, field: str) -> dict[str, Any]:
        """An object of the author's that may be absent or null, as a copy."""
        value = self.data.get(field)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.add_wrong_type(field, "an object")
            return {}
        return self.copied(field) or {}

    def copied(self, field: str) -> Any:
        """A JSON value of the author's that is there, as a copy; None if there is a problem."""
        try:
            return decode_value(encode_value(self.data[field]))
        except ValueRefusedError as error:
            code, message = refusal(error, field)
            self.add(field, code, f"{capitalised(self.subject)}: {message}")
            return None

    def inner(self, field: str, subject: str) -> Fields | None:
        """The object in a field that is there; None if it is none."""
        value = self.data[field]
        if isinstance(value, dict):
            return Fields(value, join(self.pointer, field), subject, self.findings)
        self.add_wrong_type(field, "an object")
        return None

    def check_key(self, key: str, rule: TextRule) -> None:
        """Note that a key, which the author chose, breaks the rule for it."""
        fault = any_text(key) or rule(key)
        if fault is not None:
            message = f"A key of {self.subject} {fault.rule}"
            self.add(key, fault.code, message, fault.hint)

    def add_wrong_type(self, field: str, wanted: str) -> None:
        """Note that a field, which is there, has not the type that is wanted."""
        found = kind_of(self.data[field])
        message = f"Field {quote(field)} of {self.subject} must be {wanted}, not {found}"
        self.add(field, "wrong_type", message)

    def _text(self, field: str, rule: TextRule) -> str | None:
        value = self.data[field]
        if not isinstance(value, str):
            self.add_wrong_type(field, "a string")
            return None
        fault = any_text(value) or rule(value)
        if fault is not None:
            message = f"Field '{field}' of {self.subject} {fault.rule}"
            self.add(field, fault.code, message, fault.hint)
        return value

    def _add_unknown(self, field: str, known: Names) -> None:
        closest = None if self.findings.is_full else known.closest(field)
        meant = f"; did you mean {quote(closest)}?" if closest else ""
        message = f"{capitalised(self.subject)} has no field {quote(field)}{meant}"
        hint = f"The fields are: {', '.join(known)}"
        own = next((place for place in ("context", "metadata") if place in known), None)
        if own is not None:
            hint += f". Data of your own goes under '{own}'"
        self.add(field, "unknown_field", message, hint)
