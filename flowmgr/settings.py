"""What an operator can set about the engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from flowmgr.errors import InputError
from flowmgr.http.addresses import AllowList

SQLITE: Final = "sqlite:"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The engine's settings.

    Attributes:
        journal: where executions are recorded: "memory", where they end with the process, or
            "sqlite:PATH", a database file that is made if there is none.
        durability: what a commit to the database withstands: "full", a power loss; "relaxed", the
            end of the process only, for more speed.
        grace: seconds that cancelled tasks have for their clean-up, and that running executions
            have when the engine closes.
        threads: sync activities that run at once; further ones wait.
        processes: activities with process isolation that run at once; further ones wait.
        keep_ended: ended executions that the in-memory journal keeps; the oldest are forgotten.
        keep: seconds that ended executions are kept; None for ever.
        key_seconds: seconds for which an idempotency key stands for the request it came with.
        max_live: executions that may be live at once; further ones are refused.
        max_context_bytes: size that a client's context may have, as JSON.
        http_allow: addresses, networks and names of hosts that HTTP tasks may connect to although
            they are not public; "*" allows everything.
        http_timeout: seconds that an attempt of an HTTP task may take, redirects included.
        http_max_bytes: size that the body of an answer may have, unpacked.
        http_connections: HTTP tasks that are connected at once; further ones wait.
        simulate_unknown_activities: run tasks whose activity is unknown as a pause of 0.1 s that
            succeeds, instead of refusing their flow.
    """

    journal: str = "memory"
    durability: Literal["full", "relaxed"] = "full"
    grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    threads: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 40
    processes: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = os.cpu_count() or 1
    keep_ended: Annotated[int, msgspec.Meta(ge=0)] = 10_000
    keep: Annotated[float, msgspec.Meta(ge=1)] | None = None
    key_seconds: Annotated[float, msgspec.Meta(ge=1, le=10**9)] = 86_400.0
    max_live: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    max_context_bytes: Annotated[int, msgspec.Meta(ge=2)] = 1_048_576
    http_allow: tuple[str, ...] = ()
    http_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    http_max_bytes: Annotated[int, msgspec.Meta(ge=1, le=67_108_864)] = 1_048_576
    http_connections: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    simulate_unknown_activities: bool = False

    def checked(self) -> Settings:
        """Return these settings if every value is in its range.

        Raises:
            InputError: one is not; the message names it and its range, or the entry that cannot be
                read.
        """
        try:
            checked = msgspec.convert(msgspec.structs.asdict(self), Settings)
        except msgspec.ValidationError as error:
            msg = f"Setting refused: {error}"
            raise InputError(msg) from error
        if checked.journal != "memory" and checked.database is None:
            msg = (
                f"Setting refused: journal {self.journal!r} is not supported; "
                f"use 'memory' or '{SQLITE}PATH'"
            )
            raise InputError(msg)
        AllowList(checked.http_allow)
        return checked

    @property
    def database(self) -> Path | None:
        """The database file of the journal; None if it is in memory."""
        path = self.journal.removeprefix(SQLITE)
        return Path(path) if self.journal.startswith(SQLITE) and path else None
