"""What a process and its parent say to each other: JSON in frames that begin with their length."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from actors.outcome import NULL, ErrorInfo

_LENGTH: Final = struct.Struct(">I")


class Surroundings(msgspec.Struct, frozen=True):
    """What a new child is told first: where it is to find the user's code.

    Attributes:
        path: the parent's ``sys.path``.
        directory: the parent's working directory; None if that has been deleted.
    """

    path: list[str]
    directory: str | None


class Request(msgspec.Struct, frozen=True):
    """Asks a child to run an activity.

    Attributes:
        activity: the activity's name.
        module: the module that its function is in.
        qualname: the function's qualified name there.
        context: the values that the execution has so far, a JSON object, with the arguments that
            the task gives over them.
        given: the names of those arguments.
        number: which request of this child it is; the answer repeats it.
    """

    activity: str
    module: str
    qualname: str
    context: msgspec.Raw
    given: list[str] = []
    number: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What came of a request.

    Attributes:
        data: the result, as JSON; ``null`` after an error.
        error: what the activity raised; None if it returned.
        is_last: the child has been asked to end, and does so now.
        was_terminated: that request is also what ended the activity, and not its own doing.
        number: that of the request.
    """

    data: msgspec.Raw = NULL
    error: ErrorInfo | None = None
    is_last: bool = False
    was_terminated: bool = False
    number: int = 0


class Terminated(BaseException):
    """Raised in a process activity when it is cancelled, so that its ``finally`` blocks run.

    Like KeyboardInterrupt it is no `Exception`: code that handles errors should not stop it. In
    an async activity the function is cancelled instead, at its next checkpoint.
    """


def frame(message: msgspec.Struct) -> bytes:
    """Return *message* as it is sent."""
    data = _encode(message)
    return _LENGTH.pack(len(data)) + data


def take_frame(received: bytearray) -> bytes | None:
    """Remove the first frame from *received* and return its content; None if it is incomplete."""
    if len(received) < _LENGTH.size:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
    if len(received) < end:
        return None
    content = bytes(memoryview(received)[_LENGTH.size : end])
    del received[:end]
    return content


_encode = msgspec.json.Encoder().encode
decode_surroundings = msgspec.json.Decoder(Surroundings).decode
decode_request = msgspec.json.Decoder(Request).decode
decode_answer = msgspec.json.Decoder(Answer).decode
