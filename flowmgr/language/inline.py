"""What runs the tasks that only look at their arguments: ``set`` and ``raise``."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from actors.expressions import text_of
from actors.outcome import MAX_MESSAGE, ErrorInfo, ReportedError
from actors.ports import Attempt
from actors.values import encode_value


class SetRunner:
    """Returns the arguments, whose fields the runtime puts into the context."""

    async def run(self, attempt: Attempt) -> bytes:
        """Return the arguments. Not a checkpoint."""
        return encode_value(attempt.arguments)


class RaiseRunner:
    """Fails with what the arguments say: ``type``, ``message`` and ``data``."""

    async def run(self, attempt: Attempt) -> NoReturn:
        """Fail, never to be retried. Not a checkpoint.

        Raises:
            ReportedError: always.
        """
        error = attempt.arguments
        message = error["message"]
        raise ReportedError(
            ErrorInfo(
                text_of(error["type"]),
                "" if message is None else text_of(message)[:MAX_MESSAGE],
                msgspec.Raw(encode_value(error["data"])),
                retryable=False,
            )
        )
