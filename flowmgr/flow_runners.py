"""What runs the tasks of flows: activities, requests, and other flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.ports import ActivityRunner
from flowmgr.activities.runners import SimulatedRunner
from flowmgr.errors import DefinitionError, Problem
from flowmgr.http.runner import HttpResources, HttpRunner
from flowmgr.subflows import Children, SubflowRunner


class FlowRunners:
    """What the tasks of flows are run by.

    Args:
        activities: the runners of the activities by name.
        http: what tasks that make requests share.
        simulate_unknown: have activities that do not exist simulated.

    Attributes:
        children: where sub-flows are started; set by the engine, which is made later.
    """

    children: Children

    def __init__(
        self,
        activities: Mapping[str, ActivityRunner],
        http: HttpResources,
        *,
        simulate_unknown: bool,
    ) -> None:
        self._activities = activities
        self._http = http
        self._simulate_unknown = simulate_unknown

    def activity(self, name: str) -> ActivityRunner:
        """Return what runs an activity.

        Raises:
            DefinitionError: there is none of this name.
        """
        runner = self._activities.get(name)
        if runner is not None:
            return runner
        if self._simulate_unknown:
            return SimulatedRunner(name)
        problem = Problem("/tasks", "unknown_activity", f"Activity '{name}' is not known any more")
        raise DefinitionError([problem])

    def http(self, expect: Sequence[int | str] | None) -> ActivityRunner:
        """Return what makes the requests of a task."""
        return HttpRunner(self._http, expect)

    def flow(self, flow_id: str, version: int | None) -> ActivityRunner:
        """Return what runs another flow."""
        return SubflowRunner(flow_id, version, self.children)
