"""What the engine's tests share: the journals that they run on."""

import contextlib

import pytest

from flowmgr import Settings, open_engine
from flowmgr.journal.memory import MemoryJournal


@pytest.fixture(params=["memory", "sqlite"])
def any_journal(request, monkeypatch, tmp_path):
    """Have every engine of the test use a journal of each kind; a new one for each engine."""
    if request.param == "sqlite":
        numbers = iter(range(1_000))
        opened = Settings

        def settings(**fields):
            return opened(journal=f"sqlite:{tmp_path}/{next(numbers)}.db", **fields)

        monkeypatch.setattr("flowmgr.engine.Settings", settings)
    return request.param


class Reopened:
    """Engines one after the other on one journal, as if the process had ended in between."""

    def __init__(self, settings):
        self._settings = settings

    @contextlib.asynccontextmanager
    async def open(self, *activities, **settings):
        """Open an engine; what is unfinished when the block is left is as after a crash."""
        with contextlib.suppress(CrashError):
            async with open_engine(
                Settings(**self._settings, **settings), activities=activities
            ) as engine:
                engine.forgive = _die
                yield engine
                raise CrashError

    @contextlib.asynccontextmanager
    async def open_and_close(self, *activities, **settings):
        """Open an engine, and close it in order."""
        async with open_engine(
            Settings(**self._settings, **settings), activities=activities
        ) as engine:
            yield engine


class CrashError(Exception):
    """Ends an engine without giving what runs in it any time."""


async def _die():
    """Leave no word, as a process that is killed."""


@pytest.fixture
def durable(tmp_path):
    """Open engines one after the other on the same database."""
    return Reopened({"journal": f"sqlite:{tmp_path}/flowmgr.db"})


@pytest.fixture(params=["memory", "sqlite"])
def reopened(request, monkeypatch, durable):
    """Open engines one after the other on the same journal, of each kind."""
    if request.param == "sqlite":
        return durable
    journal = MemoryJournal(10_000)
    monkeypatch.setattr("flowmgr.journal.MemoryJournal", lambda _: journal)
    return Reopened({})
