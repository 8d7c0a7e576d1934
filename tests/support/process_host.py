"""A program with process activities that never end, to be killed by a test.

Usage: python -m tests.support.process_host asyncio|uvloop|trio FILE FILE...
"""

import sys

import anyio

from actors.context import Context
from actors.events import TaskStarted
from actors.ports import Attempt
from flowmgr.activities.runners import RunnerResources, runner_for
from tests.support import sample_activities


async def main(files: list[str]) -> None:
    kinds = [
        sample_activities.ignore_termination,
        sample_activities.spin_in_process,
        sample_activities.match_in_process,
    ]
    async with (
        RunnerResources(threads=1, processes=len(files)) as resources,
        anyio.create_task_group() as group,
    ):
        for number, file in enumerate(files):
            runner = runner_for(kinds[number % len(kinds)], resources)
            context = Context.from_json(f'{{"started": "{file}"}}'.encode())
            started = TaskStarted(at=0.0, task="t")
            group.start_soon(runner.run, Attempt("e", started, context, 60.0))


if __name__ == "__main__":
    backend, *paths = sys.argv[1:]
    is_uvloop = backend == "uvloop"
    anyio.run(
        main,
        paths,
        backend="asyncio" if is_uvloop else backend,
        backend_options={"use_uvloop": True} if is_uvloop else {},
    )
