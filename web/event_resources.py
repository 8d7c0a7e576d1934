"""How the history of an execution is sent: its events."""

from __future__ import annotations

from typing import Any, Final

from actors.outcome import NULL, ErrorInfo
from flowmgr.executions import RecordedEvent
from web.resources import due_timestamp, error_resource, timestamp

_QUIET: Final = frozenset(
    {
        "binds",
        "context",
        "due",
        "is_compensable",
        "is_merged",
        "items",
        "key",
        "output",
        "parent",
        "parent_task",
        "scope",
        "signal",
    }
)
"""Fields of events that are only sent if they say something: most executions have no use for them.
"""


def _says_nothing(value: Any) -> bool:
    return value is None or value is False or value in ("", NULL)


def event_resource(recorded: RecordedEvent) -> dict[str, Any]:
    """Return how a recorded event is sent: its position, type and time, then its own fields.

    The outcome of an attempt is sent as fields of the event.
    """
    event = recorded.event
    names = [name for name in event.__struct_fields__ if name not in {"at", "v"}]
    fields = {name: getattr(event, name) for name in names}
    for name in _QUIET & fields.keys():
        if _says_nothing(fields[name]):
            del fields[name]
    if "due" in fields:
        fields["due"] = due_timestamp(fields["due"])
    outcome = fields.pop("outcome", None)
    if outcome is not None:
        fields["outcome"] = outcome.status
        fields["result"] = outcome.data
        fields["error"] = outcome.error
        fields["seconds"] = outcome.seconds
    if isinstance(fields.get("error"), ErrorInfo):
        fields["error"] = error_resource(fields["error"])
    start = {"seq": recorded.seq, "type": type(event).__name__, "at": timestamp(event.at)}
    return start | fields
