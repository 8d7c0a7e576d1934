"""How activities are run: in the host task, in a thread, in a process."""

from __future__ import annotations

import concurrent.futures
import inspect
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

import anyio
import msgspec
import sniffio
from anyio.lowlevel import checkpoint_if_cancelled
from msgspec import UNSET

from actors.outcome import is_a
from actors.ports import ActivityRunner, Attempt
from actors.values import encode_value
from flowmgr.activities.binding import Binding, given_context, given_names
from flowmgr.activities.declaration import Activity
from flowmgr.activities.processes import ProcessPool
from flowmgr.activities.threads import Threads
from flowmgr.activities.wire import Request

SIMULATED_SECONDS: Final = 0.1

LIBRARY: Final = sniffio.current_async_library_cvar
"""Where anyio looks for the library of an asyncio task; what comes after an activity looks, too."""


class RunnerResources:
    """What the runners of one engine share: a bound on threads, and the child processes.

    Enter it before any runner runs. When it has been left, no child process is there any more.

    Args:
        threads: sync activities that run at once; further ones wait.
        processes: process activities that run at once; further ones wait.
    """

    def __init__(self, threads: int, processes: int) -> None:
        self.threads: Final = Threads(threads)
        self.processes: Final = ProcessPool(processes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.processes.aclose()


def runner_for(activity: Activity[..., Any], resources: RunnerResources) -> ActivityRunner:
    """Return what runs *activity*.

    Raises:
        ActivityDeclarationError: an annotation of the activity's cannot be resolved.
    """
    if activity.isolation == "process":
        return ProcessRunner(activity, resources.processes)
    if activity.isolation == "thread":
        return ThreadRunner(activity, resources.threads)
    return TaskRunner(activity.function, activity.binding)


class TaskRunner:
    """Runs an async function in the host task."""

    __slots__ = ("_binding", "_function")

    def __init__(self, function: Callable[..., Coroutine[Any, Any, Any]], binding: Binding) -> None:
        self._function = function
        self._binding = binding

    async def run(self, attempt: Attempt) -> bytes:
        """Await the function; cancelling it cancels the function at its next checkpoint."""
        function, binding = self._function, self._binding
        if binding.is_context_only and attempt.arguments is UNSET:
            call = function(attempt.context)
        else:
            call = function(**binding.bind_for(attempt))
        library = LIBRARY.get()
        try:
            result = await call
        finally:
            if LIBRARY.get() is not library:
                LIBRARY.set(library)
        return encode_value(result)


class ThreadRunner:
    """Runs a sync function in a worker thread."""

    __slots__ = ("_binding", "_function", "_name", "_threads")

    def __init__(self, activity: Activity[..., Any], threads: Threads) -> None:
        self._name = activity.name
        self._function = activity.function
        self._binding = activity.binding
        self._threads = threads

    async def run(self, attempt: Attempt) -> bytes:
        """Run the function in a thread, when one is free.

        Cancelling it while none is free starts nothing. Later it has no effect by itself: a thread
        cannot be stopped, so this waits until the function ends. One that calls
        `anyio.from_thread.check_cancelled` now and then ends soon; the result of one that does not
        is returned as if nothing had been cancelled.
        """
        data, error = await self._threads.run(attempt.execution_id, self._call, attempt)
        if error is None:
            return data
        try:
            if is_a(error, concurrent.futures.CancelledError):
                # What anyio.from_thread.run raises for a cancellation: if so, it is one here.
                await checkpoint_if_cancelled()
            raise error
        finally:
            del error  # its traceback refers to this frame

    def _call(self, attempt: Attempt) -> tuple[bytes, BaseException | None]:
        """Call the function; never raises, for the thread and the event loop go on."""
        try:
            result = self._function(**self._binding.bind_for(attempt))
            if inspect.iscoroutine(result):
                result.close()
                msg = (
                    f"activity '{self._name}' returned a coroutine: declare it with 'async def', "
                    "or let what decorates it be async"
                )
                raise TypeError(msg)  # noqa: TRY301 - it ends like what the function raises
            return encode_value(result), None
        except (StopIteration, StopAsyncIteration) as error:
            # These two mean something else to a coroutine than an error.
            wrapped = RuntimeError(f"activity '{self._name}' raised {type(error).__name__}")
            wrapped.__cause__ = error
            return b"", wrapped
        except BaseException as error:  # noqa: BLE001 - raised again in the host task
            return b"", error


class ProcessRunner:
    """Runs a function in a child process, which can be killed."""

    __slots__ = ("_module", "_name", "_pool", "_qualname")

    def __init__(self, activity: Activity[..., Any], pool: ProcessPool) -> None:
        self._name = activity.name
        self._module = activity.function.__module__
        self._qualname = activity.function.__qualname__
        self._pool = pool

    async def run(self, attempt: Attempt) -> bytes:
        """Run the function in a child process, when one is free.

        Cancelling it is described at `ProcessPool.run`: the process is gone before it is let
        through.
        """
        context = msgspec.Raw(given_context(attempt).to_json())
        given = list(given_names(attempt))
        request = Request(self._name, self._module, self._qualname, context, given)
        return await self._pool.run(request, attempt)


class SimulatedRunner:
    """Stands in for an activity that nobody has declared: a pause, then a success."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    async def run(self, attempt: Attempt) -> bytes:  # noqa: ARG002 - the port has it
        """Sleep and return "Result from <name>"; cancelling it ends the sleep."""
        await anyio.sleep(SIMULATED_SECONDS)
        return encode_value(f"Result from {self._name}")
