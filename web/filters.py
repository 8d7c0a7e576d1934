"""Which executions are meant: the fields by which they can be chosen, in a query or in a body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar.openapi.spec import Parameter, Schema

from actors.events import is_scalar
from actors.state import MAX_VERSION
from flowmgr.journal.store import ExecutionQuery, metadata_text
from flowmgr.language.fields import Fields
from flowmgr.language.findings import Findings, Names, join, quote, shorten
from flowmgr.metadata import MAX_ENTRIES, MAX_NAME_LENGTH, MAX_TEXT_LENGTH
from web.bodies import is_whole_number
from web.descriptions import an_object, text, truth, whole_number
from web.limits import METADATA, STATUSES
from web.parameters import refuse_parameters
from web.requests import AnyRequest

EPOCH: Final = 1970
MIN_SECONDS: Final = 10**8
MAX_SECONDS: Final = 10**11
"""A time in seconds is between these: a smaller number is a year or a day, a larger one in
milliseconds.
"""

_OFFSET_AFTER_BLANK = re.compile(r"(:[0-9.,]+) ([0-9]{2}:?[0-9]{2})\Z")
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,12}")
_TRUTHS = {"true": True, "false": False}


class _WrongValueError(Exception):
    """A value cannot be looked for; the message is the rule, as it goes on behind "must be".

    Attributes:
        code: what is wrong with it.
        hint: what may have been meant.
    """

    def __init__(self, rule: str, code: str = "wrong_type", hint: str | None = None) -> None:
        super().__init__(rule)
        self.code = code
        self.hint = hint


class _Filter(msgspec.Struct, frozen=True):
    """A field by which executions can be chosen.

    Attributes:
        attribute: the attribute of `ExecutionQuery` that it sets.
        schema: what OpenAPI says of it.
        read: returns the attribute's value for the field's value in JSON.
        parse: returns the value in JSON for the text in a query.
    """

    attribute: str
    schema: Schema
    read: Callable[[Any], Any]
    parse: Callable[[str], Any] = str


def _status(value: Any) -> Any:
    if value not in STATUSES:
        rule = f"one of {', '.join(STATUSES)}"
        if not isinstance(value, str):
            raise _WrongValueError(rule)
        raise _WrongValueError(rule, "invalid_choice", Names(STATUSES).suggestion(value))
    return value


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise _WrongValueError("text")
    return value


def _version(value: Any) -> Any:
    if not is_whole_number(value) or not 0 <= value <= MAX_VERSION:
        code = "out_of_range" if is_whole_number(value) else "wrong_type"
        raise _WrongValueError("a whole number from 1, or 0 for flows that were only run", code)
    return value


def _truth(value: Any) -> Any:
    if not isinstance(value, bool):
        raise _WrongValueError("true or false")
    return value


def _time(value: Any) -> Any:
    rule = (
        "a time with its offset, such as 2026-01-31T12:00:00+00:00, or seconds since "
        "1970-01-01 UTC, such as 1769860800"
    )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _WrongValueError(rule)
    if isinstance(value, str) and not _SECONDS.fullmatch(value):
        seconds = _instant(value)
        if seconds is None:
            raise _WrongValueError(rule, "invalid_text")
        return seconds
    number = float(value) if isinstance(value, str) else value
    if not MIN_SECONDS <= number < MAX_SECONDS:
        raise _WrongValueError(rule, "out_of_range")
    return float(number)


def _instant(value: str) -> float | None:
    """Return the seconds of a time in ISO 8601; None if it is none, or has no offset."""
    try:
        at = datetime.fromisoformat(_OFFSET_AFTER_BLANK.sub(r"\1+\2", value))
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None and at.year >= EPOCH else None


def _number_or_text(value: str) -> Any:
    return int(value) if _WHOLE_NUMBER.fullmatch(value) else value


def _truth_or_text(value: str) -> Any:
    return _TRUTHS.get(value, value)


_TIME = "ISO 8601 with its offset, or seconds since 1970-01-01 UTC."

FILTERS: Final[dict[str, _Filter]] = {
    "status": _Filter("status", text("How they stand.", enum=STATUSES), _status),
    "flow_id": _Filter("flow_id", text("The flow that they run."), _text),
    "version": _Filter(
        "flow_version",
        whole_number("The version of the flow; 0 for flows that were only run.", 0),
        _version,
        _number_or_text,
    ),
    "started_after": _Filter(
        "started_from", text(f"Started at this time or later: {_TIME}"), _time
    ),
    "started_before": _Filter("started_before", text(f"Started before: {_TIME}"), _time),
    "ended_before": _Filter("ended_before", text(f"Ended before: {_TIME}"), _time),
    "had_failures": _Filter(
        "had_failures", truth("Whether any task failed on the way."), _truth, _truth_or_text
    ),
}

FILTER_PARAMETERS: Final = [
    Parameter(name=name, param_in="query", schema=each.schema, description=each.schema.description)
    for name, each in FILTERS.items()
] + [
    Parameter(
        name=f"{METADATA}<name>",
        param_in="query",
        schema=text("What their metadata has under a name. Several names may be given."),
    )
]

FILTER_SCHEMA: Final = an_object(
    "Which executions: the fields of `GET /executions`; at least one of them.",
    **{name: each.schema for name, each in FILTERS.items()},
    metadata=an_object("What their metadata has."),
)


def query_of(request: AnyRequest) -> ExecutionQuery:
    """Read which executions are meant from the query parameters of a request.

    Raises:
        RequestError: some values cannot be looked for, 400; it has all of them.
    """
    found: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    findings = Findings()
    for name, value in sorted(request.query_params.multi_items()):  # they come in any order
        if name in FILTERS:
            wanted = FILTERS[name]
            try:
                found[wanted.attribute] = wanted.read(wanted.parse(value))
            except _WrongValueError as error:
                message = f"'{name}' is {quote(value)}: it must be {error}"
                findings.add(name, error.code, message, error.hint)
        elif name.startswith(METADATA):
            metadata[name.removeprefix(METADATA)] = value
    for name, problem in _problems_of(metadata):
        findings.add(f"{METADATA}{name}", "out_of_range", problem)
    refuse_parameters(findings)
    return ExecutionQuery(**found, metadata=metadata)


def query_in(chosen: Fields) -> ExecutionQuery:
    """Read which executions are meant from an object of a body; what is wrong with it is noted."""
    chosen.refuse_unknown((*FILTERS, "metadata"))
    found: dict[str, Any] = {}
    for name, wanted in FILTERS.items():
        if chosen.data.get(name) is not None:
            try:
                found[wanted.attribute] = wanted.read(chosen.data[name])
            except _WrongValueError as error:
                message = f"Field '{name}' of {chosen.subject} must be {error}"
                chosen.add(name, error.code, message, error.hint)
    return ExecutionQuery(**found, metadata=_metadata_in(chosen))


def _metadata_in(chosen: Fields) -> dict[str, str]:
    if chosen.data.get("metadata") is None:
        return {}
    given = chosen.inner("metadata", f"the metadata of {chosen.subject}")
    if given is None:
        return {}
    metadata: dict[str, str] = {}
    for name, value in given.data.items():
        if is_scalar(value):
            metadata[name] = metadata_text(value)
        else:
            given.add_wrong_type(name, "a number, true, false or text")
    for name, problem in _problems_of(metadata):
        place = join(given.pointer, name) if name in metadata else given.pointer
        chosen.findings.add(place, "out_of_range", problem)
    return metadata


def _problems_of(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield why no execution can have such metadata: each time the name, "" for all, and why."""
    if (given := len(metadata)) > MAX_ENTRIES:
        yield "", f"Executions can be looked up by {MAX_ENTRIES} metadata at once, not {given}"
    rule = f"a name has 1 to {MAX_NAME_LENGTH} characters, and a value at most {MAX_TEXT_LENGTH}"
    for name, value in metadata.items():
        if not 0 < len(name) <= MAX_NAME_LENGTH or len(value) > MAX_TEXT_LENGTH:
            yield shorten(name), f"Metadata {quote(name)} cannot be looked up: {rule}"
