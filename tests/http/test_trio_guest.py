"""What the border between asyncio and a trio guest run promises, in one process."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import pytest
import sniffio
import trio

from web.servers.trio_guest import GuestRunEndedError, TrioGuest, drive

Scenario = Callable[[TrioGuest], Awaitable[None]]


def host(scenario: Scenario) -> list[BaseException]:
    """Run *scenario* in an asyncio loop with a guest run; return the crashes of the guest."""
    crashes: list[BaseException] = []

    async def main() -> None:
        async with asyncio.timeout(10), TrioGuest(crashes.append) as guest:
            await scenario(guest)

    asyncio.run(main())
    return crashes


def test_a_call_runs_in_trio_and_the_caller_stays_in_asyncio():
    seen = []

    async def in_trio(argument: str) -> None:
        await trio.lowlevel.checkpoint()
        seen.append((argument, sniffio.current_async_library()))

    async def scenario(guest: TrioGuest) -> None:
        await guest.run(in_trio, "argument")
        seen.append(sniffio.current_async_library())

    assert host(scenario) == []
    assert seen == [("argument", "trio"), "asyncio"]


@pytest.mark.parametrize("error", [ValueError, StopIteration, SystemExit, KeyboardInterrupt])
def test_what_a_call_raises_reaches_its_caller_and_nobody_else(error):
    async def fail() -> None:
        raise error

    async def scenario(guest: TrioGuest) -> None:
        # A coroutine cannot let StopIteration out: Python makes a RuntimeError of it.
        with pytest.raises(RuntimeError if error is StopIteration else error):
            await guest.run(fail)
        await guest.run(trio.sleep, 0)

    assert host(scenario) == []


def test_context_variables_go_in_and_do_not_come_out():
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    async def in_trio() -> None:
        seen.append(variable.get())
        variable.set("set in trio")

    async def scenario(guest: TrioGuest) -> None:
        variable.set("set in asyncio")
        await guest.run(in_trio)
        seen.append(variable.get())

    assert host(scenario) == []
    assert seen == ["set in asyncio", "set in asyncio"]


def test_cancelling_the_caller_cancels_the_call_and_waits_for_its_cleanup():
    seen = []

    async def in_trio() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)
            seen.append("cleaned up")

    async def scenario(guest: TrioGuest) -> None:
        task = asyncio.create_task(guest.run(in_trio))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # twice is the same as once
        with pytest.raises(asyncio.CancelledError):
            await task
        seen.append("cancelled")

    assert host(scenario) == []
    assert seen == ["cleaned up", "cancelled"]


def test_a_call_that_fails_while_it_is_cancelled_has_failed():
    async def in_trio() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup")

    async def scenario(guest: TrioGuest) -> None:
        task = asyncio.create_task(guest.run(in_trio))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(ValueError, match="in the cleanup"):
            await task

    assert host(scenario) == []


def test_a_call_that_finishes_in_spite_of_being_cancelled_has_finished():
    async def in_trio() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)

    async def scenario(guest: TrioGuest) -> None:
        task = asyncio.create_task(guest.run(in_trio))
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert host(scenario) == []


def test_a_message_that_has_arrived_is_not_lost_to_a_cancellation():
    seen = []

    async def scenario(guest: TrioGuest) -> None:
        message = asyncio.get_running_loop().create_future()
        waiting = asyncio.Event()
        scope = trio.CancelScope()

        async def receive() -> str:
            waiting.set()
            return await message

        async def in_trio() -> None:
            with scope:
                seen.append(await drive(receive))
                await trio.lowlevel.checkpoint()
            seen.append(scope.cancelled_caught)

        call = asyncio.create_task(guest.run(in_trio))
        await waiting.wait()
        message.set_result("message")
        scope.cancel()
        await call

    assert host(scenario) == []
    assert seen == ["message", True]


def test_cancelling_a_wait_for_the_host_closes_its_coroutine():
    seen = []

    async def receive() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(sniffio.current_async_library())

    async def in_trio() -> None:
        with trio.move_on_after(0.001) as scope:
            await drive(receive)
        seen.append(scope.cancelled_caught)
        with trio.CancelScope() as scope:
            scope.cancel()
            await drive(receive)  # not even begun
        seen.append(scope.cancelled_caught)

    async def scenario(guest: TrioGuest) -> None:
        await guest.run(in_trio)

    assert host(scenario) == []
    assert seen == ["asyncio", True, True]


def test_what_the_host_raises_reaches_the_trio_task():
    async def send() -> None:
        await asyncio.sleep(0)
        raise OSError("the client is gone")

    async def in_trio() -> None:
        with pytest.raises(OSError, match="the client is gone"):
            await drive(send)

    async def scenario(guest: TrioGuest) -> None:
        await guest.run(in_trio)

    assert host(scenario) == []


def test_leaving_the_guest_cancels_what_still_runs():
    calls = []

    async def scenario(guest: TrioGuest) -> None:
        calls.append(asyncio.create_task(guest.run(trio.sleep_forever)))
        await asyncio.sleep(0)

    assert host(scenario) == []
    assert calls[0].cancelled()


def test_a_failed_system_task_ends_the_run_and_every_call():
    async def crash() -> None:
        raise ValueError("a system task failed")

    async def spawn() -> None:
        trio.lowlevel.spawn_system_task(crash)

    async def scenario(guest: TrioGuest) -> None:
        sleeper = asyncio.create_task(guest.run(trio.sleep_forever))
        await guest.run(spawn)
        with pytest.raises(GuestRunEndedError):
            await sleeper
        with pytest.raises(GuestRunEndedError):
            await guest.run(trio.sleep, 0)

    crashes = host(scenario)
    assert "a system task failed" in str(crashes[0])
