"""What tasks are given whose fields are not called ``arguments``; an error names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.expressions import Expression, ExpressionError
from flowmgr.language.templates import compile_template


class GivenField:
    """The template in a field.

    Args:
        field: the field's name.
        value: the template.
    """

    __slots__ = ("_field", "_template")

    def __init__(self, field: str, value: Any) -> None:
        self._field = field
        self._template = compile_template(value)

    @property
    def source(self) -> str:
        """As its author wrote it."""
        return self._template.source

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """Return what it comes to; see `Expression`."""
        try:
            return self._template.evaluate(values)
        except ExpressionError as error:
            error.field = self._field
            raise


class GivenFields:
    """The templates in several fields; they come to an object of what each comes to."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields: dict[str, Expression] = {
            field: GivenField(field, value) for field, value in fields.items()
        }

    @property
    def source(self) -> str:
        """As its author wrote it."""
        inside = ", ".join(f'"{name}": {field.source}' for name, field in self._fields.items())
        return f"{{{inside}}}"

    def evaluate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what they come to; see `Expression`."""
        return {name: field.evaluate(values) for name, field in self._fields.items()}
