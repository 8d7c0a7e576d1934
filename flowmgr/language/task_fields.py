"""Reading the fields that tasks of some kind have, each by its own rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from actors.state import MAX_VERSION
from flowmgr.http.expect import FIRST_STATUS, LAST_STATUS, is_status
from flowmgr.language.definition import (
    BodyDefinition,
    CompensationDefinition,
    Quorum,
    RetryDefinition,
    define,
)
from flowmgr.language.fields import MAX_SECONDS, SECONDS, Bounds, Fields
from flowmgr.language.findings import capitalised, quote
from flowmgr.language.formulas import (
    is_formula,
    read_expression,
    read_object_template,
    read_schema,
    read_template,
    read_text_template,
)
from flowmgr.language.requests import read_request
from flowmgr.language.texts import bindable_name, filled_text, identifier, instant
from flowmgr.language.texts import name as any_name
from flowmgr.language.vocabulary import COMPENSATION_FIELDS, RETRY_FIELDS

MAX_ATTEMPTS: Final = 1_000_000
MAX_BRANCHES: Final = 1_000
MAX_ITEMS: Final = 1_000_000
MAX_COEFFICIENT: Final = 1_000_000

ReadBody = Callable[[Fields], BodyDefinition | None]
"""Reads a body that is inside of a task; None if it is not looked at."""


class Place(NamedTuple):
    """A field that is there.

    Attributes:
        fields: the task, or the part of it, that has the field.
        field: its name.
        read_body: reads what is inside of it.
    """

    fields: Fields
    field: str
    read_body: ReadBody


def _seconds(place: Place) -> float | None:
    seconds = place.fields.optional_number(place.field, 0, SECONDS)
    return seconds or None


def _read_retry(fields: Fields) -> RetryDefinition | None:
    """Read ``retry``, which is there; None if it is no object."""
    retry = fields.inner("retry", f"the retry of {fields.subject}")
    if retry is None:
        return None
    retry.refuse_unknown(RETRY_FIELDS)
    initial = retry.optional_number("initial_interval", 1.0, SECONDS)
    maximum = retry.optional_number("maximum_interval", 0, SECONDS)
    if maximum and maximum < initial:
        message = f"Field 'maximum_interval' of {retry.subject} must not be below the initial one"
        retry.add("maximum_interval", "out_of_range", message)
    return define(
        RetryDefinition,
        maximum_attempts=retry.optional_integer("maximum_attempts", 3, 1, MAX_ATTEMPTS) or 3,
        initial_interval=initial,
        backoff_coefficient=retry.optional_number(
            "backoff_coefficient", 2.0, Bounds(1, MAX_COEFFICIENT)
        ),
        maximum_interval=maximum or None,
        non_retryable_error_types=_read_types(retry),
        jitter=retry.optional_number("jitter", 0.0, Bounds(0, 1)),
    )


def _read_types(retry: Fields) -> tuple[str, ...]:
    field = "non_retryable_error_types"
    types = retry.optional_list(field)
    return tuple(
        kind
        for index, kind in enumerate(types)
        if retry.is_item(
            field, index, fits=isinstance(kind, str) and bool(kind), wanted="a type's name"
        )
    )


def _compensation(place: Place) -> CompensationDefinition | None:
    undo = place.fields.inner("compensate", f"the compensation of {place.fields.subject}")
    if undo is None:
        return None
    undo.refuse_unknown(COMPENSATION_FIELDS)
    activity = undo.required_text("activity", identifier)
    here = undo.data
    return CompensationDefinition(
        activity=activity or "",
        arguments=None
        if here.get("arguments") is None
        else read_object_template(undo, "arguments"),
        retry=None if here.get("retry") is None else _read_retry(undo),
        timeout=undo.optional_number("timeout", 0, SECONDS) or None,
    )


def _request(place: Place) -> dict[str, Any] | None:
    request = place.fields.inner("request", f"the request of {place.fields.subject}")
    return None if request is None else read_request(request)


def _statuses(place: Place) -> tuple[int | str, ...]:
    wanted = f'a status from {FIRST_STATUS} to {LAST_STATUS}, or a class of them as "2xx"'
    fields, field = place.fields, place.field
    found = fields.optional_list(field, least=1)
    return tuple(
        each
        for index, each in enumerate(found)
        if fields.is_item(field, index, fits=is_status(each), wanted=wanted)
    )


def _wait_seconds(place: Place) -> float | str | None:
    fields, field = place.fields, place.field
    if isinstance(fields.data[field], str):
        return _formula(place, "a number or '${ expression }'")
    return fields.optional_number(field, 0, Bounds(0, MAX_SECONDS))


def _until(place: Place) -> str | None:
    if is_formula(place.fields.data[place.field]):
        return _formula(place, "")
    return place.fields.optional_text(place.field, instant)


def _formula(place: Place, wanted: str) -> str | None:
    fields, field = place.fields, place.field
    if not is_formula(fields.data[field]):
        fields.add_wrong_type(field, wanted)
        return None
    read_template(fields, field)
    return str(fields.data[field])


def _branches(place: Place) -> dict[str, BodyDefinition] | None:
    fields = place.fields
    branches = fields.inner("branches", f"the branches of {fields.subject}")
    if branches is None:
        return None
    if not 1 <= len(branches.data) <= MAX_BRANCHES:
        message = f"{capitalised(fields.subject)} must have from 1 to {MAX_BRANCHES:,} branches"
        fields.add("branches", "out_of_range" if branches.data else "empty", message)
        return None
    read: dict[str, BodyDefinition] = {}
    for name in branches.data:
        branches.check_key(name, any_name)
        inner = branches.inner(name, f"branch {quote(name)} of {fields.subject}")
        body = None if inner is None else place.read_body(inner)
        if body is not None:
            read[name] = body
    return read


def _join(place: Place) -> Any:
    fields = place.fields
    if not isinstance(fields.data["join"], dict):
        return fields.optional_choice("join", ("all", "any"), "all")
    quorum = fields.inner("join", f"the join of {fields.subject}")
    if quorum is None:
        return None
    quorum.refuse_unknown(("at_least",))
    if not quorum.required("at_least"):
        return None
    branches = fields.data.get("branches")
    most = len(branches) if isinstance(branches, dict) and branches else MAX_BRANCHES
    least = quorum.required_integer("at_least", 1, most)
    return None if least is None else Quorum(least)


def _items(place: Place) -> Any:
    if not isinstance(place.fields.data["items"], list) and not is_formula(
        place.fields.data["items"]
    ):
        place.fields.add_wrong_type("items", "a list or '${ expression }'")
        return None
    return read_template(place.fields, "items")


def _do(place: Place) -> BodyDefinition | None:
    inner = place.fields.inner("do", f"what {place.fields.subject} does")
    return None if inner is None else place.read_body(inner)


def _values(place: Place) -> Any:
    if not isinstance(place.fields.data["values"], dict):
        place.fields.add_wrong_type("values", "an object")
        return None
    return read_template(place.fields, "values")


def _error_type(place: Place) -> Any:
    value = place.fields.data["type"]
    if isinstance(value, str) and not value.strip():
        place.fields.required_text("type", filled_text)
        return None
    return read_text_template(place.fields, "type")


READERS: Final[dict[str, Callable[[Place], Any]]] = {
    "activity": lambda place: place.fields.optional_text("activity", identifier),
    "arguments": lambda place: read_object_template(place.fields, "arguments"),
    "output": lambda place: read_expression(place.fields, "output"),
    "retry": lambda place: _read_retry(place.fields),
    "timeout": _seconds,
    "deadline": _seconds,
    "compensate": _compensation,
    "at_most_once": lambda place: place.fields.optional_boolean("at_most_once"),
    "request": _request,
    "expect": _statuses,
    "seconds": _wait_seconds,
    "until": _until,
    "signal": lambda place: place.fields.optional_text("signal", identifier),
    "schema": lambda place: read_schema(place.fields, "schema"),
    "flow": lambda place: place.fields.required_text("flow", identifier),
    "version": lambda place: place.fields.optional_integer("version", 1, 1, MAX_VERSION),
    "branches": _branches,
    "join": _join,
    "on_failure": lambda place: place.fields.optional_choice(
        "on_failure", ("cancel", "wait"), "cancel"
    ),
    "items": _items,
    "as": lambda place: place.fields.optional_text("as", bindable_name),
    "do": _do,
    "max_concurrency": lambda place: place.fields.optional_integer(
        "max_concurrency", 1, 1, MAX_ITEMS
    ),
    "tolerated_failures": lambda place: place.fields.optional_integer(
        "tolerated_failures", 0, 0, MAX_ITEMS
    ),
    "values": _values,
    "type": _error_type,
    "message": lambda place: read_text_template(place.fields, "message"),
    "data": lambda place: read_template(place.fields, "data"),
}
"""Reads a field that is there. None if nothing is to be known of it: there is a problem."""
