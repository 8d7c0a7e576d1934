"""JSON Schemas: refused unless they are complete in themselves, and checked within a bound."""

from __future__ import annotations

from typing import Any, Final

import jsonschema_rs

from actors.expressions import Schema
from actors.values import ValueRefusedError, encode_value
from flowmgr.language.findings import join, kind_of
from flowmgr.language.schema_references import check_references

MAX_PROBLEMS: Final = 100

# All problems are found before the first is known, at ten microseconds each.
_ALL_PROBLEMS_BYTES: Final = 16_384
_MAX_SENTENCE: Final = 300
_MAX_SCHEMA_BYTES: Final = 65_536

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


def compile_schema(document: Any) -> Schema:
    """Compile a JSON Schema: of draft 2020-12, unless ``$schema`` names another draft.

    Nothing is fetched, ever. Formats are not checked: they are notes for the reader. Patterns have
    no look-around and no back references.

    Raises:
        SchemaError: it is no valid schema, larger than 64 KiB, refers to something outside of
            itself, or repeats parts of itself so often that checking a value could take long.
    """
    if not isinstance(document, (dict, bool)):
        raise SchemaError("", f"A schema is an object, or true or false, not {kind_of(document)}")
    try:
        size = len(encode_value(document))
    except ValueRefusedError as error:
        raise SchemaError("", f"The schema cannot be used: {error}") from error
    if size > _MAX_SCHEMA_BYTES:
        message = f"The schema has {size:,} bytes, and {_MAX_SCHEMA_BYTES:,} are allowed"
        raise SchemaError("", f"{message}; split it by task")
    problem = check_references(document)
    if problem is not None:
        raise SchemaError(*problem)
    try:
        validator = jsonschema_rs.validator_for(
            document, offline=True, validate_formats=False, pattern_options=_PATTERNS
        )
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(join("", *error.instance_path), _sentence(error)) from error
    except ValueError as error:
        raise SchemaError("", f"The schema cannot be used: {error}") from error
    return _CompiledSchema(validator)


class _CompiledSchema:
    """A schema that has been compiled."""

    __slots__ = ("_validator",)

    def __init__(self, validator: jsonschema_rs.Validator) -> None:
        self._validator = validator

    def problems(self, value: Any) -> list[tuple[str, str]]:
        """Return what is wrong with *value*: JSON Pointers and sentences; empty if it is valid.

        There are `MAX_PROBLEMS` at most, and of a large value only the first.
        """
        try:
            if self._validator.is_valid(value):
                return []
            if len(encode_value(value)) > _ALL_PROBLEMS_BYTES:
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
