"""The registered flows, and their compiled plans."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from actors.events import ExecutionStarted
from actors.plan import Plan
from actors.ports import Clock
from flowmgr.activities.catalogue import ActivityCatalogue
from flowmgr.activities.runners import RunnerResources, runner_for
from flowmgr.errors import FlowDamagedError, FlowNotFoundError, Problem
from flowmgr.flow_runners import FlowRunners
from flowmgr.http.runner import HttpResources
from flowmgr.journal.store import FlowRecord, Store
from flowmgr.language.compiler import compile_flow
from flowmgr.language.definition import FlowDefinition, digest
from flowmgr.language.rules import FlowReference, KnownFlows, flows_run_by
from flowmgr.language.validation import OpenedFlow, ValidatedFlow, new_flow_id
from flowmgr.settings import Settings

MAX_FOLLOWED = 100
"""Flows that are looked at to find out whether a new one comes to run itself."""

K = TypeVar("K")
V = TypeVar("V")

MAX_PLANS = 1_000
"""Compiled plans that are kept; the oldest is compiled again when it is needed again."""


class RegisteredFlow(msgspec.Struct, frozen=True):
    """A flow version as it was registered.

    Attributes:
        definition: what was understood, defaults filled in.
        version: its version, from 1.
        registered_at: seconds since 1970-01-01 UTC.
        warnings: what is allowed but worth a look; only right after registering.
    """

    definition: FlowDefinition
    version: int
    registered_at: float
    warnings: tuple[Problem, ...] = ()


class Flows:
    """Validates, keeps and compiles flows."""

    def __init__(
        self,
        store: Store,
        catalogue: ActivityCatalogue,
        resources: RunnerResources,
        *,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._simulate_unknown = settings.simulate_unknown_activities
        self.runners: Final = FlowRunners(
            {declared.name: runner_for(declared, resources) for declared in catalogue},
            HttpResources(settings),
            simulate_unknown=settings.simulate_unknown_activities,
        )
        self._plans: dict[tuple[str, int], Plan] = {}
        self._latest: dict[str, int] = {}  # versions; not of every flow that exists
        self._changes = 0  # a version that was read before one of them is not kept in _latest

    async def read(self, document: Any, beside: KnownFlows = MappingProxyType({})) -> ValidatedFlow:
        """Validate a flow document; nothing is kept.

        A checkpoint only if the document refers to other flows.

        Args:
            document: the flow.
            beside: what counts as if it were registered already.

        Raises:
            DefinitionError: with every problem that it has.
        """
        opened = OpenedFlow(document)
        flows = {**await self._known(opened.flows - beside.keys()), **beside}
        return opened.validated(
            activities=None if self._simulate_unknown else self._catalogue.names(),
            flows=flows,
            new_id=new_flow_id,
        )

    async def _known(self, named: Collection[FlowReference]) -> KnownFlows:
        """Return those of the flows that exist, with what they run, and so on."""
        known: dict[FlowReference, frozenset[FlowReference]] = {}
        seen = set(named)
        pending = deque(named)
        while pending:
            each = pending.popleft()
            try:
                record = await self._store.get_flow(*each)
            except FlowDamagedError:
                if each in named:
                    raise
                continue  # it is not known what it runs
            if record is not None:
                known[each] = flows_run_by(_decode(record.definition))
                further = known[each] - seen
                if len(seen) + len(further) <= len(named) + MAX_FOLLOWED:
                    seen |= further
                    pending.extend(further)
        return known

    async def register(
        self,
        document: Any,
        *,
        only_new: bool = False,
        beside: KnownFlows = MappingProxyType({}),
    ) -> RegisteredFlow:
        """Validate a flow document and keep it as the next version of its flow.

        Args:
            document: the flow.
            only_new: refuse if there is a flow of its id.
            beside: what counts as if it were registered already.

        Raises:
            DefinitionError: with every problem that it has.
            FlowExistsError: *only_new*, and the flow exists.
        """
        validated = await self.read(document, beside)
        definition = validated.definition
        try:
            record, _ = await self._store.put_flow(
                definition.id,
                digest(definition),
                _encode(definition),
                self._clock.now(),
                only_new=only_new,
            )
        finally:
            self._forget(definition.id)
        return RegisteredFlow(definition, record.version, record.registered_at, validated.warnings)

    async def get(self, flow_id: str, version: int | None) -> RegisteredFlow:
        """Return a version of a flow, the latest if *version* is None.

        Raises:
            FlowNotFoundError: there is none.
        """
        return _registered(await self._record(flow_id, version))

    async def list(self, after: str | None, limit: int) -> Sequence[RegisteredFlow]:
        """Return the latest version of each flow, by id, behind the id *after*."""
        return [_registered(record) for record in await self._store.list_flows(after, limit)]

    async def versions(self, flow_id: str, after: int, limit: int) -> Sequence[RegisteredFlow]:
        """Return a flow's versions, oldest first, behind version *after*.

        Raises:
            FlowNotFoundError: there is no such flow.
        """
        await self._record(flow_id, None)
        records = await self._store.list_versions(flow_id, after, limit)
        return [_registered(record) for record in records]

    async def delete(self, flow_id: str) -> None:
        """Delete a flow with all its versions. Its executions stay, and live ones go on.

        Raises:
            FlowNotFoundError: there is no such flow.
        """
        try:
            is_deleted = await self._store.delete_flow(flow_id)
        finally:
            self._forget(flow_id)
        if not is_deleted:
            raise FlowNotFoundError(flow_id)

    def plan_at_hand(self, flow_id: str, version: int | None) -> Plan | None:
        """Return the plan of a flow's latest version if it was asked for lately; not a checkpoint.

        Of another version only the journal says whether it has been deleted.
        """
        latest = self._latest.get(flow_id)
        if latest is None or (version is not None and version != latest):
            return None
        return self._plans.get((flow_id, latest))

    async def plan(self, flow_id: str, version: int | None) -> Plan:
        """Return the plan of a flow version.

        A checkpoint only if it is not the latest, or was not asked for lately.

        Raises:
            FlowNotFoundError: there is none.
            DefinitionError: it uses an activity that is not there any more.
        """
        plan = self.plan_at_hand(flow_id, version)
        if plan is not None:
            return plan
        changes = self._changes
        record = await self._record(flow_id, version)
        if version is None and changes == self._changes:
            _keep(self._latest, flow_id, record.version)
        return self._plan_of(record)

    async def pinned_plan(self, started: ExecutionStarted, version: int) -> Plan:
        """Return the plan that an execution is pinned to, also if its flow has been deleted.

        Args:
            started: how the execution started, which has the definition of an inline flow.
            version: the flow's version; 0 for an inline flow.

        Raises:
            FlowNotFoundError: the journal does not have it.
            DefinitionError: it uses an activity that is not there.
        """
        if not version:
            return self.compile(_decode(started.definition), 0)
        plan = self._plans.get((started.flow_id, version))
        if plan is not None:
            return plan
        return self._plan_of(await self._pinned(started.flow_id, version))

    async def has_output(self, flow_id: str, version: int) -> bool:
        """Whether a flow version says what its executions' output is, also if it has been deleted.

        Raises:
            FlowNotFoundError: the journal does not have it.
        """
        plan = self._plans.get((flow_id, version))
        if plan is not None:
            return plan.output is not None
        return _decode((await self._pinned(flow_id, version)).definition).output is not None

    async def _pinned(self, flow_id: str, version: int) -> FlowRecord:
        record = await self._store.get_pinned_flow(flow_id, version)
        if record is None:
            raise FlowNotFoundError(flow_id, version)
        return record

    def _plan_of(self, record: FlowRecord) -> Plan:
        key = (record.flow_id, record.version)
        plan = self._plans.get(key)
        if plan is None:
            plan = self.compile(_decode(record.definition), record.version)
            _keep(self._plans, key, plan)
        return plan

    def _forget(self, flow_id: str) -> None:
        self._changes += 1
        self._latest.pop(flow_id, None)

    def compile(self, definition: FlowDefinition, version: int) -> Plan:
        """Compile a validated definition.

        Raises:
            DefinitionError: it uses an activity that is not there.
        """
        return compile_flow(definition, version, self.runners)

    async def _record(self, flow_id: str, version: int | None) -> FlowRecord:
        record = await self._store.get_flow(flow_id, version)
        if record is None:
            raise FlowNotFoundError(flow_id, version)
        return record


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    """Put *value* into *kept*, which has a bound: what came first makes room."""
    if len(kept) >= MAX_PLANS:
        del kept[next(iter(kept))]
    kept[key] = value


def _registered(record: FlowRecord) -> RegisteredFlow:
    return RegisteredFlow(_decode(record.definition), record.version, record.registered_at)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FlowDefinition).decode
