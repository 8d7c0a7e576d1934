"""What all tests share."""

import pytest
from hypothesis import settings

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]

# No deadline: a machine that is busy with something else must not fail a property.
settings.register_profile("flowmgr", deadline=None)
settings.load_profile("flowmgr")


@pytest.fixture(params=BACKENDS)
def anyio_backend(request):
    """Run every async test on asyncio, on asyncio with uvloop, and on trio.

    Tests that are marked with `tests.support.virtual_time.in_virtual_time` get their backends from
    a function, because a clock serves one run only.
    """
    return request.param() if callable(request.param) else request.param
