"""The dispatcher: runs the actors of one execution that never wait.

An actor is not a task. Spawning a task for each would cost an execution more than everything else
it does. Instead the actors that never wait (the supervisor, the router) are run by whoever sends
them mail, to completion, before the sender goes on; and the actors that do wait (task actors) are
run one after the other on the lane of their scope (see `actors.lane`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.actor import Actor


class Dispatcher:
    """Runs actors that have mail.

    All of it happens in the event loop's thread, and nothing in it is re-entrant: an actor that
    sends to another one while handling a message only queues it.
    """

    __slots__ = ("_is_draining", "_ready")

    def __init__(self) -> None:
        self._ready: deque[Actor[Any]] = deque()
        self._is_draining = False

    def schedule(self, actor: Actor[Any]) -> None:
        """Have *actor* handle its mail, now or right after the actor that is doing so."""
        ready = self._ready
        if self._is_draining:
            ready.append(actor)
            return
        self._is_draining = True
        try:
            actor.is_scheduled = False
            actor.handle_mail()
            while ready:
                actor = ready.popleft()
                actor.is_scheduled = False
                actor.handle_mail()
        finally:
            self._is_draining = False
