"""What to try at a server that has just started with flows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from flowmgr.language.definition import FlowDefinition
from flowmgr.language.rules import flows_run_by
from flowmgr.language.schemas import compile_schema

CONTEXT: Final = {"user_id": "tester"}
"""The context to try a flow with that has nothing to say about it."""


def things_to_try(url: str, flows: Sequence[FlowDefinition]) -> list[str]:
    """Return lines with commands that the server at *url* does not refuse; none without flows."""
    if not flows:
        return []
    flow = _the_one_to_try(flows)
    context = example_context(flow.input)
    if context is None:
        start = f"curl {url}/flows/{flow.id}  # 'input' in its 'definition' says with which context"
    else:
        body = shlex.quote(json.dumps({"flow_id": flow.id, "context": context}))
        header = "'Content-Type: application/json'"
        start = f"curl -X POST {url}/flows/execute -H {header} -d {body}"
    return ["Try:", f"  {start}", f"All that can be asked: {url}/docs"]


def _the_one_to_try(flows: Sequence[FlowDefinition]) -> FlowDefinition:
    """Return the first flow that no other one runs; the first of all if each is run by one."""
    parts = {run.flow_id for flow in flows for run in flows_run_by(flow)}
    return next((flow for flow in flows if flow.id not in parts), flows[0])


def example_context(
    schema: dict[str, Any] | bool | None,  # noqa: FBT001 - a JSON Schema can be true or false
) -> dict[str, Any] | None:
    """Return a context that *schema*, the input of a flow, accepts; None if none is known."""
    if schema is None:
        return CONTEXT
    examples = schema.get("examples") if isinstance(schema, dict) else None
    listed = examples if isinstance(examples, list) else []  # other drafts let it be anything
    given = [each for each in listed if isinstance(each, dict)]
    compiled = compile_schema(schema)
    return next((each for each in [*given, CONTEXT] if not compiled.problems(each)), None)
