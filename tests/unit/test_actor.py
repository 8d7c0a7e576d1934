"""Actors, their mailboxes, and answers."""

from typing import ClassVar

import anyio
import pytest

from actors.actor import Reply
from actors.events import ExecutionPaused
from actors.mailbox import Mailbox, MailboxFullError
from actors.recording import RecordingActor

pytestmark = pytest.mark.anyio


class Journal:
    """Keeps the acknowledgement that is to be given, if it is not to be given at once."""

    is_prompt = True
    acknowledge = None

    def append(self, _, acknowledge):
        if self.is_prompt:
            acknowledge(None)
        else:
            self.acknowledge = acknowledge


class Recorder(RecordingActor):
    """Keeps what it is sent, and may send something on; records something for a lower-case one."""

    def __init__(self):
        self.journal = Journal()
        super().__init__("execution", self.journal, None)
        self.received = []
        self.forward = {}
        self.settled = 0

    def settle(self):
        self.settled += 1

    def _receive(self, message):
        self.received.append(message)
        for target, further in self.forward.pop(message, ()):
            target.send(further)
        if message.islower():
            self.record((ExecutionPaused(at=0.0),))

    _HANDLERS: ClassVar = {str: _receive}
    _ACTIONS: ClassVar = {}


def test_messages_are_handled_in_the_order_of_their_arrival():
    actor = Recorder()
    for letter in "abcde":
        actor.send(letter)
    assert actor.received == list("abcde")


def test_a_message_that_an_actor_sends_itself_is_handled_after_the_one_that_it_handles():
    actor = Recorder()
    actor.forward = {"first": [(actor, "second"), (actor, "third")]}
    actor.send("first")
    assert actor.received == ["first", "second", "third"]


def test_an_actor_that_sends_to_another_is_sent_its_answer_behind_what_it_is_doing():
    actor, other = Recorder(), Recorder()
    actor.forward = {"question": [(other, "question"), (other, "further question")]}
    other.forward = {"question": [(actor, "answer")]}
    actor.send("question")
    assert other.received == ["question", "further question"]
    assert actor.received == ["question", "answer"]


def test_no_message_is_handled_before_what_was_decided_is_recorded():
    actor = Recorder()
    actor.journal.is_prompt = False
    actor.send("first")
    actor.send("SECOND")
    actor.offer("third")
    assert (actor.received, actor.settled) == (["first"], 0)
    actor.journal.acknowledge(None)
    assert (actor.received, actor.settled) == (["first", "third"], 0)
    actor.journal.acknowledge(None)
    assert (actor.received, actor.settled) == (["first", "third", "SECOND"], 1)


def test_an_actor_settles_when_it_has_no_mail_left():
    actor = Recorder()
    actor.forward = {"first": [(actor, "second")]}
    actor.send("first")
    assert actor.settled == 1


def test_a_full_mailbox_refuses_what_comes_from_outside_and_keeps_what_it_has():
    actor = Recorder()
    actor.journal.is_prompt = False
    actor.send("first")
    for _ in range(Mailbox.BOUND):
        actor.offer("ANOTHER")
    with pytest.raises(MailboxFullError, match="the mailbox holds 1024 messages"):
        actor.offer("ONE TOO MANY")
    actor.journal.acknowledge(None)
    assert actor.received == ["first", *["ANOTHER"] * Mailbox.BOUND]


def test_a_full_mailbox_takes_what_other_actors_send():
    mailbox = Mailbox()
    for number in range(Mailbox.BOUND):
        mailbox.offer(number)
    mailbox.put("of its own")
    assert len(mailbox) == Mailbox.BOUND + 1


def test_what_other_actors_send_takes_no_room_from_what_comes_from_outside():
    mailbox = Mailbox()
    for number in range(2 * Mailbox.BOUND):
        mailbox.put(number)
    for number in range(Mailbox.BOUND):
        mailbox.offer(number)
    with pytest.raises(MailboxFullError):
        mailbox.offer("one too many")


def test_what_comes_from_outside_waits_for_one_other_message_at_most_and_delays_one_no_longer():
    mailbox = Mailbox()
    for number in range(4):
        mailbox.put(number)
    for letter in "abc":
        mailbox.offer(letter)
    assert [mailbox.take() for _ in range(len(mailbox))] == ["a", 0, "b", 1, "c", 2, 3]


def test_what_is_taken_out_of_a_mailbox_leaves_the_rest_in_order():
    mailbox = Mailbox()
    for message in ("a", 1, "b", 2):
        mailbox.offer(message)
    assert mailbox.take_offered(int) == [1, 2]
    assert [mailbox.take() for _ in range(len(mailbox))] == ["a", "b"]


async def test_an_answer_that_is_there_is_returned_without_a_checkpoint():
    reply = Reply()
    reply.give("answer")
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await reply.get() == "answer"


async def test_whoever_waits_gets_the_answer():
    reply = Reply()
    async with anyio.create_task_group() as group:
        waiting = group.create_task(reply.get())
        await anyio.wait_all_tasks_blocked()
        reply.give("answer")
    assert waiting.return_value == "answer"


@pytest.mark.parametrize("is_early", [True, False])
async def test_an_error_that_is_given_is_raised(is_early):
    reply = Reply()
    if is_early:
        reply.give(ValueError("no good"))
    async with anyio.create_task_group() as group:
        if not is_early:
            group.start_soon(_give_when_blocked, reply)
        with pytest.raises(ValueError, match="no good"):
            await reply.get()


async def test_cancelling_whoever_waits_leaves_the_answer_to_nobody():
    reply = Reply()
    with anyio.move_on_after(0):
        await reply.get()
    reply.give("answer")


async def _give_when_blocked(reply):
    await anyio.wait_all_tasks_blocked()
    reply.give(ValueError("no good"))
