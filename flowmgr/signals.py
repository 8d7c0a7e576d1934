"""Values that are sent to executions: as JSON, and as the flow wants them."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.plan import Plan
from actors.values import ValueRefusedError, encode_value
from flowmgr.errors import InputError, Problem, SignalError
from flowmgr.language.documents import refusal
from flowmgr.language.findings import Names, quote


def encoded_as_json(value: Any, name: str) -> msgspec.Raw:
    """Return *value* as JSON.

    Args:
        value: anything.
        name: what it is called in errors, and where it is in the request.

    Raises:
        InputError: JSON cannot hold it.
    """
    try:
        return msgspec.Raw(encode_value(value))
    except ValueRefusedError as error:
        code, message = refusal(error, name)
        raise InputError(message, [Problem(f"/{name}", code, message)]) from error


def checked_signal(plan: Plan, name: str, value: Any) -> msgspec.Raw:
    """Return the value of a signal as JSON.

    Args:
        plan: what the execution runs.
        name: the signal's name.
        value: its value.

    Raises:
        SignalError: no task of the flow waits for this signal, or none of those that do takes the
            value; with all that is wrong with it.
    """
    try:
        encoded = msgspec.Raw(encode_value(value))
    except ValueRefusedError as error:
        code, message = refusal(error, "value")
        raise SignalError(message, [Problem("", code, message)]) from error
    if name not in plan.signals:
        message = f"No task of flow '{plan.flow_id}' waits for signal {quote(name)}"
        names = Names(plan.signals)
        known = f"Its signals are: {names.listing()}" if len(names) else "It has no signals"
        hint = names.suggestion(name) or known
        raise SignalError(f"{message}. {hint}", [Problem("", "unknown_signal", message, hint)])
    found = [[] if schema is None else schema.problems(value) for schema in plan.signals[name]]
    if all(found):
        problems = [Problem(pointer, "not_as_wanted", text) for pointer, text in found[0]]
        message = f"The value is not as signal '{name}' has to be: {found[0][0][1]}"
        raise SignalError(message, problems)
    return encoded
