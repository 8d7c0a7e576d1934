"""Reading what is evaluated later: expressions, templates and JSON Schemas, each compiled once.

What is compiled here is thrown away: a definition keeps what its author wrote, and the plan is
made of that. Only whether it can be compiled counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowmgr.language.cel.tokens import closing_brace
from flowmgr.language.expressions import (
    ExpressionSyntaxError,
    compile_expression,
    compile_predicate,
)
from flowmgr.language.fields import Fields
from flowmgr.language.findings import join
from flowmgr.language.members import check_members, check_members_of_template
from flowmgr.language.schemas import SchemaError, check_schema
from flowmgr.language.templates import TemplateError, compile_template

MAX_FORMULAS: Final = 262_144
"""Characters that all expressions of a flow may have: a second or two, as measured."""

_OPENING: Final = "${"

_Checks = tuple[Callable[[Any], object], ...]
"""What raises the problems of a value: whether it can be compiled, and what needs that to be so."""


def is_formula(value: object) -> bool:
    """Whether *value* is one whole ``${ expression }``, which can come to anything.

    One that does not end, or has what is no token, counts as well: that is what is wrong with it.
    """
    if not isinstance(value, str) or not value.startswith(_OPENING):
        return False
    try:
        return closing_brace(value, len(_OPENING)) in (None, len(value) - 1)
    except ExpressionSyntaxError:
        return True


def read_expression(fields: Fields, field: str) -> str | None:
    """An expression that may be absent or null."""
    return _read_source(fields, field, (compile_expression, check_members))


def read_predicate(fields: Fields, field: str) -> str | None:
    """An expression that may be absent or null, and comes to true or false."""
    return _read_source(fields, field, (compile_predicate, check_members))


def read_template(fields: Fields, field: str) -> Any:
    """A template that is there; None if there is a problem with it."""
    value = fields.copied(field)
    checks = (compile_template, check_members_of_template)
    is_fine = _fits(fields, field, _size(value)) and _passes(fields, field, checks, value)
    return value if is_fine else None


def read_object_template(fields: Fields, field: str) -> Any:
    """A template that is there and comes to an object, as far as can be told."""
    if isinstance(fields.data[field], dict) or is_formula(fields.data[field]):
        return read_template(fields, field)
    fields.add_wrong_type(field, "an object or '${ expression }'")
    return None


def read_text_template(fields: Fields, field: str) -> Any:
    """A template that is there and comes to text, as far as can be told."""
    if isinstance(fields.data[field], str):
        return read_template(fields, field)
    fields.add_wrong_type(field, "a string")
    return None


def read_schema(fields: Fields, field: str) -> dict[str, Any] | bool | None:
    """A JSON Schema that may be absent or null."""
    value = fields.data.get(field)
    if value is None:
        return None
    if not isinstance(value, (dict, bool)):
        fields.add_wrong_type(field, "a JSON Schema: an object, true or false")
        return None
    copy: dict[str, Any] | bool | None = fields.copied(field)
    return copy if _passes(fields, field, (check_schema,), copy) else None


def _read_source(fields: Fields, field: str, checks: _Checks) -> str | None:
    value = fields.data.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        fields.add_wrong_type(field, "a string")
        return None
    is_fine = _fits(fields, field, len(value)) and _passes(fields, field, checks, value)
    return value if is_fine else None


def _size(template: Any) -> int:
    """Return how many characters the expressions of a template have, at most."""
    size, pending = 0, [template]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            pieces = value.split(_OPENING)[1:]
            size += sum(len(_OPENING) + (piece.rfind("}") + 1 or len(piece)) for piece in pieces)
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
    return size


def _fits(fields: Fields, field: str, size: int) -> bool:
    """Whether there is not more to compile in the document than may be; said once if there is."""
    findings = fields.findings
    had_fitted = findings.formula_size <= MAX_FORMULAS
    findings.formula_size += size
    if findings.formula_size <= MAX_FORMULAS:
        return True
    if had_fitted:
        message = f"With field '{field}' of {fields.subject}, the expressions of the flow have more"
        hint = "do more of it in activities, or in flows that it runs"
        fields.add(field, "too_long", f"{message} than {MAX_FORMULAS:,} characters", hint)
    return False


def _passes(fields: Fields, field: str, checks: _Checks, value: Any) -> bool:
    """Whether *value* passes all checks; its problems are noted if not."""
    try:
        for check in checks:
            check(value)
    except ExpressionSyntaxError as error:
        _add(fields, field, "invalid_expression", [("", str(error))])
    except TemplateError as error:
        _add(fields, field, "invalid_expression", error.problems)
    except SchemaError as error:
        _add(fields, field, "invalid_schema", [(error.pointer, error.message)])
    else:
        return True
    return False


def _add(fields: Fields, field: str, code: str, problems: list[tuple[str, str]]) -> None:
    for pointer, message in problems:
        place = join(fields.pointer, field) + pointer
        fields.findings.add(place, code, f"Field '{field}' of {fields.subject}: {message}")
