"""Time for the table of constructs: virtual on asyncio and trio, real on uvloop and with SQLite."""

import pytest

from flowmgr.journal.memory import MemoryJournal
from tests.engine.constructs.world import World
from tests.support.virtual_time import asyncio_in_virtual_time, trio_in_virtual_time

VIRTUAL = {"virtual-asyncio": asyncio_in_virtual_time, "virtual-trio": trio_in_virtual_time}
REAL = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=["virtual-asyncio", "uvloop", "virtual-trio"])
def anyio_backend(request):
    """Run every test on asyncio, uvloop and trio; uvloop has no clock that could be replaced."""
    if not isinstance(request.param, str):
        return request.param  # a test that asks for a backend by itself
    make = VIRTUAL.get(request.param)
    return REAL[request.param] if make is None else make()


def is_virtual(anyio_backend):
    return "clock" in anyio_backend[1] or "loop_factory" in anyio_backend[1]


@pytest.fixture
def world(anyio_backend, monkeypatch):
    """Engines on one journal in memory, in the time of the backend."""
    journal = MemoryJournal(10_000)
    monkeypatch.setattr("flowmgr.journal.MemoryJournal", lambda _: journal)
    return World({}, is_virtual=is_virtual(anyio_backend))


real_time = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(REAL[name], id=name) for name in REAL], indirect=True
)
"""Marks a test in which something real is waited for: a database, a socket, a thread."""
