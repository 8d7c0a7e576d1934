"""Actors that wait while they handle their message, and answers to messages."""

from __future__ import annotations

import math
from typing import Generic, TypeVar, cast

import anyio
import msgspec

M = TypeVar("M")


class HostedActor(msgspec.Struct, Generic[M], eq=False):
    """An actor that waits while it handles its message, and so needs the host task.

    It has one message in its life, which it is made with; what is to reach it later reaches it as
    a cancellation. Subclasses implement `run`. It is a Struct, as other small objects of which a
    step or an execution needs one: those are made in a third of the time.
    """

    _message: M

    async def run(self) -> None:
        """Handle the message, in the host task. Must not raise."""
        raise NotImplementedError


def is_being_cancelled() -> bool:
    """Whether a scope around this frame is cancelled; true of a cancellation that was asked for."""
    return anyio.current_effective_deadline() == -math.inf


def is_of_open_scopes(error: BaseException) -> bool:
    """Whether *error* is what anyio or trio raises where cancel scopes are not closed in order.

    It is an activity that has left one open then: ours are in `with` blocks. A group is of these
    if all that is in it is.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_of_open_scopes, error.exceptions))
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("cancel scope" in text or "nursery stack" in text)


class Reply(msgspec.Struct, Generic[M], eq=False):
    """A place for one answer, which a message carries to the actor that is to give it.

    Attributes:
        is_given: whether the answer is there.
    """

    _answer: M | Exception | None = None
    _event: anyio.Event | None = None
    is_given: bool = False

    def give(self, answer: M | Exception) -> None:
        """Give the answer, or the error that there is instead of one; not a checkpoint."""
        self._answer = answer
        self.is_given = True
        if self._event is not None:
            self._event.set()

    async def get(self) -> M:
        """Wait for the answer; a checkpoint only if it is not there yet.

        Cancelling it leaves the answer to nobody; what the actor does is not undone.

        Raises:
            Exception: the error that was given instead of an answer.
        """
        if not self.is_given:
            self._event = anyio.Event()
            await self._event.wait()
        return self.answer()

    def answer(self) -> M:
        """Return the answer, which has been given.

        Raises:
            Exception: the error that was given instead of an answer.
        """
        if isinstance(self._answer, Exception):
            raise self._answer
        return cast("M", self._answer)
