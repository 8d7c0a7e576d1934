"""Real servers, shared by the tests of a module: no test stops them, each leaves them working."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.flowmgr_server import BACKENDS, Served, serving


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server on each backend."""
    with serving(request.param) as running:
        yield running
