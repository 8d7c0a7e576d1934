"""What every actor is: private state, a mailbox, one message at a time."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Generic, TypeVar, cast

import anyio

M = TypeVar("M")
E = TypeVar("E")


class MailboxFullError(Exception):
    """The actor has as much mail as it may have; the sender has to wait or to give up."""


class Actor(Generic[M]):
    """An actor that handles its messages without waiting.

    It is not a task: spawning one for each would cost an execution more than everything else it
    does. It runs in whoever sends it mail, to completion, before the sender goes on; what it is
    sent while it does (by itself, or by whom it tells something) is handled behind that.

    Subclasses implement `receive`. Nothing but messages goes in: whoever holds an actor calls
    `send` and nothing else. Messages are handled one at a time, all in the event loop's thread, in
    the order of their arrival; but what came from outside waits for one of the other messages at
    most, so however much the actors tell each other, it is handled soon.

    What comes from outside is bounded. The bound is not for waiting at (two actors that wait for
    each other's mailbox would do so for ever) but for refusing at, and only callers from outside
    are refused: they use `offer`. Actors of an execution answer one message with one, so their mail
    to each other needs no bound, does not count, and must not be lost because of what came from
    outside.
    """

    __slots__ = ("_is_handling", "_is_turn_of_own", "_mailbox", "_offered_mail")

    MAILBOX_BOUND: ClassVar[int] = 1024

    def __init__(self) -> None:
        self._mailbox: deque[M] = deque()
        self._offered_mail: deque[M] | tuple[()] = ()  # from outside; most never have any
        self._is_turn_of_own = False  # the last message came from outside, so others are next
        self._is_handling = False  # further mail is handled behind what is being handled

    def send(self, message: M) -> None:
        """Put *message* into the mailbox and have it handled; not a checkpoint."""
        self._mailbox.append(message)
        if not self._is_handling:
            self.handle_mail()

    def offer(self, message: M) -> None:
        """Send *message* from outside of the execution; not a checkpoint.

        Raises:
            MailboxFullError: the mailbox holds `MAILBOX_BOUND` messages from outside.
        """
        offered = self._offered_mail
        if len(offered) >= self.MAILBOX_BOUND:
            msg = f"the mailbox of {type(self).__name__} holds {self.MAILBOX_BOUND} messages"
            raise MailboxFullError(msg)
        if isinstance(offered, tuple):
            offered = self._offered_mail = deque()
        offered.append(message)
        if not self._is_handling:
            self.handle_mail()

    @property
    def _has_mail(self) -> bool:
        return bool(self._mailbox or self._offered_mail)

    def _next_message(self) -> M:
        """Take the message that is to be handled next; there is one."""
        offered = self._offered_mail
        if offered and not (self._is_turn_of_own and self._mailbox):
            self._is_turn_of_own = True
            return offered.popleft()
        self._is_turn_of_own = False
        return self._mailbox.popleft()

    def handle_mail(self) -> None:
        """Handle every message that is there."""
        mailbox = self._mailbox
        self._is_handling = True
        try:
            while mailbox or self._offered_mail:
                self.receive(self._next_message() if self._offered_mail else mailbox.popleft())
        finally:
            self._is_handling = False

    def receive(self, message: M) -> None:
        """Handle one message. Must not wait, and must not raise."""
        raise NotImplementedError


class HostedActor(Generic[M, E]):
    """An actor that waits while it handles its message, and so needs the host task.

    It has one message in its life, which it is made with; what is to reach it later reaches it as
    a cancellation. Subclasses implement `run`.

    Args:
        message: what it is to do.
        environment: what it shares with others of its kind.
    """

    __slots__ = ("_environment", "_message")

    def __init__(self, message: M, environment: E) -> None:
        self._message = message
        self._environment = environment

    async def run(self) -> None:
        """Handle the message, in the host task. Must not raise."""
        raise NotImplementedError


class Reply(Generic[M]):
    """A place for one answer, which a message carries to the actor that is to give it."""

    __slots__ = ("_answer", "_event", "is_given")

    def __init__(self) -> None:
        self._answer: M | Exception | None = None
        self._event: anyio.Event | None = None
        self.is_given = False  # whether the answer is there

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
