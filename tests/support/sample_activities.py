"""Activities for the tests. Those that run elsewhere tell by files what they are doing."""

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import msgspec

from actors.context import Context
from actors.outcome import ActivityError
from flowmgr.activities.declaration import activity
from flowmgr.activities.wire import Terminated


class Order(msgspec.Struct):
    id: int
    amount: float = 1.0


def tell(file: str, word: object = "") -> None:
    """Write *word* so that nobody sees half of it."""
    if Path(file).exists() and not Path(file).is_file():
        raise ValueError(f"{file} is no regular file, and would be replaced by one")
    draft = Path(f"{file}.{os.getpid()}.draft")
    draft.write_text(str(word))
    draft.rename(file)


# --- task


@activity
async def echo(context: Context) -> Any:
    return dict(context)


@activity
async def charge(order: Order, amount: float = 2.5) -> dict[str, Any]:
    """Charge an order,
    all of it.

    The rest of the text.
    """
    return {"id": order.id, "amount": amount}


@activity
async def decline(context: Context) -> None:
    raise ActivityError(
        "Declined", "no money", retryable=False, data={"account": context["account"]}
    )


@activity
async def sleep_in_task(context):
    await anyio.sleep_forever()


# --- thread


@activity
def echo_in_thread(context: dict[str, Any]) -> Any:
    return context


@activity
async def say(word):
    return word if isinstance(word, str) else dict(word)


@activity
def say_in_thread(word):
    return word if isinstance(word, str) else dict(word)


@activity
def loop_until_cancelled(started: str, ended: str) -> None:
    try:
        tell(started)
        while True:
            anyio.from_thread.check_cancelled()
            time.sleep(0.001)
    finally:
        tell(ended)


@activity
def sleep_from_thread(started: str) -> None:
    async def sleep() -> None:
        tell(started)
        await anyio.sleep_forever()

    anyio.from_thread.run(sleep)


@activity
def wait_for_file(started: str, awaited: str) -> str:
    tell(started)
    while not Path(awaited).exists():
        time.sleep(0.001)
    return "came"


@activity
def fail_in_cleanup(started: str) -> None:
    try:
        tell(started)
        while True:
            anyio.from_thread.check_cancelled()
            time.sleep(0.001)
    finally:
        raise ValueError("the clean-up failed")


@activity
def return_a_coroutine(context):
    return echo(context)


# --- process


@activity(isolation="process")
def echo_in_process(context):
    return dict(context)


@activity(isolation="process")
async def echo_async_in_process(context):
    await anyio.lowlevel.checkpoint()
    return dict(context)


@activity(isolation="process")
def say_in_process(word):
    return word if isinstance(word, str) else dict(word)


@activity(isolation="process")
def get_pid(context):
    return os.getpid()


@activity(isolation="process")
def return_twice(context):
    return "in a fork" if os.fork() == 0 else "in the process"


@activity(isolation="process")
def exit_in_a_fork(context):
    if os.fork() == 0:
        sys.exit(0)
    return "in the process"


@activity(isolation="process")
def get_surroundings(context):
    return {"directory": str(Path.cwd()), "path": sys.path, "stdin": sys.stdin.read()}


@activity(isolation="process")
def charge_in_process(order: Order, amount: float = 2.5) -> dict[str, Any]:
    return {"id": order.id, "amount": amount}


@activity(isolation="process")
def make_noise(context):
    print("noise on standard output")
    os.write(1, b"\x00\x00\x00\x02{}")
    os.system("echo noise of a child")
    return "quiet"


@activity(isolation="process")
def sleep_in_process(started: str, ended: str) -> None:
    try:
        tell(started, os.getpid())
        time.sleep(60)
    finally:
        tell(ended)


@activity(isolation="process")
async def sleep_async_in_process(started: str, ended: str) -> None:
    try:
        tell(started, os.getpid())
        await anyio.sleep(60)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.001)
        tell(ended)


@activity(isolation="process")
def ignore_termination(started: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(started, os.getpid())
    time.sleep(60)


@activity(isolation="process")
def spin_in_process(started: str) -> None:
    tell(started, os.getpid())
    while True:
        pass


@activity(isolation="process")
def match_in_process(started: str) -> None:
    tell(started, os.getpid())
    re.match("(a+)+$", "a" * 60 + "b")  # takes years, and lets no other thread run


@activity(isolation="process")
def return_when_terminated(started: str) -> str:
    try:
        tell(started, os.getpid())
        time.sleep(60)
    except Terminated:
        return "finished"
    return "slept"


@activity(isolation="process")
def fail_in_cleanup_of_process(started: str) -> None:
    try:
        tell(started, os.getpid())
        time.sleep(60)
    finally:
        raise ValueError("the clean-up failed")


@activity(isolation="process")
def start_a_program(started: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as program:
        tell(started, program.pid)


@activity(isolation="process")
def die_and_leave_a_program(started: str) -> None:
    tell(started, os.posix_spawnp("sleep", ["sleep", "60"], os.environ))
    os._exit(3)


@activity(isolation="process")
def die_and_leave_a_fork(started: str) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(60)  # with both pipes of its parent's open
        os._exit(0)
    tell(started, pid)
    os._exit(3)


@activity(isolation="process")
def segfault(context):
    ctypes.string_at(0)


@activity(isolation="process")
def exit_at_once(context):
    os._exit(3)


@activity(isolation="process")
def close_all_files(context):
    os.closerange(3, 64)
    time.sleep(60)


@activity(isolation="process")
def answer_rubbish(context):
    os.write(4, b"\x00\x00\x00\x02?!")  # the pipe to the parent, as it happens
    time.sleep(60)


# --- what raises, in a thread and in a process alike


class OddError(BaseException):
    """Neither an Exception nor one of those that Python knows."""


def raise_system_exit(context):
    sys.exit("leaving")


def raise_keyboard_interrupt(context):
    raise KeyboardInterrupt("stop")


def raise_stray_cancellation(context):
    raise asyncio.CancelledError("stray")


def raise_group(context):
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


def raise_odd_error(context):
    raise OddError("odd")


def recurse(context):
    return recurse(context)


def raise_value_error(context):
    raise ValueError("no good")


def raise_stop_iteration(context):
    raise StopIteration("over")


def raise_stop_async_iteration(context):
    raise StopAsyncIteration("over")


def return_a_set(context):
    return {1}


class UnfriendlyError(Exception):
    """Whoever asks it for anything, its class included, gets an error."""

    def __getattribute__(self, name):
        raise RuntimeError(f"not even {name}")


def raise_unfriendly_error(context):
    raise UnfriendlyError("go away")


async def raise_system_exit_async(context):
    await anyio.lowlevel.checkpoint()
    sys.exit("leaving")


async def raise_keyboard_interrupt_async(context):
    raise KeyboardInterrupt("stop")


async def raise_stray_cancellation_async(context):
    raise asyncio.CancelledError("stray")


async def raise_unfriendly_error_async(context):
    raise UnfriendlyError("go away")


async def raise_group_async(context):
    async with anyio.create_task_group() as group:
        group.start_soon(raise_value_error_async)


async def raise_value_error_async() -> None:
    raise ValueError("no good")


RAISING: dict[Callable[..., Any], tuple[str, str]] = {
    raise_system_exit: ("SystemExit", "leaving"),
    raise_keyboard_interrupt: ("KeyboardInterrupt", "stop"),
    raise_stray_cancellation: ("CancelledError", "stray"),
    raise_group: ("ExceptionGroup", "2 errors: ValueError: one; KeyError: 'two'"),
    raise_odd_error: ("OddError", "odd"),
    raise_unfriendly_error: ("UnfriendlyError", "go away"),
    recurse: ("RecursionError", "maximum recursion depth exceeded"),
    raise_value_error: ("ValueError", "no good"),
    return_a_set: ("ValueRefusedError", "result is a set"),
}
"""Functions, and the type and the beginning of the message that is to be recorded."""

RAISING_ASYNC: dict[Callable[..., Any], tuple[str, str]] = {
    raise_system_exit_async: ("SystemExit", "leaving"),
    raise_keyboard_interrupt_async: ("KeyboardInterrupt", "stop"),
    raise_stray_cancellation_async: ("CancelledError", "stray"),
    raise_unfriendly_error_async: ("UnfriendlyError", "go away"),
    raise_group_async: ("ExceptionGroup", "1 error: ValueError: no good"),
}
