"""What every activity runner promises, on every backend."""

import contextlib
import json
import math
import os
import resource
import signal
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec
import pytest

from actors.context import Context
from actors.events import TaskStarted
from actors.outcome import describe_error
from actors.ports import Attempt
from flowmgr.activities.binding import InvalidArgumentsError, MissingParameterError
from flowmgr.activities.declaration import Activity, activity
from flowmgr.activities.processes import ProcessDiedError
from flowmgr.activities.runners import RunnerResources, SimulatedRunner, runner_for
from flowmgr.errors import EngineClosedError
from tests.support import interrupted_import
from tests.support import sample_activities as samples

pytestmark = pytest.mark.anyio


# --- helpers


@contextlib.asynccontextmanager
async def open_resources(**options):
    async with RunnerResources(**{"threads": 40, "processes": 2, **options}) as resources:
        yield resources


def attempt(grace=10.0, **values):
    context = Context.from_json(json.dumps(values).encode())
    return Attempt("execution", TaskStarted(at=0.0, task="task"), context, grace)


async def run(declared, resources, **values):
    return json.loads(await runner_for(declared, resources).run(attempt(**values)))


async def error_of(declared, resources, **values):
    try:
        await runner_for(declared, resources).run(attempt(**values))
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


class Hosted:
    """An attempt in a task of its own, which takes note of how it ended."""

    def __init__(self, declared, resources, grace=10.0, **values):
        self.attempt = attempt(grace, **values)
        self.scope = anyio.CancelScope()
        self.result = self.error = None
        self.is_cancelled = self.has_ended = False
        self.seconds = math.inf
        self._runner = runner_for(declared, resources)

    async def run(self):
        with self.scope:
            try:
                self.result = json.loads(await self._runner.run(self.attempt))
            except anyio.get_cancelled_exc_class():
                self.is_cancelled = True
                raise
            except BaseException as error:
                self.error = error
        self.has_ended = True

    async def cancel(self):
        since = anyio.current_time()
        self.scope.cancel()
        await until(lambda: self.has_ended)
        self.seconds = anyio.current_time() - since


async def until(condition):
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - the other side is a file or another process
            await anyio.sleep(0.002)


async def started(file):
    await until(file.exists)
    return int(file.read_text() or 0)


def is_gone(pid):
    """Whether a process has ended; one that nobody has waited for yet has ended too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def is_reaped(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# --- results and errors


@pytest.mark.parametrize(
    "declared",
    [samples.echo, samples.echo_in_thread, samples.echo_in_process, samples.echo_async_in_process],
    ids=lambda declared: declared.name,
)
async def test_the_result_is_what_the_activity_returns(declared):
    async with open_resources() as resources:
        assert await run(declared, resources, a=1, b=["ä", None]) == {"a": 1, "b": ["ä", None]}


@pytest.mark.parametrize("declared", [samples.charge, samples.charge_in_process])
async def test_typed_parameters_are_bound_and_converted(declared):
    async with open_resources() as resources:
        found = await run(declared, resources, order={"id": 7, "unknown": 1}, amount=3)
        assert found == {"id": 7, "amount": 3.0}


@pytest.mark.parametrize(
    "declared",
    [samples.echo, samples.echo_in_thread, samples.echo_in_process, samples.echo_async_in_process],
    ids=lambda declared: declared.name,
)
async def test_arguments_lie_over_the_context(declared):
    asked = attempt(a=1, b=2)
    asked.arguments = {"a": [3], "c": None}
    async with open_resources() as resources:
        found = json.loads(await runner_for(declared, resources).run(asked))
    assert found == {"a": [3], "b": 2, "c": None}
    assert dict(asked.context) == {"a": 1, "b": 2}


@pytest.mark.parametrize("declared", [samples.charge, samples.charge_in_process])
async def test_typed_parameters_are_taken_from_the_arguments_first(declared):
    asked = attempt(order={"id": 7}, amount=3)
    asked.arguments = {"amount": 4}
    async with open_resources() as resources:
        found = json.loads(await runner_for(declared, resources).run(asked))
    assert found == {"id": 7, "amount": 4.0}


@pytest.mark.parametrize(
    "declared", [samples.say, samples.say_in_thread, samples.say_in_process], ids=lambda it: it.name
)
async def test_an_only_parameter_gets_the_argument_of_its_name_and_without_one_the_context(
    declared,
):
    async with open_resources() as resources:
        for arguments, found in [
            ({"word": "yes"}, "yes"),
            ({"other": 2}, {"word": "no", "other": 2}),
            ({}, {"word": "no"}),
        ]:
            asked = attempt(word="no")
            asked.arguments = arguments
            assert json.loads(await runner_for(declared, resources).run(asked)) == found
        assert await run(declared, resources, word="no") == {"word": "no"}


@pytest.mark.parametrize("declared", [samples.echo, samples.echo_in_thread, samples.charge])
async def test_arguments_that_are_no_object_are_a_failure(declared):
    asked = attempt(a=1)
    asked.arguments = [1]
    async with open_resources() as resources:
        with pytest.raises(InvalidArgumentsError, match="'task' come to a value of type list"):
            await runner_for(declared, resources).run(asked)


@pytest.mark.parametrize("isolation", ["task", "process"])
async def test_an_activity_says_how_it_has_failed(isolation):
    declared = Activity(samples.decline.function, "decline", isolation)
    async with open_resources() as resources:
        error = describe_error(await error_of(declared, resources, account=[1]))
    assert (error.type, error.message, error.retryable) == ("Declined", "no money", False)
    assert error.as_value()["data"] == {"account": [1]}


@pytest.mark.parametrize("declared", [samples.charge, samples.charge_in_process])
async def test_a_missing_parameter_is_a_failure_of_that_name(declared):
    async with open_resources() as resources:
        found = describe_error(await error_of(declared, resources, other=1))
    assert found.type == MissingParameterError.__name__
    assert "'order'" in found.message
    assert "'other'" in found.message


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("function", samples.RAISING, ids=lambda function: function.__name__)
async def test_whatever_is_raised_is_a_failure_and_the_next_call_works(function, isolation):
    kind, message = samples.RAISING[function]
    async with open_resources(threads=1, processes=1) as resources:
        error = await error_of(Activity(function, isolation=isolation), resources)
        found = describe_error(error)
        assert (found.type, found.message[: len(message)]) == (kind, message)
        echo = samples.echo_in_process if isolation == "process" else samples.echo_in_thread
        assert await run(echo, resources, a=1) == {"a": 1}


@pytest.mark.parametrize("function", samples.RAISING_ASYNC, ids=lambda found: found.__name__)
async def test_whatever_an_async_function_raises_in_a_process_is_a_failure(function):
    kind, message = samples.RAISING_ASYNC[function]
    async with open_resources(processes=1) as resources:
        error = await error_of(Activity(function, isolation="process"), resources)
        found = describe_error(error)
        assert (found.type, found.message[: len(message)]) == (kind, message)
        assert await run(samples.echo_async_in_process, resources, a=1) == {"a": 1}


@pytest.mark.parametrize(
    "function", [samples.raise_stop_iteration, samples.raise_stop_async_iteration]
)
async def test_stop_iteration_in_a_thread_becomes_a_runtime_error(function):
    async with open_resources() as resources:
        error = await error_of(Activity(function), resources)
    assert type(error) is RuntimeError
    assert isinstance(error.__cause__, (StopIteration, StopAsyncIteration))


async def test_an_error_in_a_thread_comes_out_as_the_object_that_it_is():
    class OwnError(Exception):
        pass

    @activity
    def fail(context):
        raise OwnError

    async with open_resources() as resources:
        assert type(await error_of(fail, resources)) is OwnError


async def test_a_sync_function_that_returns_a_coroutine_fails_clearly():
    async with open_resources() as resources:
        error = await error_of(samples.return_a_coroutine, resources)
    assert isinstance(error, TypeError)
    assert "async def" in str(error)


async def test_an_unknown_activity_is_simulated_as_the_original_does():
    runner = SimulatedRunner("ship_order")
    assert await runner.run(attempt()) == b'"Result from ship_order"'


# --- threads


async def test_a_cooperative_thread_stops_when_cancelled(tmp_path):
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(
            samples.loop_until_cancelled, resources, started=str(begun), ended=str(ended)
        )
        group.start_soon(hosted.run)
        await started(begun)
        await hosted.cancel()
        assert ended.exists()
    assert hosted.is_cancelled
    assert hosted.attempt.stop_kind == "stopped"


async def test_a_thread_that_waits_in_the_event_loop_stops_when_cancelled(tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.sleep_from_thread, resources, started=str(begun))
        group.start_soon(hosted.run)
        await started(begun)
        await hosted.cancel()
    assert hosted.is_cancelled
    assert hosted.error is None


async def test_a_thread_that_does_not_cooperate_is_waited_for_and_its_result_returned(tmp_path):
    begun, awaited = tmp_path / "begun", tmp_path / "awaited"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.wait_for_file, resources, started=str(begun), awaited=str(awaited))
        group.start_soon(hosted.run)
        await started(begun)
        hosted.scope.cancel()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert not hosted.has_ended
        awaited.touch()
        await until(lambda: hosted.has_ended)
    assert hosted.result == "came"


async def test_an_error_of_a_cancelled_threads_clean_up_comes_out(tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.fail_in_cleanup, resources, started=str(begun))
        group.start_soon(hosted.run)
        await started(begun)
        await hosted.cancel()
    assert str(hosted.error) == "the clean-up failed"


async def test_cancelling_while_no_thread_is_free_starts_nothing(tmp_path):
    first, second, awaited = tmp_path / "first", tmp_path / "second", tmp_path / "awaited"
    async with open_resources(threads=1) as resources, anyio.create_task_group() as group:
        busy = Hosted(samples.wait_for_file, resources, started=str(first), awaited=str(awaited))
        waiting = Hosted(
            samples.wait_for_file, resources, started=str(second), awaited=str(awaited)
        )
        group.start_soon(busy.run)
        await started(first)
        group.start_soon(waiting.run)
        await until(lambda: resources.threads.limiter.statistics().tasks_waiting == 1)
        await waiting.cancel()
        awaited.touch()
    assert waiting.is_cancelled
    assert not second.exists()
    assert busy.result == "came"


# --- processes: cancelling


@pytest.mark.parametrize("declared", [samples.sleep_in_process, samples.sleep_async_in_process])
async def test_a_cancelled_process_cleans_up_and_is_really_gone(declared, tmp_path):
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(declared, resources, started=str(begun), ended=str(ended))
        group.start_soon(hosted.run)
        pid = await started(begun)
        await hosted.cancel()
        assert is_reaped(pid)
        assert ended.exists()
    assert hosted.is_cancelled
    assert hosted.attempt.stop_kind == "killed"


@pytest.mark.parametrize("declared", [samples.ignore_termination, samples.spin_in_process])
async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(declared, tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(declared, resources, grace=0.2, started=str(begun))
        group.start_soon(hosted.run)
        pid = await started(begun)
        await hosted.cancel()
        assert is_reaped(pid)
    assert hosted.is_cancelled
    assert hosted.attempt.stop_kind == "killed"
    assert declared is samples.spin_in_process or hosted.seconds >= 0.2


async def test_a_result_that_comes_in_spite_of_the_cancellation_is_returned(tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.return_when_terminated, resources, started=str(begun))
        group.start_soon(hosted.run)
        pid = await started(begun)
        await hosted.cancel()
        assert is_reaped(pid)
    assert hosted.result == "finished"
    assert hosted.attempt.stop_kind == "stopped"


async def test_an_error_of_a_cancelled_processs_clean_up_comes_out(tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.fail_in_cleanup_of_process, resources, started=str(begun))
        group.start_soon(hosted.run)
        await started(begun)
        await hosted.cancel()
    assert describe_error(hosted.error).message == "the clean-up failed"
    assert hosted.attempt.stop_kind == "killed"


async def test_a_program_that_a_cancelled_process_has_started_is_gone_too(tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.start_a_program, resources, grace=0.1, started=str(begun))
        group.start_soon(hosted.run)
        pid = await started(begun)
        await hosted.cancel()
        await until(lambda: is_gone(pid))


async def test_cancelling_while_no_process_is_free_starts_nothing(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    async with open_resources(processes=1) as resources, anyio.create_task_group() as group:
        busy = Hosted(samples.return_when_terminated, resources, started=str(first))
        waiting = Hosted(samples.return_when_terminated, resources, started=str(second))
        group.start_soon(busy.run)
        pid = await started(first)
        group.start_soon(waiting.run)
        await until(lambda: resources.processes.statistics().tasks_waiting == 1)
        await waiting.cancel()
        assert waiting.is_cancelled
        assert not busy.has_ended
        assert not is_reaped(pid)
        await busy.cancel()
    assert not second.exists()


async def test_cancelling_at_any_moment_of_a_start_leaves_no_process(tmp_path):
    begun, ended = str(tmp_path / "begun"), str(tmp_path / "ended")
    async with open_resources(processes=1) as resources:
        for delay in range(12):
            with anyio.move_on_after(delay * 0.01):
                await run(samples.sleep_in_process, resources, started=begun, ended=ended)
            assert resources.processes.statistics().borrowed_tokens == 0
            assert not resources.processes._children


async def test_a_process_that_is_terminated_while_it_imports_has_not_failed_by_itself():
    async with open_resources(processes=1) as resources:
        error = await error_of(interrupted_import.answer, resources)
        assert describe_error(error).type == "ProcessDied"


# --- processes: dying


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (samples.segfault, "SIGSEGV"),
        (samples.exit_at_once, "code 3"),
        (samples.close_all_files, "without an answer"),
        (samples.answer_rubbish, "without an answer"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_process_that_dies_is_a_failure_and_the_next_call_works(declared, words):
    async with open_resources(processes=1) as resources:
        error = await error_of(declared, resources)
        assert isinstance(error, ProcessDiedError)
        assert describe_error(error).type == "ProcessDied"
        assert words in describe_error(error).message
        assert await run(samples.echo_in_process, resources, a=1) == {"a": 1}


@pytest.mark.parametrize("declared", [samples.return_twice, samples.exit_in_a_fork])
async def test_a_process_that_an_activity_forks_answers_for_nobody(declared):
    async with open_resources(processes=1) as resources:
        for number in range(3):
            assert await run(declared, resources) == "in the process"
            assert await run(samples.echo_in_process, resources, a=number) == {"a": number}


@pytest.mark.parametrize(
    "declared", [samples.die_and_leave_a_program, samples.die_and_leave_a_fork]
)
async def test_what_a_dead_process_has_started_is_ended_with_it(declared, tmp_path):
    begun = tmp_path / "begun"
    async with open_resources() as resources:
        error = await error_of(declared, resources, started=str(begun))
        pid = await started(begun)
        await until(lambda: is_gone(pid))
    assert "code 3" in describe_error(error).message


async def test_sigterm_from_somebody_else_is_a_failure(tmp_path):
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    async with open_resources() as resources, anyio.create_task_group() as group:
        hosted = Hosted(samples.sleep_in_process, resources, started=str(begun), ended=str(ended))
        group.start_soon(hosted.run)
        pid = await started(begun)
        while not hosted.has_ended:  # one that comes at a bad moment has an effect only later
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            with anyio.move_on_after(0.1):
                await until(lambda: hosted.has_ended)
    assert describe_error(hosted.error).type == "ProcessDied"
    assert ended.exists()


async def test_a_process_that_died_while_idle_is_replaced():
    async with open_resources(processes=1) as resources:
        pid = await run(samples.get_pid, resources)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not resources.processes._idle[0].is_running)
        assert await run(samples.get_pid, resources) != pid


async def test_no_process_outlives_a_server_that_is_killed(tmp_path, anyio_backend):
    name, options = anyio_backend
    backend = "uvloop" if options.get("use_uvloop") else name
    files = [tmp_path / f"begun{number}" for number in range(4)]
    command = [sys.executable, "-m", "tests.support.process_host", backend, *map(str, files)]
    async with await anyio.open_process(
        command, stdin=None, stdout=None, stderr=None, cwd=Path(__file__).parents[2]
    ) as server:
        try:
            pids = [await started(file) for file in files]
        finally:
            server.kill()
        await until(lambda: all(is_gone(pid) for pid in pids))


@pytest.fixture
def many_descriptors():
    """Have more files open than `select` can look at."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with Path(os.devnull).open() as nothing:
        opened = [os.dup(nothing.fileno()) for _ in range(1_100)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_server_with_thousands_of_open_files_starts_processes(many_descriptors):
    async with open_resources(processes=1) as resources:
        assert await run(samples.get_pid, resources) != os.getpid()


# --- processes: the pool


async def test_an_idle_process_is_used_again_and_gone_when_the_resources_are_left():
    async with open_resources() as resources:
        pids = {await run(samples.get_pid, resources) for _ in range(5)}
        assert len(pids) == 1
        assert not is_reaped(next(iter(pids)))
    assert is_reaped(next(iter(pids)))


async def test_no_more_processes_are_busy_than_may_be(tmp_path):
    async with open_resources(processes=2) as resources, anyio.create_task_group() as group:
        files = [tmp_path / str(number) for number in range(5)]
        runs = [Hosted(samples.get_pid, resources, started=str(file)) for file in files]
        for hosted in runs:
            group.start_soon(hosted.run)
        await until(lambda: all(hosted.has_ended for hosted in runs))
        assert len({hosted.result for hosted in runs}) <= 2


async def test_leaving_the_resources_ends_a_process_that_is_still_busy(tmp_path):
    begun = tmp_path / "begun"
    async with anyio.create_task_group() as group:
        async with open_resources() as resources:
            hosted = Hosted(samples.ignore_termination, resources, started=str(begun))
            group.start_soon(hosted.run)
            pid = await started(begun)
        assert is_reaped(pid)
    assert isinstance(hosted.error, ProcessDiedError)


async def test_no_process_is_started_when_the_resources_have_been_left():
    async with open_resources() as resources:
        pass
    assert isinstance(await error_of(samples.get_pid, resources), EngineClosedError)


@pytest.mark.parametrize("declared", [samples.echo_in_process, samples.echo_async_in_process])
async def test_a_mebibyte_goes_in_and_comes_out(declared):
    text = "x" * 2**20
    async with open_resources() as resources:
        for _ in range(3):
            assert await run(declared, resources, text=text) == {"text": text}


async def test_what_is_printed_in_a_process_does_no_harm(capfd):
    async with open_resources() as resources:
        assert await run(samples.make_noise, resources) == "quiet"
    printed = capfd.readouterr()
    assert "noise on standard output" in printed.err
    assert "noise of a child" in printed.err
    assert printed.out == ""


async def test_a_process_has_the_path_and_the_directory_of_its_parent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    async with open_resources() as resources:
        found = await run(samples.get_surroundings, resources)
    assert found == {"directory": str(tmp_path), "path": sys.path, "stdin": ""}


async def test_a_function_that_is_not_there_in_the_child_fails_clearly():
    @activity
    def declared(context):
        return None

    async with open_resources() as resources:
        missing = msgspec.structs  # any module: it has no such function
        declared.function.__module__ = missing.__name__
        declared.function.__qualname__ = "nowhere"
        error = await error_of(Activity(declared.function, isolation="process"), resources)
    found = describe_error(error)
    assert found.type == "LookupError"
    assert "nowhere" in found.message
