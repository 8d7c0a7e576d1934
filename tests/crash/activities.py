"""The activities of the flows under load: each leaves a line when it begins, and when it is done.

What they return names the attempt, so that a result can be told from that of any other attempt.
"""

from __future__ import annotations

import os
import random
import signal
import time

import anyio
from anyio.lowlevel import checkpoint

from actors.context import Context
from flowmgr.activities.declaration import activity
from tests.crash.effects import current, leave

QUICK = 0.002
SLOW = 0.04
ROUNDS = 3
"""How often the flow with a loop comes to its last task."""


def _result() -> dict[str, int]:
    attempt = current.get()
    return {"visit": attempt.visit, "attempt": attempt.attempt}


async def _work(seconds: float) -> dict[str, int]:
    leave("began")
    await anyio.sleep(random.uniform(0, seconds))
    leave("done")
    return _result()


@activity
async def quick(context: Context) -> dict[str, int]:
    return await _work(QUICK)


@activity
async def slow(context: Context) -> dict[str, int]:
    return await _work(SLOW)


@activity
def in_thread(context: Context) -> dict[str, int]:
    leave("began")
    time.sleep(random.uniform(0, 2 * QUICK))
    leave("done")
    return _result()


@activity
async def refuse(context: Context) -> None:
    leave("began")
    await anyio.sleep(random.uniform(0, QUICK))
    leave("failed")
    raise ValueError("refused")


@activity
async def last_round(context: Context) -> dict[str, int]:
    """Fail until it is the last round."""
    leave("began")
    await checkpoint()
    if current.get().visit < ROUNDS:
        leave("failed")
        raise LookupError("once more")
    leave("done")
    return _result()


@activity
async def tidy(context: Context) -> dict[str, int]:
    """Take a little while to clean up when it is cancelled."""
    try:
        return await _work(SLOW)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await anyio.sleep(random.uniform(0, QUICK))
        leave("stopped")
        raise


@activity
async def hold(context: Context) -> dict[str, int]:
    """Run for as long as the context says."""
    leave("began")
    await anyio.sleep(context["seconds"])
    leave("done")
    return _result()


@activity
async def poison(context: Context) -> None:
    """End the server."""
    leave("began")
    os.kill(os.getpid(), signal.SIGKILL)
    await anyio.sleep_forever()


@activity
async def poison_once(context: Context) -> dict[str, int]:
    """End the server, unless the context names a file that is there."""
    leave("began")
    if not os.path.exists(context["antidote"]):  # noqa: ASYNC240, PTH110 - nothing else is to run
        os.kill(os.getpid(), signal.SIGKILL)
    leave("done")
    return _result()
