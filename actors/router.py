"""The router actor: applies a flow's conditions to how its tasks ended."""

from __future__ import annotations

from actors.actor import Actor
from actors.dispatcher import Dispatcher
from actors.messages import ApplyConditions, SupervisorMessage, TaskDecided
from actors.routing import decide


class RouterActor(Actor[ApplyConditions]):
    """A mailbox around `actors.routing.decide`; keeps nothing between messages."""

    __slots__ = ("_supervisor",)

    def __init__(self, dispatcher: Dispatcher, supervisor: Actor[SupervisorMessage]) -> None:
        super().__init__(dispatcher)
        self._supervisor = supervisor

    def receive(self, message: ApplyConditions) -> None:
        """Decide where the finished task leads and tell the supervisor."""
        run, outcome = message.run, message.outcome
        self._supervisor.send(TaskDecided(run, outcome, decide(run.task, outcome)))
