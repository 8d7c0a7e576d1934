"""The OpenAPI document with what Litestar does not say of this API, or says wrongly."""

from __future__ import annotations

from typing import Any, Final

from litestar import Litestar

from web.problems import PROBLEM_JSON

_NAME: Final = "ProblemDetails"


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


_DETAILS: Final = {
    "type": "object",
    "description": "A problem, as RFC 9457 writes it.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": _text("What kind of problem it is; programs can rely on it."),
        "title": _text("The same for people."),
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": _text("What happened here, in a sentence."),
        "errors": {
            "type": "array",
            "description": "Each thing that is wrong with what was sent.",
            "items": {
                "type": "object",
                "required": ["code", "message", "hint"],
                "properties": {
                    "pointer": _text("Its place in the body, as a JSON Pointer."),
                    "parameter": _text("The query parameter, in place of `pointer`."),
                    "code": _text("Which rule, as a word; programs can rely on it."),
                    "message": _text("What is wrong, in a sentence."),
                    "hint": {
                        "type": ["string", "null"],
                        "description": "The way out, if there is one to name.",
                    },
                },
            },
        },
    },
}

_PROBLEM: Final = {
    "description": "Every other status (4xx, 503) has a problem; its `type` says which.",
    "content": {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{_NAME}"}}},
}


def api_document(app: Litestar) -> dict[str, Any]:
    """Return the OpenAPI document of *app*, with its errors as they are answered."""
    document: dict[str, Any] = _with_any_of(app.openapi_schema.to_schema())
    document["components"]["schemas"][_NAME] = _DETAILS
    for operations in document["paths"].values():
        for operation in operations.values():
            # Litestar thinks that errors are answered as it would.
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = _PROBLEM
    return document


def _with_any_of(value: Any) -> Any:
    """Return a part of the document with `anyOf` for `oneOf`.

    Litestar writes a union as `oneOf`, which 1 is not of `integer` and `number`: it is both.
    """
    if isinstance(value, dict):
        return {
            "anyOf" if key == "oneOf" else key: _with_any_of(part) for key, part in value.items()
        }
    return [_with_any_of(part) for part in value] if isinstance(value, list) else value
