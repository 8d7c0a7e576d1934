"""Starting: idempotency keys, metadata, and how long ended executions are kept."""

import anyio
import pytest

from flowmgr import Settings, activity, open_engine
from flowmgr.errors import (
    ExecutionNotFoundError,
    FlowNotFoundError,
    InputError,
    KeyReusedError,
    MetadataError,
)
from flowmgr.journal.store import ExecutionQuery
from tests.support.flows import PATIENCE, Gate, chain, until
from tests.support.virtual_time import LoopClock, in_virtual_time

pytestmark = pytest.mark.anyio


class Counted:
    """An activity that counts its runs."""

    def __init__(self):
        self.runs = 0
        self.activity = activity("work")(self._run)

    async def _run(self, context):
        self.runs += 1
        return self.runs


# --- idempotency


async def test_equal_requests_with_one_key_start_one_execution(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        ended = await engine.run("chain", {"a": 1, "b": 2}, key="k")
        again = await engine.run("chain", {"b": 2, "a": 1}, key="k")
        started = await engine.start("chain", {"a": 1, "b": 2}, key="k")
        assert again.execution_id == started.execution_id == ended.execution_id
        assert [each.is_replay for each in [ended, again, started]] == [False, True, True]
    async with reopened.open(work.activity) as engine:
        again = await engine.run("chain", {"a": 1, "b": 2}, key="k")
        assert (again.execution_id, again.status) == (ended.execution_id, "completed")
    assert work.runs == 1


async def test_a_hundred_equal_requests_at_once_start_one_execution(reopened):
    work, found = Counted(), set()

    async def run(engine):
        found.add((await engine.run("chain", {"a": 1}, key="k", timeout=PATIENCE)).execution_id)

    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(run, engine)
        listed = await engine.list(ExecutionQuery(), None, 200)
        await until(lambda: engine.live_executions == 0)
    assert (len(found), len(listed), work.runs) == (1, 1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"context": {"a": 2}},
        {"context": {"a": 1}, "version": 1},
        {"context": {"a": 1}, "metadata": {"team": "blue"}},
    ],
)
async def test_another_request_with_the_same_key_is_refused(reopened, other):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        await engine.run("chain", {"a": 1}, key="k")
        with pytest.raises(KeyReusedError, match="'k' has been used for another request"):
            await engine.run("chain", key="k", **other)
    assert work.runs == 1


async def test_a_key_belongs_to_its_flow(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        for flow_id in ["one", "two"]:
            await engine.register(chain("work", flow_id=flow_id))
            await engine.run(flow_id, key="k")
        await engine.run(chain("work"), key="k")
        await engine.run(chain("work"), key="k")
    assert work.runs == 3


async def test_a_request_means_the_version_that_was_the_latest_when_it_came_first(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        ended = await engine.run("chain", key="k")
        await engine.register(chain("work", description="another"))
        again = await engine.run("chain", key="k")
    assert (again.execution_id, again.flow_version) == (ended.execution_id, 1)


async def test_a_key_may_be_used_again_when_its_execution_is_deleted(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        ended = await engine.run("chain", {"a": 1}, key="k")
        await engine.delete(ended.execution_id)
        again = await engine.run("chain", {"a": 2}, key="k")
        assert again.execution_id != ended.execution_id


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "ümlaut", "a\nb"])
async def test_what_cannot_be_a_key_is_refused(reopened, key):
    async with reopened.open(Counted().activity) as engine:
        with pytest.raises(InputError, match="1 to 255 printable ASCII"):
            await engine.run(chain("work"), key=key)


@in_virtual_time
async def test_a_key_expires():
    work = Counted()
    async with open_engine(
        Settings(key_seconds=60), activities=[work.activity], clock=LoopClock()
    ) as engine:
        await engine.register(chain("work"))
        ended = await engine.run("chain", {"a": 1}, key="k")
        await anyio.sleep(59)
        assert (await engine.run("chain", {"a": 1}, key="k")).is_replay
        await anyio.sleep(2)
        again = await engine.run("chain", {"a": 2}, key="k")
    assert again.execution_id != ended.execution_id


# --- idempotency of reruns


async def test_equal_reruns_with_one_key_start_one_execution(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        first = await engine.run(chain("work"), {"a": 1})
        again = await engine.rerun(first.execution_id, key="k", by="ada")
        await engine.wait(again.execution_id, timeout=PATIENCE)
        same = await engine.rerun(first.execution_id, context={}, key="k", by="bob")
        assert [each.is_replay for each in [again, same]] == [False, True]
        assert (same.execution_id, same.status) == (again.execution_id, "completed")
    async with reopened.open(work.activity) as engine:
        same = await engine.rerun(first.execution_id, key="k")
        assert (same.execution_id, same.is_replay) == (again.execution_id, True)
        assert same.rerun_of == first.execution_id
    assert work.runs == 2


async def test_a_hundred_equal_reruns_at_once_start_one_execution(reopened):
    work, found = Counted(), []

    async def rerun(engine, execution_id):
        found.append(await engine.rerun(execution_id, context={"b": 1}, key="k"))

    async with reopened.open(work.activity) as engine:
        first = await engine.run(chain("work"))
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(rerun, engine, first.execution_id)
        listed = await engine.list(ExecutionQuery(), None, 200)
        await until(lambda: engine.live_executions == 0)
    assert len({each.execution_id for each in found}) == 1
    assert [each.is_replay for each in found].count(False) == 1
    assert (len(listed), work.runs) == (2, 2)


@pytest.mark.parametrize(
    "other", [{}, {"context": {"a": 2}}, {"task": "work"}, {"context": {"a": 1}, "version": 1}]
)
async def test_another_rerun_with_the_same_key_is_refused(reopened, other):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        first = (await engine.run("chain")).execution_id
        again = await engine.rerun(first, context={"a": 1}, key="k")
        await engine.wait(again.execution_id, timeout=PATIENCE)
        says = f"'k' has been used for another request to rerun execution '{first}'; use a new"
        with pytest.raises(KeyReusedError, match=says):
            await engine.rerun(first, key="k", **other)
    assert work.runs == 2


async def test_a_key_of_a_rerun_belongs_to_what_is_run_again_and_to_no_flow(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        await engine.register(chain("work"))
        first = await engine.run("chain", key="k")
        second = await engine.rerun(first.execution_id, key="k")
        third = await engine.rerun(second.execution_id, key="k")
        await engine.register(chain("work", flow_id=first.execution_id))
        fourth = await engine.run(first.execution_id, key="k")
        assert not any(each.is_replay for each in [second, third, fourth])
        assert len({each.execution_id for each in [first, second, third, fourth]}) == 4
        await until(lambda: engine.live_executions == 0)


async def test_a_key_of_a_rerun_is_none_of_a_sub_flow(reopened):
    gate = Gate()
    around = chain("gate", flow_id="around")
    around["tasks"] = [{"name": "gate", "kind": "flow", "flow": "chain"}]
    async with reopened.open(gate.activity) as engine:
        await engine.register(chain("gate"))
        await engine.register(around)
        first = await engine.start("around")
        await until(lambda: gate.came == 1)
        [child] = (await engine.tree(first.execution_id)).sub_flows.items()
        again = await engine.rerun(first.execution_id, key=child[0])
        assert (again.is_replay, again.execution_id == child[1]) == (False, False)
        assert (await engine.tree(first.execution_id)).sub_flows == dict([child])
        await engine.cancel(again.execution_id, wait=PATIENCE)
        await engine.delete(again.execution_id)  # though what it repeats has not ended
        gate.opened.set()
        await engine.wait(first.execution_id, timeout=PATIENCE)


async def test_a_key_of_a_rerun_is_free_when_that_is_deleted_and_not_when_the_other_one_is(
    reopened,
):
    async with reopened.open(Counted().activity) as engine:
        first = (await engine.run(chain("work"))).execution_id
        again = await engine.rerun(first, key="k")
        await engine.wait(again.execution_id, timeout=PATIENCE)
        await engine.delete(again.execution_id)
        other = await engine.rerun(first, context={"a": 2}, key="k")
        assert not other.is_replay
        await engine.wait(other.execution_id, timeout=PATIENCE)
        await engine.delete(first)
        assert (await engine.rerun(first, context={"a": 2}, key="k")).is_replay
        with pytest.raises(ExecutionNotFoundError):
            await engine.rerun(first, key="another")


async def test_a_rerun_that_is_refused_has_not_used_its_key(reopened):
    async with reopened.open(Counted().activity) as engine:
        first = (await engine.run(chain("work"))).execution_id
        for wrong in [{"task": "nowhere", "key": "k"}, {"key": ""}]:
            with pytest.raises(InputError):
                await engine.rerun(first, **wrong)
        assert not (await engine.rerun(first, key="k")).is_replay
        await until(lambda: engine.live_executions == 0)


@in_virtual_time
async def test_a_key_of_a_rerun_expires():
    async with open_engine(
        Settings(key_seconds=60), activities=[Counted().activity], clock=LoopClock()
    ) as engine:
        first = (await engine.run(chain("work"))).execution_id
        again = await engine.rerun(first, key="k")
        await anyio.sleep(59)
        assert (await engine.rerun(first, key="k")).is_replay
        await anyio.sleep(2)
        other = await engine.rerun(first, context={"a": 2}, key="k")
    assert other.execution_id != again.execution_id


# --- metadata


async def test_an_execution_has_the_metadata_of_its_flow_and_its_own_over_it(reopened):
    work = Counted()
    async with reopened.open(work.activity) as engine:
        metadata = {"team": "blue", "tier": 1, "links": {"docs": "x"}, "long": "x" * 300}
        await engine.register(chain("work", metadata=metadata))
        found = await engine.run("chain", metadata={"tier": 2, "urgent": True})
        await engine.run("chain")
        assert found.metadata == {"team": "blue", "tier": 2, "urgent": True}
        for wanted, count in [
            ({"team": "blue"}, 2),
            ({"tier": "2"}, 1),
            ({"team": "blue", "urgent": "true"}, 1),
            ({"team": "red"}, 0),
            ({"links": "x"}, 0),
        ]:
            listed = await engine.list(ExecutionQuery(metadata=wanted), None, 10)
            assert len(listed) == count


@pytest.mark.parametrize(
    "metadata",
    [
        "text",
        {"a": {}},
        {"a": None},
        {"a": "x" * 257},
        {"a": float("nan")},
        {"a": "\ud800"},
        {"": 1},
        {"n" * 129: 1},
        {str(n): n for n in range(33)},
    ],
)
async def test_metadata_that_is_not_plain_and_small_is_refused(metadata):
    async with open_engine(activities=[Counted().activity]) as engine:
        with pytest.raises(MetadataError):
            await engine.run(chain("work"), metadata=metadata)


# --- retention


@in_virtual_time
async def test_ended_executions_are_deleted_when_they_have_been_kept_long_enough():
    work, gate = Counted(), Gate()
    async with open_engine(
        Settings(keep=1_000), activities=[work.activity, gate.activity], clock=LoopClock()
    ) as engine:
        ended = await engine.run(chain("work"))
        live = await engine.start(chain("gate"))
        await anyio.sleep(990)
        assert (await engine.get(ended.execution_id)).status == "completed"
        await anyio.sleep(100)
        with pytest.raises(ExecutionNotFoundError):
            await engine.get(ended.execution_id)
        assert (await engine.get(live.execution_id)).status == "running"
        gate.opened.set()


async def test_a_database_forgets_what_is_outdated_too(durable):
    work = Counted()
    async with durable.open(work.activity) as engine:
        ended = await engine.run(chain("work"))
    async with durable.open(work.activity, keep=1) as engine:
        with anyio.fail_after(PATIENCE):
            while await engine.list(ExecutionQuery(), None, 10):  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)
        with pytest.raises(ExecutionNotFoundError):
            await engine.get(ended.execution_id)


# --- versions


async def test_no_version_of_a_deleted_flow_is_started_although_a_newer_one_has_its_id(reopened):
    @activity
    async def fail():
        raise ValueError

    async with reopened.open(fail) as engine:
        await engine.register(chain("fail"))
        first = await engine.run("chain")
        await engine.flows.delete("chain")
        assert (await engine.register(chain("fail", "fail", max_visits=2))).version == 2
        await engine.run("chain")
        again = await engine.retry(first.execution_id)  # it is pinned to what was deleted
        assert (await engine.wait(again.execution_id)).flow_version == 1
        with pytest.raises(FlowNotFoundError, match="its version 1 was not found"):
            await engine.start("chain", version=1)
        for ask in (engine.retry, engine.rerun):
            with pytest.raises(FlowNotFoundError, match="its version 1 was not found"):
                await ask(first.execution_id, version=1)
        assert (await engine.run("chain", version=2)).flow_version == 2
