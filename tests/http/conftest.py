"""Real servers, shared by the tests of a module: no test stops them, each leaves them working."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flowmgr_server import BACKENDS, Served, serving


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server on each backend."""
    with serving(request.param) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A context that names the files of the activities that wait."""
    return {name: str(tmp_path / name) for name in ("release", "started", "ended")}
