"""Real servers, shared by the tests of a module: no test stops them, each leaves them working."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flowmgr_server import BACKENDS, Served, serving


@pytest.fixture(scope="module")
def journal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the server keeps executions: in memory, unless the module asks for each journal."""
    if getattr(request, "param", "memory") == "memory":
        return "memory"
    return f"sqlite:{tmp_path_factory.mktemp('journal') / 'flowmgr.db'}"


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest, journal: str) -> Iterator[Served]:
    """A server on each backend."""
    with serving(request.param, "--journal", journal) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A context that names the files of the activities that wait."""
    return {name: str(tmp_path / name) for name in ("release", "started", "ended")}
