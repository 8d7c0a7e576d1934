"""An actor whose decisions are recorded before they take effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import anyio

from actors.actor import Reply
from actors.events import Event
from actors.evolving import evolve
from actors.mailbox import Mailbox
from actors.messages import (
    BugFound,
    OperatorRequest,
    RecoverExecution,
    StartExecution,
    SupervisorMessage,
)
from actors.ports import Batch, Journal, LostError, NotRecordedError, StartKey
from actors.state import ExecutionState

Handlers = dict[type[Any], Callable[[Any, Any], None]]
"""By the type of a message, the method that handles it."""

Actions = dict[type[Event], Callable[[Any, Any], None]]
"""By the type of an event, the method that does what follows from it."""


class RecordingActor:
    """Decides, has it recorded, applies it to its state, and only then acts on it.

    It is not a task: spawning one for each execution would cost more than everything else that the
    execution does. It handles its messages without waiting, one at a time, all in the event loop's
    thread, and runs in whoever sends it one. Nothing but messages goes in: whoever holds the actor
    calls `send`, or from outside of the execution `offer`.

    A message is handled when the journal has everything that was decided before it, so what is in
    the state is always what a recovery would find. What comes while a batch is on its way, or while
    another message is being handled (from the actor itself, or from whom it tells something), waits
    in a mailbox.

    Subclasses have a method for each message in `_HANDLERS`, which may record one batch, and for
    each event in `_ACTIONS` that something follows from; theirs come to those of their bases.

    Attributes:
        execution_id: whose events these are.
        state: how the execution stands. Others read it; nothing but what is recorded changes it.
    """

    __slots__ = (
        "_changed",
        "_ended",
        "_is_fact",
        "_is_handling",
        "_journal",
        "_mail",
        "_pending",
        "_reply",
        "execution_id",
        "state",
    )

    _HANDLERS: ClassVar[Handlers]
    _ACTIONS: ClassVar[Actions]

    def __init__(self, execution_id: str, journal: Journal, state: ExecutionState | None) -> None:
        self.execution_id: Final = execution_id
        self.state: Final = state or ExecutionState()
        self._journal = journal
        self._mail: Mailbox[SupervisorMessage] | None = None  # None while none waits
        self._is_handling = False
        self._pending: tuple[Event, ...] = ()  # what the journal has not acknowledged yet
        self._is_fact = False  # nobody has asked for it: the journal has it wait, if it must
        self._reply: Reply[Any] | None = None  # whom to tell when it has
        self._changed: anyio.Event | None = None
        self._ended: anyio.Event | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for table in ("_HANDLERS", "_ACTIONS"):
            layers = [vars(each).get(table, {}) for each in reversed(cls.__mro__)]
            setattr(cls, table, {on: do for layer in layers for on, do in layer.items()})

    def settle(self) -> None:
        """Do what there is to do when all mail has been handled and nothing runs."""

    def never_began(self) -> None:
        """The first batch could not be recorded."""

    def was_lost(self) -> None:
        """The journal has lost the execution: nothing of it can be recorded any more."""

    def journal_failed(self, error: Exception) -> None:
        """The journal is broken."""

    @property
    def is_over(self) -> bool:
        """Whether the state never changes again."""
        return self.state.has_ended

    async def changed(self) -> None:
        """Wait until the state changes, or never will again; a checkpoint unless it never will."""
        if not self.is_over:
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    async def over(self) -> None:
        """Wait until the state never changes again; a checkpoint unless it does so already."""
        if not self.is_over:
            if self._ended is None:
                self._ended = anyio.Event()
            await self._ended.wait()

    # Handling messages.

    def send(self, message: SupervisorMessage) -> None:
        """Have *message* handled, now or as soon as that can be; not a checkpoint."""
        if self._is_handling or self._pending:
            self._mailbox().put(message)
            return
        self._is_handling = True
        try:
            self._handle(message)
        finally:
            self._is_handling = False
        state = self.state
        # Once it has ended there is nothing to settle, and most messages find an empty mailbox.
        if self._mail is not None or (not state.busy and state.ended_at is None):
            self._handle_mail()

    def offer(self, message: SupervisorMessage) -> None:
        """Send *message* from outside of the execution; not a checkpoint.

        Raises:
            MailboxFullError: as many messages from outside wait as may.
        """
        if self._is_handling or self._pending:
            self._mailbox().offer(message)
        else:
            self.send(message)

    def _mailbox(self) -> Mailbox[SupervisorMessage]:
        if self._mail is None:
            self._mail = Mailbox()
        return self._mail

    def _handle_mail(self) -> None:
        """Handle what waits in the mailbox, up to where the journal has to be; settle behind it."""
        self._is_handling = True
        try:
            while not self._pending:
                if self._mail is None:
                    if not self.state.busy:
                        self.settle()
                    if self._pending or self._mail is None:
                        return
                message = self._mail.take()
                if not len(self._mail):
                    self._mail = None
                self._handle(message)
        finally:
            self._is_handling = False

    def _handle(self, message: SupervisorMessage) -> None:
        try:
            self._HANDLERS[type(message)](self, message)
        except Exception as error:  # noqa: BLE001 - a bug of ours
            self._handling_failed(message, error)

    def _handling_failed(self, message: SupervisorMessage, error: Exception) -> None:
        """End this execution, and no other, because of a bug of ours."""
        if isinstance(message, BugFound):
            raise error
        self._reply = None
        self.send(BugFound(error))
        if isinstance(message, (StartExecution, RecoverExecution, OperatorRequest)):
            message.reply.give(error)

    def refuse_waiting(self, error: NotRecordedError) -> None:
        """Refuse the requests that wait behind a fact, which the journal has wait for room.

        Not a checkpoint. Nothing of a refused request is done later. What has been appended
        already is the journal's to answer, and what does not wait for it is answered as ever.
        """
        if self._pending and self._is_fact and self._mail is not None:
            for request in self._mail.take_offered(OperatorRequest):
                request.reply.give(error)
            if not len(self._mail):
                self._mail = None

    def record(
        self, events: tuple[Event, ...], *, is_request: bool = False, key: StartKey | None = None
    ) -> None:
        """Have *events* recorded as one batch; they take effect when they are.

        Args:
            events: at least one.
            is_request: whether somebody asks for it, and can be told that it was not recorded.
            key: what makes this start unique.
        """
        self._pending, self._is_fact = events, not is_request
        batch = Batch(self.execution_id, self.state.seq + 1, events, is_request, key)
        try:
            self._journal.append(batch, self._acknowledged)
        except Exception as error:
            if self._pending is not events:  # it was acknowledged: this is not the journal's
                raise
            self._acknowledged(error)

    def _acknowledged(self, error: Exception | None) -> None:
        is_within = self._is_handling  # the message that has led to this is still being handled
        self._is_handling = True
        events, self._pending = self._pending, ()
        try:
            if error is None:
                self._apply(events)
            elif not self.state.seq:
                self.never_began()
            if self._reply is not None:
                reply, self._reply = self._reply, None
                reply.give(_answer(error))
            if error is not None:
                self._not_recorded(error)
        finally:
            self._is_handling = is_within
        if not is_within and (self._mail is not None or not self.state.busy):
            self._handle_mail()

    def _not_recorded(self, error: Exception) -> None:
        if isinstance(error, LostError):
            self.was_lost()
        elif not isinstance(error, NotRecordedError):
            self.journal_failed(error)

    def _apply(self, events: tuple[Event, ...]) -> None:
        state, actions = self.state, self._ACTIONS
        evolve(state, events)
        try:
            for event in events:
                action = actions.get(type(event))
                if action is not None:
                    action(self, event)
        except Exception as error:  # noqa: BLE001 - not the journal's, which is what called
            self.send(BugFound(error))
        if self._changed is not None or (self._ended is not None and state.ended_at is not None):
            self.notify()

    def notify(self) -> None:
        """Tell those who wait that the state has changed, or never will again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        if self._ended is not None and self.is_over:
            self._ended.set()


def _answer(error: Exception | None) -> bool | Exception:
    if error is None or isinstance(error, NotRecordedError | LostError):
        return error or True
    return NotRecordedError(str(error))
