"""Is this document a flow? All problems at once, each with its place, its rule and the way out.

Codes of problems:
    wrong_type, missing_field, unknown_field, field_not_allowed, empty, too_long, out_of_range,
    invalid_text, invalid_id, invalid_outcome, invalid_choice, reserved_name, not_json, too_deep,
    unknown_kind, invalid_expression, invalid_schema: about one field;
    duplicate_name, unknown_task, unknown_activity, unknown_flow, cycle: about how they fit
    together.

Codes of warnings:
    unreachable_task, unused_condition, outcome_failure, duplicate_condition_name,
    unused_max_visits, always_null, flow_cycle.

Code of both:
    more: there were too many to list; the last of a list says how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import uuid_utils

from flowmgr.errors import DefinitionError, Problem
from flowmgr.language.advice import warn_about_conditions, warn_about_graph
from flowmgr.language.definition import FlowDefinition
from flowmgr.language.findings import Findings
from flowmgr.language.names import warn_about_names
from flowmgr.language.reading import Draft, read_flow, unwrap
from flowmgr.language.rules import (
    FlowReference,
    KnownFlows,
    check_activities,
    check_cycles,
    check_flows,
    flows_named_in,
    warn_about_rings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

Inspection = tuple[FlowDefinition | None, list[Problem], list[Problem]]
"""The definition, None when there are problems; the problems; the warnings."""


class ValidatedFlow(msgspec.Struct, frozen=True):
    """A definition without problems, and what is worth telling its author about it."""

    definition: FlowDefinition
    warnings: tuple[Problem, ...] = ()


class OpenedFlow:
    """A flow document of which every field has been read; what it refers to is yet to be checked.

    Args:
        document: plain data, as `flowmgr.language.documents.parse_json` returns it: a flow, bare
            or wrapped as {"flow": ...} or {"flow_data": {"flow": ...}}.

    Attributes:
        pointer: where in the document it is.
        id: its id, if it has one.
        flows: the flows that it refers to.
    """

    def __init__(self, document: object) -> None:
        self._problems = Findings()
        flow = unwrap(document, self._problems)
        self._draft: Draft | None = None if flow is None else read_flow(flow)
        self.pointer = "" if flow is None else flow.pointer
        self.id: str | None = None
        self.flows = frozenset[FlowReference]()
        if self._draft is not None:
            self.id = self._draft.id
            self.flows = flows_named_in(self._draft)

    def inspect(
        self,
        *,
        activities: Collection[str] | None,
        flows: KnownFlows | None,
        new_id: Callable[[], str],
    ) -> Inspection:
        """Check it as a whole. To be called once.

        Args:
            activities: the names of the activities that exist; None to accept any name.
            flows: those of `flows` that exist, each with the flows that it runs, and those that
                these run, as far as that is known; None to accept all.
            new_id: makes the id of a flow that has none.
        """
        draft, problems, warnings = self._draft, self._problems, Findings()
        if draft is None:
            return None, problems.listed(), []
        if activities is not None:
            check_activities(draft, activities, problems)
        check_flows(draft, flows, problems)
        for body in draft.bodies:
            check_cycles(body, problems)
            warn_about_conditions(body, warnings)
        if problems:
            # What leads where is not known for certain, so nothing is said about it.
            return None, problems.listed(), warnings.listed()
        for body in draft.bodies:
            warn_about_graph(body, warnings)
        warn_about_names(draft, warnings)
        warn_about_rings(draft, flows or {}, warnings)
        return draft.definition(new_id), problems.listed(), warnings.listed()

    def validated(
        self,
        *,
        activities: Collection[str] | None,
        flows: KnownFlows | None,
        new_id: Callable[[], str],
    ) -> ValidatedFlow:
        """Check it as `inspect` does, and return it if it has no problems.

        Raises:
            DefinitionError: with all problems, and the warnings.
        """
        definition, problems, warnings = self.inspect(
            activities=activities, flows=flows, new_id=new_id
        )
        if definition is None:
            raise DefinitionError(problems, warnings)
        return ValidatedFlow(definition, tuple(warnings))


def known_together(documents: Sequence[Any]) -> KnownFlows:
    """Return the latest versions of the flows that *documents* have, with what these run."""
    opened = [OpenedFlow(document) for document in documents]
    return {FlowReference(each.id, None): each.flows for each in opened if each.id is not None}


def new_flow_id() -> str:
    """Return an id for a flow that has none."""
    return f"flow-{uuid_utils.uuid7()}"
