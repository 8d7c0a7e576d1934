"""How an attempt ended: an outcome (success or failure), or a stop that was asked for."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeGuard, TypeVar

import msgspec

from actors.values import ValueRefusedError, decode_value, encode_value

E = TypeVar("E", bound=BaseException)

OutcomeStatus = Literal["success", "failure"]

StopKind = Literal["stopped", "finished", "killed", "abandoned"]
"""How an attempt ended when its execution was cancelled.

``stopped``: at a checkpoint, its ``finally`` blocks have run; or it had not begun. ``finished``: it
returned all the same, before the cancellation reached it or in spite of it. ``killed``: its process
was. ``abandoned``: it was still running when the grace was over; whatever it returns later is
ignored.
"""

NULL = msgspec.Raw(b"null")

MAX_MESSAGE: Final = 4096
"""Characters of an error message that are kept."""

MAX_LISTED: Final = 5
"""Errors that the message of one names that stands for several; it says how many there were."""


class ErrorInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What went wrong: the type's name and a sentence; neither a traceback nor an exception.

    Attributes:
        type: the name of the exception's class, or what an `ActivityError` says.
        message: a sentence for people.
        data: whatever else is to be known about it, as JSON.
        retryable: False if a further attempt is of no use.
    """

    type: str
    message: str
    data: msgspec.Raw = NULL
    retryable: bool = True

    def as_value(self) -> dict[str, Any]:
        """Return the error as expressions see it: ``type``, ``message`` and ``data``."""
        return {"type": self.type, "message": self.message, "data": decode_value(self.data)}


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The outcome of a task attempt.

    Attributes:
        status: whether the activity returned (success) or raised (failure).
        seconds: how long the attempt took, by the monotonic clock.
        data: the result as JSON; ``null`` after a failure.
        error: what went wrong; None after a success.
    """

    status: OutcomeStatus
    seconds: float
    data: msgspec.Raw = NULL
    error: ErrorInfo | None = None

    @property
    def value(self) -> Any:
        """The result as a plain value of the caller's own; None after a failure."""
        return decode_value(self.data)


class ReportedError(Exception):
    """An error that was raised elsewhere, in another process, and of which only this is known.

    Attributes:
        info: how it was described where it was raised; `describe_error` returns it as it is.
    """

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(f"{info.type}: {info.message}")
        self.info = info


class ActivityError(Exception):
    """Raised by an activity to say how its task has failed.

    Conditions see the three as ``error.type``, ``error.message`` and ``error.data``.

    Attributes:
        info: how it is recorded.

    Raises:
        ValueRefusedError: *data* is not JSON.
        TypeError: *type* or *message* is not text, or *retryable* neither True nor False.
    """

    def __init__(
        self,
        type: str,  # noqa: A002 - the word that conditions have for it
        message: str,
        *,
        retryable: bool = True,
        data: Any = None,
    ) -> None:
        """Make the error.

        Args:
            type: what kind of error it is, as "PaymentDeclined".
            message: a sentence for people.
            retryable: False if a further attempt is of no use.
            data: whatever else is to be known about it: JSON.
        """
        given: tuple[Any, ...] = (type, message)
        if not type or not all(isinstance(text, str) for text in given):
            msg = f"ActivityError takes a type and a message, both text: {type!r}, {message!r}"
            raise TypeError(msg)
        if not isinstance(retryable, bool):  # a record with anything else could not be read again
            msg = (
                f"ActivityError takes True or False as retryable: {retryable!r} ({type}: {message})"
            )
            raise TypeError(msg)
        super().__init__(f"{type}: {message}")
        try:
            encoded = encode_value(data)
        except ValueRefusedError as error:
            said = error.refusal.sentence("the data of an ActivityError")
            raise ValueRefusedError(error.refusal, f"{said} ({self})") from error
        self.info = ErrorInfo(_kept(type), _kept(message), msgspec.Raw(encoded), retryable)


def describe_error(error: BaseException) -> ErrorInfo:
    """Describe *error* without ever raising: user exceptions may have a broken ``__str__``.

    An exception group is described by its first leaves, as "2 errors: ValueError: x; KeyError: y".
    """
    try:
        if is_a(error, ReportedError, ActivityError):
            info = getattr(error, "info", None)  # a subclass may not have called __init__
            if isinstance(info, ErrorInfo):
                return info
        if is_a(error, BaseExceptionGroup):
            leaves = _leaves(error)
            listed = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves[:MAX_LISTED])
            message = f"{len(leaves)} error{'s'[: len(leaves) != 1]}: {listed}"
        else:
            message = str(error)
        message = _kept(message)
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything
        message = "(the error's own text could not be made)"
    return ErrorInfo(type(error).__name__, message)


def is_a(error: BaseException, *types: type[E]) -> TypeGuard[E]:
    """Return whether *error* is of one of *types*, as an `except` would find.

    `isinstance` may call the error's own code, and a ``__getattribute__`` may raise anything.
    """
    return issubclass(type(error), types)


def _kept(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:MAX_MESSAGE]


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop()
        if is_a(error, BaseExceptionGroup):
            pending.extend(reversed(error.exceptions))
        else:
            leaves.append(error)
    return leaves
