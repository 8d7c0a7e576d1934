"""What `/health` and `/health/ready` send."""

from __future__ import annotations

from typing import Literal

import msgspec

ReadyStatus = Literal["ready", "stopping", "degraded", "recovering"]


class Health(msgspec.Struct, frozen=True):
    """That the process answers."""

    status: str = "healthy"
    service: str = "Flow Manager"


class RecoveryResource(msgspec.Struct, frozen=True):
    """How far the recovery of what was unfinished at the start has come."""

    unfinished: int
    recovered: int
    quarantined: int
    stranded: int


class Readiness(msgspec.Struct, frozen=True):
    """Whether executions are accepted, and by what.

    Attributes:
        status: ready; or stopping, degraded or recovering.
        backend: the library that runs the executions.
        server: what serves HTTP.
        journal: where executions are recorded.
        version: that of flowmgr.
        live_executions: how many have started and not ended.
        abandoned_executions: how many have ended as cancelled with code that does not stop.
        recovery: what became of those that were unfinished at the start.
        stranded: why some of them cannot go on, by id; at most `web.resources.MAX_ITEMS`.
        trouble: why the journal can record nothing; null if it can.
        sqlite: the version of the SQLite library; null if the journal is none of its databases.
        warnings: what an operator should know.
    """

    status: ReadyStatus
    backend: str
    server: str
    journal: str
    version: str
    live_executions: int
    abandoned_executions: int
    recovery: RecoveryResource
    stranded: dict[str, str]
    trouble: str | None
    sqlite: str | None
    warnings: list[str]
