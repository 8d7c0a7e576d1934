"""What an operator can set about the engine."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec

from flowmgr.errors import InputError


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The engine's settings.

    Attributes:
        journal: where executions are recorded; "memory" is the only one so far.
        grace: seconds that cancelled tasks have for their clean-up, and that running executions
            have when the engine closes.
        threads: sync activities that run at once; further ones wait.
        processes: activities with process isolation that run at once; further ones wait.
        keep_ended: ended executions that the in-memory journal keeps; the oldest are forgotten.
        max_live: executions that may be live at once; further ones are refused.
        max_context_bytes: size that a client's context may have, as JSON.
        simulate_unknown_activities: run tasks whose activity is unknown as a pause of 0.1 s that
            succeeds, instead of refusing their flow.
    """

    journal: str = "memory"
    grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    threads: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 40
    processes: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = os.cpu_count() or 1
    keep_ended: Annotated[int, msgspec.Meta(ge=0)] = 10_000
    max_live: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    max_context_bytes: Annotated[int, msgspec.Meta(ge=2)] = 1_048_576
    simulate_unknown_activities: bool = False

    def checked(self) -> Settings:
        """Return these settings if every value is in its range.

        Raises:
            InputError: one is not; the message names it and its range.
        """
        try:
            checked = msgspec.convert(msgspec.structs.asdict(self), Settings)
        except msgspec.ValidationError as error:
            msg = f"Setting refused: {error}"
            raise InputError(msg) from error
        if checked.journal != "memory":
            msg = f"Setting refused: journal {self.journal!r} is not supported; use 'memory'"
            raise InputError(msg)
        return checked
