"""What the next task receives is what a recovery would give it, or the value is refused."""

import datetime as dt
import decimal
import itertools
import random

import pytest

from actors.evolving import fold
from flowmgr import Settings, activity, open_engine
from tests.support.flows import PATIENCE, chain, recorded

pytestmark = pytest.mark.anyio

TASKS = 100
EXECUTIONS = 334
"""On each of three backends: more than 100,000 values in all."""

TEXTS = ["", "ä", "\x00", "\u2028", "😀", '"\\', "\ud800", "null", "x" * 300]
NUMBERS = [0, -0.0, 2**53 + 1, -(2**63), 10**30, 1e308, 5e-324, 0.1, float("nan"), float("-inf")]
ODD = [{1, 2}, b"bytes", {1: "x"}, decimal.Decimal("1.10"), (1, "two"), object(), 10**5000]
ODD += [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), {None: 0}, bytearray(b"x"), 1 + 2j]


def random_value(chance, depth=0):
    """A value that an activity may return: mostly JSON, sometimes something that is not."""
    kind = chance.random()
    if kind < 0.01:
        return chance.choice(ODD)
    if depth < 4 and kind < 0.25:
        return [random_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if depth < 4 and kind < 0.5:
        items = range(chance.randrange(4))
        return {random_text(chance): random_value(chance, depth + 1) for _ in items}
    if kind < 0.75:
        return random_text(chance)
    return chance.choice([None, True, False, *NUMBERS[:8], chance.random(), chance.getrandbits(80)])


def random_text(chance):
    if chance.random() < 0.3:
        return chance.choice(TEXTS[:6] + TEXTS[7:]) + str(chance.randrange(10))
    if chance.random() < 0.003:
        return chance.choice(TEXTS)
    return "".join(chr(chance.randrange(32, 0x2000)) for _ in range(chance.randrange(8)))


def exact(value):
    """*value* with its types, so that 1, 1.0 and True are different, and 0.0 and -0.0."""
    if isinstance(value, dict):
        return "dict", [(key, exact(each)) for key, each in value.items()]
    if isinstance(value, list):
        return "list", [exact(each) for each in value]
    return type(value).__name__, value.hex() if isinstance(value, float) else value


async def test_a_hundred_thousand_values_are_the_same_for_the_next_task_and_after_a_recovery(
    tmp_path,
):
    names = [f"t{number}" for number in range(TASKS + 1)]
    chances = [random.Random(number) for number in range(EXECUTIONS)]
    received = [{} for _ in range(EXECUTIONS)]

    def make(name, before):
        @activity(name)
        async def step(context):
            number = context["number"]
            if before is not None:
                received[number][before] = exact(context[f"{before}_result"])
            return random_value(chances[number])

        return step

    steps = [make(name, before) for before, name in itertools.pairwise([None, *names])]
    values = refused = 0
    settings = Settings(journal=f"sqlite:{tmp_path}/flowmgr.db", durability="relaxed")
    async with open_engine(settings, activities=steps) as engine:
        await engine.register(chain(*names))
        started = [await engine.start("chain", {"number": each}) for each in range(EXECUTIONS)]
        for execution, live in zip(started, received, strict=True):
            found = await engine.wait(execution.execution_id, timeout=PATIENCE)
            recovered = fold(await recorded(engine, found.execution_id))
            for name, value in live.items():
                assert exact(recovered.context[f"{name}_result"]) == value
                error = recovered.results[name].error
                assert error is None or (error.type, value[0]) == ("ValueRefusedError", "NoneType")
                refused += error is not None
            values += len(live)
    assert values == TASKS * EXECUTIONS
    assert 0.001 < refused / values < 0.2
