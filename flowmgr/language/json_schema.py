"""The JSON Schema of the language, for editors: what fields there are and of which types.

It says less than validation does: not whether expressions compile, nor whether names exist.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from actors.state import MAX_VERSION
from flowmgr.http.expect import FIRST_STATUS, LAST_STATUS, STATUS_CLASS
from flowmgr.http.request import METHODS, REQUEST_FIELDS
from flowmgr.language.bodies import MAX_VISITS_LIMIT
from flowmgr.language.definition import TaskKind
from flowmgr.language.fields import MAX_SECONDS
from flowmgr.language.task_fields import (
    MAX_ATTEMPTS,
    MAX_BRANCHES,
    MAX_COEFFICIENT,
    MAX_ITEMS,
)
from flowmgr.language.texts import BINDABLE, ID_PATTERN, MAX_NAME_LENGTH
from flowmgr.language.vocabulary import (
    ANY_TASK_FIELDS,
    BODY_FIELDS,
    COMPENSATION_FIELDS,
    CONDITION_FIELDS,
    FLOW_FIELDS,
    KIND_FIELDS,
    REQUIRED_FIELDS,
    RETRY_FIELDS,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Document = dict[str, Any]

_TEXT: Final[Document] = {"type": "string"}
_FILLED: Final[Document] = {"type": "string", "pattern": r"\S"}
_NAME: Final[Document] = _FILLED | {"maxLength": MAX_NAME_LENGTH}
_ID: Final[Document] = {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}
_OBJECT: Final[Document] = {"type": "object"}
_BOOLEAN: Final[Document] = {"type": "boolean"}
_FORMULA: Final[Document] = {"type": "string", "pattern": r"^\$\{"}
_SCHEMA: Final[Document] = {"anyOf": [{"type": "boolean"}, {"$ref": DIALECT}]}
_SECONDS: Final[Document] = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": MAX_SECONDS,
    "description": "seconds",
}
_EXPRESSION: Final[Document] = _FILLED | {"description": "an expression in CEL"}
_OBJECT_TEMPLATE: Final[Document] = {"anyOf": [_OBJECT, _FORMULA]}
_ON_FAILURE: Final[Document] = {"enum": ["cancel", "wait"], "default": "cancel"}


def _whole(least: int, most: int, **more: Any) -> Document:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def _ref(name: str) -> Document:
    return {"$ref": f"#/$defs/{name}"}


_VISITS: Final = _whole(1, MAX_VISITS_LIMIT, default=1)

_FLOW: Final[Document] = {
    "id": _ID,
    "name": _FILLED,
    "description": _TEXT,
    "start_task": _NAME,
    "tasks": {"type": "array", "minItems": 1, "items": _ref("task")},
    "conditions": {"type": "array", "items": _ref("condition")},
    "max_visits": _VISITS,
    "metadata": _OBJECT,
    "timeout": _SECONDS,
    "input": _SCHEMA,
    "output": _EXPRESSION,
    "finally": _ref("body"),
}
_CONDITION: Final[Document] = {
    "name": _NAME,
    "description": _TEXT,
    "source_task": _NAME,
    "when": _EXPRESSION,
    "outcome": {"enum": ["success", "failure"], "default": "success"},
    "target_task_success": _NAME,
    "target_task_failure": _NAME,
}
_RETRY: Final[Document] = {
    "maximum_attempts": _whole(1, MAX_ATTEMPTS, default=3),
    "initial_interval": _SECONDS | {"default": 1},
    "backoff_coefficient": {
        "type": "number",
        "minimum": 1,
        "maximum": MAX_COEFFICIENT,
        "default": 2,
    },
    "maximum_interval": _SECONDS,
    "non_retryable_error_types": {"type": "array", "items": _FILLED},
    "jitter": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
}
_COMPENSATION: Final[Document] = {
    "activity": _ID,
    "arguments": _OBJECT_TEMPLATE,
    "retry": _ref("retry"),
    "timeout": _SECONDS,
}
_METHOD: Final = (
    "^(?:"
    + "|".join("".join(f"[{c}{c.lower()}]" for c in method) for method in METHODS)
    + r")$|\$\{"
)
_PLAIN: Final[Document] = {"type": ["string", "number", "boolean"]}
_PLAIN_OR_NULL: Final[Document] = {"type": ["string", "number", "boolean", "null"]}
_HEADERS: Final[Document] = _OBJECT | {"additionalProperties": _PLAIN_OR_NULL}
_QUERY: Final[Document] = _OBJECT | {
    "additionalProperties": {"anyOf": [_PLAIN_OR_NULL, {"type": "array", "items": _PLAIN}]}
}
_REQUEST: Final[Document] = {
    "method": {"anyOf": [{"enum": list(METHODS)}, {"type": "string", "pattern": _METHOD}]},
    "url": {"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]|\$\{"},
    "headers": {"anyOf": [_HEADERS, _FORMULA]},
    "query": {"anyOf": [_QUERY, _FORMULA]},
    "json": {},
    "follow_redirects": {"anyOf": [_BOOLEAN, _FORMULA]},
}
_STATUS: Final[Document] = {
    "anyOf": [
        _whole(FIRST_STATUS, LAST_STATUS),
        {"type": "string", "pattern": f"^{STATUS_CLASS.pattern}$"},
    ]
}
_TASK: Final[Document] = {
    "name": _NAME | {"not": {"const": "end"}},
    "description": _TEXT,
    "metadata": _OBJECT,
    "activity": _ID,
    "arguments": _OBJECT_TEMPLATE,
    "output": _EXPRESSION,
    "retry": _ref("retry"),
    "timeout": _SECONDS,
    "deadline": _SECONDS,
    "compensate": _ref("compensation"),
    "at_most_once": _BOOLEAN | {"default": False},
    "request": _ref("request"),
    "expect": {"type": "array", "minItems": 1, "items": _STATUS},
    "seconds": {"anyOf": [{"type": "number", "minimum": 0, "maximum": MAX_SECONDS}, _FORMULA]},
    "until": {"anyOf": [{"type": "string", "format": "date-time"}, _FORMULA]},
    "signal": _ID,
    "schema": _SCHEMA,
    "flow": _ID,
    "version": _whole(1, MAX_VERSION),
    "branches": {
        "type": "object",
        "minProperties": 1,
        "maxProperties": MAX_BRANCHES,
        "propertyNames": _NAME,
        "additionalProperties": _ref("body"),
    },
    "join": {
        "anyOf": [
            {"enum": ["all", "any"]},
            {
                "type": "object",
                "properties": {"at_least": _whole(1, MAX_BRANCHES)},
                "required": ["at_least"],
                "additionalProperties": False,
            },
        ],
        "default": "all",
    },
    "on_failure": _ON_FAILURE,
    "items": {"anyOf": [{"type": "array"}, _FORMULA]},
    "as": {"type": "string", "pattern": f"^{BINDABLE.pattern}$", "default": "item"},
    "do": _ref("body"),
    "max_concurrency": _whole(1, MAX_ITEMS),
    "tolerated_failures": _whole(0, MAX_ITEMS, default=0),
    "values": _OBJECT,
    "type": _FILLED,
    "message": _TEXT,
    "data": {},
}
_EITHER: Final[dict[TaskKind, tuple[str, str]]] = {
    "wait": ("seconds", "until"),
    "map": ("do", "flow"),
}


@functools.cache
def flow_schema() -> Document:
    """Return the JSON Schema of a flow document, in each of its wrappings. Not to be changed."""
    definitions = {
        "flow": _object(_FLOW, FLOW_FIELDS, ("name", "start_task", "tasks", "conditions")),
        "body": _object(_FLOW, BODY_FIELDS, ("tasks",)),
        "condition": _object(_CONDITION, CONDITION_FIELDS, ("source_task", "target_task_success")),
        "retry": _object(_RETRY, RETRY_FIELDS, ()),
        "compensation": _object(_COMPENSATION, COMPENSATION_FIELDS, ("activity",)),
        "request": _object(_REQUEST, REQUEST_FIELDS, ("url",)),
        "task": {"oneOf": [_ref(f"{kind}_task") for kind in KIND_FIELDS]},
        **{f"{kind}_task": _task(kind) for kind in KIND_FIELDS},
    }
    return {
        "$schema": DIALECT,
        "title": "A flow of flowmgr",
        "anyOf": [
            _wrapped("flow", _ref("flow")),
            _wrapped("flow_data", _wrapped("flow", _ref("flow"))),
            _ref("flow"),
        ],
        "$defs": definitions,
    }


def _wrapped(field: str, schema: Document) -> Document:
    return {
        "type": "object",
        "properties": {field: schema},
        "required": [field],
        "additionalProperties": False,
    }


def _object(schemas: Document, fields: tuple[str, ...], required: tuple[str, ...]) -> Document:
    return {
        "type": "object",
        "properties": {
            field: schemas[field] if field in required else _or_null(schemas[field])
            for field in fields
        },
        "required": list(required),
        "additionalProperties": False,
    }


def _task(kind: TaskKind) -> Document:
    required = REQUIRED_FIELDS.get(kind, ())
    if kind != "activity":
        required = ("kind", *required)
    schemas = _TASK | {"kind": {"const": kind}}
    task = _object(schemas, (*ANY_TASK_FIELDS, *KIND_FIELDS[kind]), ("name", *required))
    if kind in _EITHER:
        task["oneOf"] = [
            {"required": [field], "properties": {field: {"not": {"type": "null"}}}}
            for field in _EITHER[kind]
        ]
    return task


def _or_null(schema: Document) -> Document:
    """An optional field that is null is as if it were absent."""
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema
