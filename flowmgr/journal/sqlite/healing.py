"""What is done at an opening about a database that is damaged: as little as helps, or nothing."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from flowmgr.errors import JournalRefusedError
from flowmgr.journal.sqlite.connection import transaction
from flowmgr.journal.sqlite.queries import READ, WRITE
from flowmgr.journal.sqlite.recorder import Recorder
from flowmgr.journal.sqlite.rows import ExecutionRow, metadata_rows
from flowmgr.journal.sqlite.verification import Findings, verify

logger = logging.getLogger(__name__)


def verify_and_heal(recorder: Recorder, path: Path) -> None:
    """Verify the whole database, and put right what can be put right without guessing.

    What only repeats something is made again: the row of an execution from its events, an index
    from its table. An execution whose events are damaged is quarantined. Damaged flows and keys are
    left as they are: whoever asks for one is told.

    Raises:
        JournalRefusedError: the damage goes further than that; nothing has been changed.
    """
    findings = verify(recorder.connection)
    if findings.is_clean:
        return
    for problem in [*findings.structure, *findings.others]:
        logger.error("journal %s: %s", path, problem)
    if findings.structure and findings.others:
        raise _refused(path, findings)
    with transaction(recorder.connection, "IMMEDIATE"):
        _heal(recorder, findings, path)
        recorder.finish()
    recorder.committed()


def _heal(recorder: Recorder, findings: Findings, path: Path) -> None:
    connection = recorder.connection
    if findings.structure:
        connection.execute("REINDEX event")
    rows = [recorder.examine(number) for number in findings.executions]
    if findings.structure:
        # An event that its index does not find may belong to another execution than it says.
        if any(row is None or row.damage is not None for row in rows):
            raise _refused(path, findings)
        connection.execute("REINDEX")
        logger.warning("journal %s: the indexes were damaged, and have been made again", path)
    for row in rows:
        if row is not None:
            recorder.replace(row)
    if findings.is_metadata_wrong:
        _make_metadata_again(connection)
        logger.warning("journal %s: the metadata to look up has been made again", path)
    after = verify(connection)
    if after.structure or after.executions or after.is_metadata_wrong:
        raise _refused(path, after if after.structure else findings)


def _make_metadata_again(connection: sqlite3.Connection) -> None:
    connection.execute(WRITE["delete_all_metadata"])
    for values in connection.execute(READ["all_executions"]).fetchall():
        row = ExecutionRow.read(values)
        connection.executemany(WRITE["insert_metadata"], metadata_rows(row.summary))


def _refused(path: Path, findings: Findings) -> JournalRefusedError:
    named = [*findings.structure, *findings.others, *findings.executions.values()]
    msg = (
        f"The journal {path} is damaged ({named[0] if named else 'see the log'}). Look at it with "
        "'flowmgr journal check', and restore a backup"
    )
    return JournalRefusedError(msg)
