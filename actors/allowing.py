"""Whether an execution's status allows what is asked of it."""

from __future__ import annotations

from actors.messages import NotAllowedError
from actors.state import ExecutionState, ExecutionStatus


def check_status(state: ExecutionState, done: str, *allowed: ExecutionStatus) -> None:
    """Refuse what is asked for unless the status is one of *allowed*.

    Args:
        state: how the execution stands.
        done: what is to be done to it, as in "cancelled".
        allowed: the statuses.

    Raises:
        NotAllowedError: it is not; the message says which statuses allow it.
    """
    if state.status not in allowed:
        *others, last = allowed
        listed = f"{', '.join(others)} and {last}" if others else last
        stands = _ENDED.get(state.status, f"is {state.status}")
        msg = f"{stands}; only {listed} executions can be {done}"
        raise NotAllowedError(msg)


_ENDED = {"completed": "has completed", "failed": "has failed", "cancelled": "was cancelled"}
