"""What is not needed is not loaded: it would take longer than what the process is there for."""

import subprocess
import sys

import pytest

from web.cli import COMMANDS

ENGINE = {"flowmgr.engine", "actors.execution"}
HEAVY = ENGINE | {"trio", "litestar", "uvicorn"}


def loaded_by(*statements):
    """The modules that a new process has loaded when it has run *statements*."""
    shown = "import sys; print(*sys.modules)"
    command = [sys.executable, "-c", "; ".join([*statements, shown])]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_a_process_that_runs_activities_loads_no_engine_and_no_library_that_only_that_needs():
    loaded = loaded_by("import flowmgr.activities.worker", "from flowmgr import activity, Context")
    assert "flowmgr.activities.declaration" in loaded
    assert not loaded & (HEAVY | {"httpx", "rich"})


LIGHT = ("validate", "schema", "executions", "journal")


@pytest.mark.parametrize("command", LIGHT)
def test_a_command_that_runs_no_engine_does_not_load_one(command):
    loaded = loaded_by(
        "from web.cli import main", f"main(['{command}', '--help'], standalone_mode=False)"
    )
    assert f"web.commands.{command}" in loaded
    assert not loaded & (HEAVY - {"trio"})  # which the HTTP client loads


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in LIGHT])
def test_the_others_load_what_they_need(command):
    """Other tests run it where something else may have loaded that already."""
    assert f"web.commands.{command}" in loaded_by(f"import web.commands.{command}")


def test_what_the_package_exports_is_there_and_nothing_else():
    import flowmgr

    assert {name for name in flowmgr.__all__ if getattr(flowmgr, name) is None} == set()
    with pytest.raises(AttributeError, match="module 'flowmgr' has no attribute 'nothing'"):
        _ = flowmgr.nothing
    with pytest.raises(ImportError, match="nothing"):
        from flowmgr import nothing  # noqa: F401
