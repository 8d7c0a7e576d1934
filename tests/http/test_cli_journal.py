"""`flowmgr journal`, on the database of a real server, while it runs and afterwards."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from tests.support.flowmgr_server import BACKENDS, Served, chain, serving
from tests.support.rest import ids
from web.cli import main


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


def journal(*args: Any, **env: str) -> Ran:
    ran = CliRunner().invoke(main, ["journal", *map(str, args)], env=env)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    return Ran(ran.exit_code, ran.stdout, ran.stderr)


def refused(ran: Ran) -> str:
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert line.startswith("flowmgr: ")
    return line


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "flowmgr.db"


@pytest.fixture(params=BACKENDS)
def served(request: pytest.FixtureRequest, database: Path) -> Iterator[Served]:
    """A server that is written to while the commands look at its journal."""
    with serving(request.param, "--journal", f"sqlite:{database}") as running:
        yield running


@pytest.fixture
def tampered(database: Path) -> Callable[[], str]:
    """Damages one of two executions; returns its id."""

    def tamper() -> str:
        with serving("asyncio", "--journal", f"sqlite:{database}") as served:
            flow_id = served.register(chain("succeed"))
            damaged, _ = (served.execute(flow_id)["execution_id"] for _ in range(2))
        connection = sqlite3.connect(database)
        with connection:
            connection.execute(
                "UPDATE event SET events = CAST(replace(events, 'succeed', 'succeeD') AS BLOB)"
                " WHERE execution = (SELECT number FROM execution WHERE execution_id = ?)",
                [damaged],
            )
        connection.close()
        return str(damaged)

    return tamper


def test_a_journal_that_is_in_use_is_checked_copied_and_read(served, database, tmp_path):
    execution = served.run(chain("succeed"), {"a": 1})
    execution_id = execution["execution_id"]
    for given in (database, f"sqlite:{database}"):
        checked = journal("check", given)
        assert (checked.code, checked.err) == (0, "")
        assert "executions: 1, " in checked.out
        assert checked.out.endswith("all is well\n")
    report = json.loads(journal("check", "--json", FLOWMGR_JOURNAL=f"sqlite:{database}").out)
    assert (report["executions"], report["problems"]) == (1, [])
    exported = json.loads(journal("export", execution_id, "--journal", database).out)
    assert exported["execution"]["execution_id"] == execution_id
    kinds = [each["event"]["type"] for each in exported["events"]]
    assert kinds == [each["type"] for each in served.events(execution_id)]
    copy = tmp_path / "copy.db"
    copied = journal("backup", copy, "--journal", database)
    assert (copied.code, copied.err) == (0, "")
    with serving(served.backend, "--journal", f"sqlite:{copy}") as restored:
        assert restored.get(f"/executions/{execution_id}").json() == execution
    again = journal("backup", copy, "--journal", database)
    assert "overwrites nothing" in refused(again)


def test_a_check_names_each_damaged_execution(tampered, database):
    damaged = tampered()
    checked = journal("check", database)
    assert (checked.code, checked.err) == (1, "")
    assert f"damaged: execution {damaged}: " in checked.out
    assert checked.out.endswith("1 problem\n")
    refused_export = refused(journal("export", damaged, "--journal", database))
    assert damaged in refused_export
    with serving("trio", "--journal", f"sqlite:{database}") as served:
        assert served.get(f"/executions/{damaged}").status_code == 409
        assert damaged in ids(served.get("/executions", status="quarantined").json()["items"])
        checked = journal("check", database)
        assert checked.code == 1
        assert f"quarantined already: execution {damaged}: " in checked.out


def test_what_cannot_be_read_is_refused_in_one_line(database, tmp_path):
    for args in (
        ("check", database),
        ("backup", tmp_path / "copy.db", "--journal", database),
        ("export", "x", "--journal", database),
    ):
        assert "There is no journal at" in refused(journal(*args))
    database.write_text("minutes of the meeting\n" * 1000)
    assert "flowmgr.db" in refused(journal("check", database))
    ran = journal("check", "memory")
    assert ran.code == 2
    assert "a journal in memory has no file" in " ".join(ran.err.replace("│", " ").split())


def test_what_is_not_there_cannot_be_exported(served, database):
    assert "'nothing' was not found" in refused(journal("export", "nothing", "--journal", database))


def test_an_empty_file_is_said_to_be_empty(database):
    database.touch()
    for command in (["check", database], ["export", "none", "--journal", database]):
        assert "is empty, and no journal" in refused(journal(*command))
