"""The dispatcher: who runs when."""

import pytest

from actors.dispatcher import Dispatcher
from tests.unit.test_actor import Recorder


def test_an_actor_that_sends_to_another_goes_on_before_that_one_is_run():
    dispatcher = Dispatcher()
    first, second = Recorder(dispatcher), Recorder(dispatcher)
    steps = []
    first.receive = lambda message: (second.send("hello"), steps.append("first"))
    second.receive = lambda message: steps.append("second")
    first.send("go")
    assert steps == ["first", "second"]


def test_actors_that_have_mail_take_turns_in_the_order_of_its_arrival():
    dispatcher = Dispatcher()
    first, second = Recorder(dispatcher), Recorder(dispatcher)
    first.forward = {1: [(second, "a"), (first, 2), (second, "b")]}
    first.send(1)
    assert (first.received, second.received) == ([1, 2], ["a", "b"])


def test_mail_that_is_there_when_an_actor_raises_is_handled_with_the_next_message():
    dispatcher = Dispatcher()
    broken, other, third = (Recorder(dispatcher) for _ in range(3))
    broken.receive = lambda message: (other.send(message), 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.send("a")
    third.send("b")
    other.send("c")
    assert (other.received, third.received) == (["a", "c"], ["b"])
