"""Activities for the tests of the REST surface. The context says what they are to do.

Paths in the context are how a test knows where an activity is, and lets it go on.
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import msgspec

from actors.context import Context
from actors.ports import Acknowledge, Batch
from flowmgr.activities.declaration import activity
from flowmgr.journal.memory import MemoryJournal

LOOK_SECONDS = 0.005
"""How often an activity looks for the file that it waits for."""


class Order(msgspec.Struct):
    """What a customer wants."""

    id: int
    articles: list[str]


class Receipt(msgspec.Struct):
    """What a customer gets."""

    order_id: int
    total: float


def tell(file: str) -> None:
    Path(file).write_text(str(os.getpid()))


def is_there(file: str) -> bool:
    return Path(file).exists()


async def wait_for(file: str) -> None:
    while not is_there(file):  # noqa: ASYNC110 - another process makes the file
        await anyio.sleep(LOOK_SECONDS)


@activity
async def succeed(context: Context) -> str:
    """Succeed at once."""
    return "succeeded"


@activity
async def fail(context: Context) -> None:
    """Fail at once."""
    msg = "asked to fail"
    raise ValueError(msg)


@activity
async def fail_silently(context: Context) -> None:
    raise LookupError


@activity
async def return_nothing(context: Context) -> None:
    return None


@activity
async def return_false(context: Context) -> bool:
    return False


@activity
async def return_nan(context: Context) -> float:
    return float("nan")


@activity
async def first_edition(context: Context) -> str:
    return "first edition"


@activity
async def second_edition(context: Context) -> str:
    return "second edition"


@activity
async def keys(context: Context) -> list[str]:
    """Return the names of what the context has."""
    return list(context)


@activity
async def count(context: Context) -> int:
    """Return how often the task called "count" has run, this time included."""
    return int(context.get("count_result") or 0) + 1


@activity
async def expect_count(context: Context) -> str:
    """Fail until the task called "count" has run as often as the context says."""
    if context["count_result"] < context["wanted"]:
        msg = f"only {context['count_result']} of {context['wanted']}"
        raise ValueError(msg)
    return "enough"


@activity
async def hold(context: Context) -> str:
    """Wait for the file "release"."""
    await wait_for(context["release"])
    return "released"


@activity
async def stay(context: Context) -> None:
    """Make the file "started", stay until cancelled, then make the file "ended"."""
    tell(context["started"])
    try:
        await anyio.sleep_forever()
    finally:
        tell(context["ended"])


@activity
async def clean_up_slowly(context: Context) -> None:
    """Make the file "started"; once cancelled, clean up until there is the file "release"."""
    tell(context["started"])
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await wait_for(context["release"])


@activity
async def win_the_race(context: Context) -> str:
    """Make the file "started"; once cancelled, return all the same."""
    tell(context["started"])
    with anyio.CancelScope(shield=True):
        await wait_for(context["release"])
    return "won"


@activity
async def charge(order: Order, amount: float = 2.5) -> Receipt:
    """Charge an order.

    The details are of no interest to anybody.
    """
    return Receipt(order.id, amount * len(order.articles))


@activity
def count_in_thread(order: Order) -> int:
    """Count the articles of an order, in a thread."""
    return len(order.articles)


@activity
async def break_the_journal(context: Context) -> None:
    """Have the journal fail from now on, as a full disk would."""

    def append(_: object, __: Batch, acknowledge: Acknowledge) -> None:
        acknowledge(OSError("no space left on device"))

    MemoryJournal.append = append  # type: ignore[method-assign]


@activity
async def need(context: Context) -> str:
    """Fail until there is the file "release"."""
    if not is_there(context["release"]):
        msg = "there is no release"
        raise LookupError(msg)
    return "found"
