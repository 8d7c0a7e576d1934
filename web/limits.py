"""The limits and names that the server and the commands that talk to it have to agree on."""

from __future__ import annotations

from typing import Final, get_args

from actors.state import ExecutionStatus

MAX_BY: Final = 200
"""Characters that the name of whoever asks may have."""

MAX_REASON: Final = 1000
"""Characters that a reason may have."""

MAX_TASK: Final = 10_000
"""Characters that the path of a task may have: of 41 names, each with all of its 128 escaped."""

MAX_ITEMS: Final = 100
"""Executions that an answer about many of them names."""

STATUSES: Final = get_args(ExecutionStatus)
"""How executions can stand."""

METADATA: Final = "metadata."
"""What the names of query parameters for metadata begin with."""
