"""Is this document a flow? All problems at once, each with its place, its rule and the way out.

Codes of problems:
    wrong_type, missing_field, unknown_field, empty, too_long, out_of_range, invalid_text,
    invalid_id, invalid_outcome, reserved_name, not_json: about one field;
    duplicate_name, unknown_task, unknown_activity, cycle: about how they fit together.

Codes of warnings:
    unreachable_task, unused_condition, outcome_failure, duplicate_condition_name,
    unused_max_visits.

Code of both:
    more: there were too many to list; the last of a list says how many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from flowmgr.errors import DefinitionError, Problem
from flowmgr.language.definition import FlowDefinition
from flowmgr.language.findings import Findings
from flowmgr.language.reading import read_flow, unwrap
from flowmgr.language.rules import (
    check_activities,
    check_cycles,
    warn_about_conditions,
    warn_about_graph,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class ValidatedFlow(msgspec.Struct, frozen=True):
    """A definition without problems, and what is worth telling its author about it."""

    definition: FlowDefinition
    warnings: tuple[Problem, ...] = ()


def read_definition(
    document: object,
    *,
    activities: Collection[str] | None,
    simulate_unknown: bool = False,
    new_id: Callable[[], str],
) -> ValidatedFlow:
    """Read a flow definition.

    Args:
        document: plain data, as `flowmgr.language.documents.parse_json` returns it: a flow, bare
            or wrapped as {"flow": ...} or {"flow_data": {"flow": ...}}.
        activities: the names of the activities that exist; None to accept any name.
        simulate_unknown: accept the names of activities that do not exist.
        new_id: makes the id of a flow that has none.

    Returns:
        The definition, with warnings.

    Raises:
        DefinitionError: with all problems.
    """
    definition, problems, warnings = inspect(
        document, activities=activities, simulate_unknown=simulate_unknown, new_id=new_id
    )
    if definition is None:
        raise DefinitionError(problems)
    return ValidatedFlow(definition, tuple(warnings))


def inspect(
    document: object,
    *,
    activities: Collection[str] | None,
    simulate_unknown: bool = False,
    new_id: Callable[[], str],
) -> tuple[FlowDefinition | None, list[Problem], list[Problem]]:
    """Look at a document as `read_definition` does, without raising.

    Returns:
        The definition, None when there are problems; the problems; the warnings.
    """
    problems, warnings = Findings(), Findings()
    flow = unwrap(document, problems)
    if flow is None:
        return None, problems.listed(), []
    draft = read_flow(flow)
    if activities is not None and not simulate_unknown:
        check_activities(draft, activities, problems)
    check_cycles(draft, problems)
    warn_about_conditions(draft, warnings)
    if problems:
        # What leads where is not known for certain, so nothing is said about it.
        return None, problems.listed(), warnings.listed()
    warn_about_graph(draft, warnings)
    return draft.definition(new_id), problems.listed(), warnings.listed()
