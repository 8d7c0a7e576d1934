"""From plain data to a draft of a flow: its wrapping, and the fields of the flow itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flowmgr.language.bodies import BodyDraft, BodyReader
from flowmgr.language.definition import BodyDefinition, FlowDefinition
from flowmgr.language.fields import SECONDS, Fields
from flowmgr.language.findings import Findings, capitalised, join, kind_of
from flowmgr.language.formulas import read_expression, read_schema
from flowmgr.language.texts import any_text, filled_text, flow_id
from flowmgr.language.vocabulary import FLOW_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable


class Draft(msgspec.Struct, frozen=True):
    """What could be read of a flow.

    Attributes:
        id: its id, if it has one.
        body: its own tasks and conditions.
        bodies: every body that there is in it, its own among them.
        closing: what is to run at the end.
    """

    id: str | None
    name: str
    description: str
    metadata: dict[str, Any]
    timeout: float | None
    input: dict[str, Any] | bool | None
    output: str | None
    closing: BodyDefinition | None
    body: BodyDraft
    bodies: tuple[BodyDraft, ...]

    def definition(self, new_id: Callable[[], str]) -> FlowDefinition:
        """The definition. Only for a draft that was read without a problem."""
        body = self.body.definition()
        return FlowDefinition(
            id=self.id or new_id(),
            name=self.name,
            start_task=body.start_task,
            tasks=body.tasks,
            conditions=body.conditions,
            description=self.description,
            max_visits=body.max_visits,
            metadata=self.metadata,
            timeout=self.timeout,
            input=self.input,
            output=self.output,
            closing=self.closing,
        )


def unwrap(document: object, findings: Findings) -> Fields | None:
    """Find the flow in its wrapping: {"flow": ...}, {"flow_data": {"flow": ...}} or none."""
    found = _as_fields(document, "", "the document", findings)
    if found is not None and "flow_data" in found.data:
        found = _open(found, "flow_data", findings)
        if found is not None and not found.required("flow"):
            found.refuse_unknown(("flow",))
            return None
    if found is not None and "flow" in found.data:
        found = _open(found, "flow", findings)
    if found is not None:
        found.subject = "the flow"
    return found


def read_flow(flow: Fields) -> Draft:
    """Read the fields of a flow, and everything in it."""
    flow.refuse_unknown(FLOW_FIELDS)
    reader = BodyReader()
    read_id = flow.optional_text("id", flow_id)
    read_name = flow.required_text("name", filled_text)
    body = reader.read(flow)
    return Draft(
        id=read_id,
        name=read_name or "",
        description=flow.optional_text("description", any_text) or "",
        metadata=flow.optional_object("metadata"),
        timeout=flow.optional_number("timeout", 0, SECONDS) or None,
        input=read_schema(flow, "input"),
        output=read_expression(flow, "output"),
        closing=_read_closing(flow, reader),
        body=body,
        bodies=tuple(reversed(reader.bodies)),
    )


def _read_closing(flow: Fields, reader: BodyReader) -> BodyDefinition | None:
    if flow.data.get("finally") is None:
        return None
    closing = flow.inner("finally", "the 'finally' of the flow")
    return None if closing is None else reader.read_inner(closing, 1)


def _open(wrapping: Fields, field: str, findings: Findings) -> Fields | None:
    wrapping.refuse_unknown((field,))
    return _as_fields(
        wrapping.data[field], join(wrapping.pointer, field), f"field '{field}'", findings
    )


def _as_fields(value: object, pointer: str, subject: str, findings: Findings) -> Fields | None:
    if isinstance(value, dict):
        return Fields(value, pointer, subject, findings)
    message = f"{capitalised(subject)} must be an object, not {kind_of(value)}"
    findings.add(pointer, "wrong_type", message)
    return None
