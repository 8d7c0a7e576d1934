"""JSON Schemas: refused unless they are complete in themselves, and checked within a bound."""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs

from actors.expressions import Schema
from actors.values import ValueRefusedError, encode_value
from flowmgr.language.findings import join, kind_of
from flowmgr.language.schema_references import MAX_WAYS, ReferencesError, count_ways

MAX_PROBLEMS: Final = 100

# All problems are found before the first is known, at ten microseconds each.
_ALL_PROBLEMS_BYTES: Final = 16_384
_MAX_SENTENCE: Final = 300
_MAX_SCHEMA_BYTES: Final = 65_536

_MAX_VISITS: Final = 200_000_000
"""Visits of parts of a schema, if each byte of JSON were a value: below a second, as measured."""

# Rust's regex crate never backtracks, and these bound what a pattern may become.
_PATTERNS: Final = jsonschema_rs.RegexOptions(size_limit=65_536, dfa_size_limit=1_048_576)


class SchemaError(ValueError):
    """A document is no JSON Schema that can be used.

    Attributes:
        pointer: where in the document, as a JSON Pointer.
        message: what is wrong, without the place.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message)
        self.pointer = pointer
        self.message = message


def check_schema(document: Any) -> None:
    """Return if a document is a JSON Schema that can be used in a flow that is to be registered.

    It is of draft 2020-12, unless ``$schema`` names another one since draft 6.

    Raises:
        SchemaError: it is no valid schema, larger than 64 KiB, refers to something outside of
            itself, or repeats parts of itself so often that checking a value could take long.
    """
    ways = _ways(document)
    named = document.get("$schema") if isinstance(document, dict) else None
    if isinstance(named, str) and "draft-04" in named:  # its `id` changes what references mean
        message = "Draft 4 cannot be used; leave $schema out, and write the schema in draft 2020-12"
        raise SchemaError("/$schema", message)
    if ways > MAX_WAYS:
        message = f"There are more than {MAX_WAYS:,} ways through its parts and references"
        raise SchemaError("", f"{message}; refer to fewer parts, and nest fewer in each other")
    compile_schema(document)


def compile_schema(document: Any) -> Schema:
    """Compile a JSON Schema, also one that was registered when less was asked of it.

    Nothing is fetched, ever. Formats are not checked: they are notes for the reader. Patterns have
    no look-around and no back references.

    Raises:
        SchemaError: it is no valid schema, too large, or refers to something outside of itself.
    """
    ways = _ways(document)
    try:
        validator = jsonschema_rs.validator_for(
            document, offline=True, validate_formats=False, pattern_options=_PATTERNS
        )
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(join("", *error.instance_path), _sentence(error)) from error
    except ValueError as error:
        raise SchemaError("", f"The schema cannot be used: {error}") from error
    return _CompiledSchema(validator, _MAX_VISITS // ways)


def _ways(document: Any) -> int:
    """How many ways there are through what is to be a schema, if it can be one."""
    if not isinstance(document, (dict, bool)):
        raise SchemaError("", f"A schema is an object, or true or false, not {kind_of(document)}")
    try:
        size = len(encode_value(document))
    except ValueRefusedError as error:
        raise SchemaError("", f"The schema cannot be used: {error}") from error
    if size > _MAX_SCHEMA_BYTES:
        message = f"The schema has {size:,} bytes, and {_MAX_SCHEMA_BYTES:,} are allowed"
        raise SchemaError("", f"{message}; split it by task")
    try:
        return count_ways(document)
    except ReferencesError as error:
        raise SchemaError(error.pointer, str(error)) from error


class _CompiledSchema:
    """A schema that has been compiled.

    Args:
        validator: checks values.
        max_bytes: bytes of JSON that a value may have, so that checking it does not take long.
    """

    __slots__ = ("_max_bytes", "_validator")

    def __init__(self, validator: jsonschema_rs.Validator, max_bytes: int) -> None:
        self._validator = validator
        self._max_bytes = max_bytes

    def problems(self, value: Any) -> list[tuple[str, str]]:
        """Return what is wrong with *value*: JSON Pointers and sentences; empty if it is valid.

        There are `MAX_PROBLEMS` at most, and of a large value only the first.
        """
        try:
            size = len(encode_value(value))
            if size > self._max_bytes:
                message = f"The value has {size:,} bytes, and with so many ways through its schema"
                return [("", f"{message} {self._max_bytes:,} are checked; simplify the schema")]
            if self._validator.is_valid(value):
                return []
            if size > _ALL_PROBLEMS_BYTES:
                self._validator.validate(value)
            errors = list(self._validator.iter_errors(value))
        except jsonschema_rs.ValidationError as error:
            errors = [error]
        except ValueError as error:
            return [("", f"The value cannot be checked: {error}")]
        return [(join("", *each.instance_path), _sentence(each)) for each in errors[:MAX_PROBLEMS]]


def _sentence(error: jsonschema_rs.ValidationError) -> str:
    text = error.message
    return text if len(text) <= _MAX_SENTENCE else f"{text[: _MAX_SENTENCE - 3]}..."
