"""What all tests share."""

import gc
import signal
import subprocess

import pytest
from hypothesis import settings

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]

# What runs in the background is often told to ignore Ctrl-C, and so would be what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of the host "secure.test", and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=secure.test -addext subjectAltName=DNS:secure.test"
        f" -keyout {path} -out {path}.c"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name("both.pem.c").read_text())
    return path


def pytest_collection_finish():
    """Keep what the thousands of tests consist of out of every collection of garbage in them."""
    gc.collect()
    gc.freeze()
