"""Metadata: plain values that executions can be looked up by."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from actors.events import Scalar, is_scalar
from actors.values import ValueRefusedError, encode_value
from flowmgr.errors import MetadataError, Problem
from flowmgr.language.documents import refusal
from flowmgr.language.findings import join

MAX_ENTRIES: Final = 32
MAX_NAME_LENGTH: Final = 128
MAX_TEXT_LENGTH: Final = 256


def check_metadata(given: Any) -> dict[str, Scalar]:
    """Return the metadata that an execution is to start with, which somebody has given.

    Raises:
        MetadataError: it is not an object, has too many entries, or one that is not plain or too
            long. The pointers of its problems lead into the metadata.
    """
    if not isinstance(given, dict):
        _refuse("", "wrong_type", "The metadata must be an object")
    if len(given) > MAX_ENTRIES:
        _refuse("", "too_large", f"The metadata has {len(given)} entries; {MAX_ENTRIES} may be")
    for name, value in given.items():
        if not is_searchable(name, value):
            message = (
                f"Metadata {str(name)[:MAX_NAME_LENGTH]!r} must have a name of 1 to "
                f"{MAX_NAME_LENGTH} characters and be a number, true, false, or text of at most "
                f"{MAX_TEXT_LENGTH} characters; larger data goes into the context"
            )
            _refuse(join("", name), "wrong_type", message)
    try:
        encode_value(given)
    except ValueRefusedError as error:
        _refuse("", *refusal(error, "metadata"))
    return dict(given)


def searchable(metadata: dict[str, Any]) -> dict[str, Scalar]:
    """Return those entries of a flow's metadata that its executions can be looked up by."""
    found = [entry for entry in metadata.items() if is_searchable(*entry)]
    return dict(found[:MAX_ENTRIES])


def is_searchable(name: object, value: object) -> bool:
    """Whether an entry is small and plain enough."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME_LENGTH
        and is_scalar(value)
        and (not isinstance(value, str) or len(value) <= MAX_TEXT_LENGTH)
    )


def _refuse(pointer: str, code: str, message: str) -> NoReturn:
    raise MetadataError(message, [Problem(pointer, code, message)])
