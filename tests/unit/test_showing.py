"""What the command line shows of executions."""

import time

import pytest
from rich.console import Console

from actors.events import ScopeStopped, TaskFinished, TaskStarted
from actors.outcome import Outcome
from web.commands.showing import local_time
from web.run import _Progress


@pytest.mark.parametrize("zone", ["UTC-12", "UTC", "UTC+12"])
@pytest.mark.parametrize("year", ["0001-01-01T00", "9999-12-31T23"])
def test_a_time_at_either_end_of_all_years_is_shown_in_every_time_zone(monkeypatch, zone, year):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert int(local_time(f"{year}:00:00.000000+00:00").partition("-")[0]) == int(year[:4])
    finally:
        monkeypatch.undo()
        time.tzset()


def shown(progress):
    console = Console(width=100)
    with console.capture() as captured:
        console.print(progress)
    return captured.get()


def test_tasks_of_one_name_are_shown_apart_while_they_run():
    progress = _Progress()
    for scope in ("", "/each/0", "/each/1"):
        assert progress.update(TaskStarted(at=0, task="send", scope=scope)) is None
    done = Outcome("success", 0.5)
    finished = TaskFinished(at=1, task="send", visit=1, attempt=1, outcome=done, scope="/each/0")
    assert progress.update(finished).plain == "✓ /each/0/send  0.500 s"
    text = shown(progress)
    assert "/each/0/send is running" not in text
    assert "/each/1/send is running" in text
    assert " send is running" in text


def test_what_was_stopped_with_its_scope_is_not_shown_as_running():
    progress = _Progress()
    for scope in ("/fan/left", "/fan/left/each/0", "/fan/left2"):
        progress.update(TaskStarted(at=0, task="ask", scope=scope))
    progress.update(ScopeStopped(at=1, scope="/fan/left"))
    text = shown(progress)
    assert "/fan/left2/ask is running" in text
    assert text.count("is running") == 1
