"""Actors, their mailboxes, and answers."""

import anyio
import pytest

from actors.actor import Actor, MailboxFullError, Reply

pytestmark = pytest.mark.anyio


class Recorder(Actor):
    """Keeps what it is sent, and may send something on."""

    def __init__(self):
        super().__init__()
        self.received = []
        self.forward = {}

    def receive(self, message):
        self.received.append(message)
        for target, further in self.forward.pop(message, ()):
            target.send(further)


class Hesitant(Recorder):
    """Handles its mail only when it is ready."""

    is_ready = False

    def handle_mail(self):
        if self.is_ready:
            super().handle_mail()


class Deaf(Actor):
    """Leaves its mail where it is, as an actor that waits for something else does."""

    def handle_mail(self):
        pass


def test_messages_are_handled_in_the_order_of_their_arrival():
    actor = Recorder()
    for number in range(5):
        actor.send(number)
    assert actor.received == [0, 1, 2, 3, 4]


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


def test_mail_that_is_there_when_an_actor_raises_is_handled_with_the_next_message():
    actor = Recorder()
    actor.forward = {"first": [(actor, "second"), (None, "nobody")]}
    with pytest.raises(AttributeError):
        actor.send("first")
    actor.send("third")
    assert actor.received == ["first", "second", "third"]


def test_a_full_mailbox_refuses_what_comes_from_outside_and_keeps_what_it_has():
    actor = Deaf()
    for number in range(Actor.MAILBOX_BOUND):
        actor.offer(number)
    with pytest.raises(MailboxFullError, match="Deaf holds 1024 messages"):
        actor.offer("one too many")
    assert list(actor._offered_mail) == list(range(Actor.MAILBOX_BOUND))


def test_a_full_mailbox_takes_what_other_actors_send():
    actor = Deaf()
    for number in range(Actor.MAILBOX_BOUND):
        actor.offer(number)
    actor.send("of its own")
    assert actor._mailbox[-1] == "of its own"


def test_what_other_actors_send_takes_no_room_from_what_comes_from_outside():
    actor = Deaf()
    for number in range(2 * Actor.MAILBOX_BOUND):
        actor.send(number)
    for number in range(Actor.MAILBOX_BOUND):
        actor.offer(number)
    with pytest.raises(MailboxFullError):
        actor.offer("one too many")


def test_what_comes_from_outside_waits_for_one_other_message_at_most_and_delays_one_no_longer():
    actor = Hesitant()
    for number in range(4):
        actor.send(number)
    for letter in "abc":
        actor.offer(letter)
    actor.is_ready = True
    actor.send(4)
    assert actor.received == ["a", 0, "b", 1, "c", 2, 3, 4]


def test_mail_that_was_left_is_handled_with_the_next_message():
    actor = Hesitant()
    actor.send(1)
    actor.is_ready = True
    actor.send(2)
    assert actor.received == [1, 2]


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
