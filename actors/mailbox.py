"""Mailboxes: where messages wait that an actor cannot handle yet."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Generic, TypeVar

M = TypeVar("M")
K = TypeVar("K")


class MailboxFullError(Exception):
    """The actor has as much mail as it may have; the sender has to wait or to give up."""


class Mailbox(Generic[M]):
    """The messages that wait for one actor, in the order in which it is to handle them.

    That is the order of their arrival; but what came from outside waits for one of the other
    messages at most, so however much the actors tell each other, it is handled soon.

    What comes from outside is bounded. The bound is not for waiting at (two actors that wait for
    each other's mailbox would do so for ever) but for refusing at, and only callers from outside
    are refused. Actors of an execution answer one message with one, so their mail to each other
    needs no bound, does not count, and must not be lost because of what came from outside.
    """

    __slots__ = ("_is_turn_of_own", "_offered", "_own")

    BOUND: ClassVar[int] = 1024

    def __init__(self) -> None:
        self._own: deque[M] = deque()
        self._offered: deque[M] = deque()  # from outside
        self._is_turn_of_own = False  # the last message came from outside, so others are next

    def __len__(self) -> int:
        return len(self._own) + len(self._offered)

    def put(self, message: M) -> None:
        """Keep a message from another actor of the execution."""
        self._own.append(message)

    def offer(self, message: M) -> None:
        """Keep a message from outside.

        Raises:
            MailboxFullError: the mailbox holds `BOUND` messages from outside.
        """
        if len(self._offered) >= self.BOUND:
            msg = f"the mailbox holds {self.BOUND} messages"
            raise MailboxFullError(msg)
        self._offered.append(message)

    def take(self) -> M:
        """Remove the message that is to be handled next, and return it; there is one."""
        if self._offered and not (self._is_turn_of_own and self._own):
            self._is_turn_of_own = True
            return self._offered.popleft()
        self._is_turn_of_own = False
        return self._own.popleft()

    def take_offered(self, kind: type[K]) -> list[K]:
        """Remove all messages from outside that are of this *kind*, and return them."""
        offered, self._offered = self._offered, deque()
        taken: list[K] = []
        for message in offered:
            if isinstance(message, kind):
                taken.append(message)
            else:
                self._offered.append(message)
        return taken
