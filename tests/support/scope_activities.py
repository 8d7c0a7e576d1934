"""Activities that leave a line in a file when they begin and when they are done."""

from __future__ import annotations

import os
import random

import anyio
import anyio.lowlevel

from flowmgr.activities.declaration import activity
from tests.support.lines import leave_line


def _leave(file: str, *words: object) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        leave_line(descriptor, *words)
    finally:
        os.close(descriptor)


@activity
async def effect(file: str, place: str, attempt: int, seconds: float = 0.01) -> str:
    """Take a little while; the place says where in the flow that is."""
    _leave(file, "began", place, attempt)
    await anyio.sleep(random.uniform(0, seconds))
    _leave(file, "done", place, attempt)
    return place


@activity
async def flaky(file: str, place: str, attempt: int) -> str:
    """Fail now and then."""
    _leave(file, "began", place, attempt)
    await anyio.lowlevel.checkpoint()
    if random.random() < 0.3:
        raise ConnectionError("try again")
    _leave(file, "done", place, attempt)
    return place
