"""What the tests of crashes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.processes import Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The process that servers are forked from: it imports everything once."""
    with Servers() as started:
        yield started
