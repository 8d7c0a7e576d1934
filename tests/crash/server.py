"""The server under test: `flowmgr serve` with a socket and a database of its own.

Usage: python -m tests.crash.server ORDER

The order is JSON, and says on which crash point and with which deliberate bug it is to begin. Tests
fork it from a process that has imported everything: see `tests.support.forking`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from actors.task import TaskActor
from flowmgr.journal.sqlite import position, writer
from tests.crash import activities, effects
from tests.crash.mutants import MUTANTS
from tests.crash.points import POINTS, Crash, replace
from web.cli import main as run_command_line

MOST_LATE = 20
"""Modules that a server may import all the same. All that it needs take six times its start."""

POSITION_SECONDS = 0.02
"""Between two writes of the position file; a second, where nobody is in a hurry."""


class Order(msgspec.Struct, frozen=True):
    """How a server is to be started.

    Attributes:
        directory: where its files are.
        backend: asyncio or trio.
        port: where it listens; 0 for any.
        point: the crash point at which it kills itself; None for none.
        hit: how often that is reached before.
        mutant: the deliberate bug that it has; None for none.
        checkpoint_bytes: what is written, by the journal's estimate, between two checkpoints.
        seed: of what it chooses by chance.
        durability: full or relaxed.
    """

    directory: str
    backend: str
    port: int = 0
    point: str | None = None
    hit: int = 1
    mutant: str | None = None
    checkpoint_bytes: int = 256 * 1024
    seed: int = 0
    durability: str = "full"


def serve(order: Order) -> None:
    """Run the server, until it ends by itself or is told to."""
    directory = Path(order.directory)
    effects.write_to(directory / "effects")
    _name_attempts()
    position.INTERVAL = POSITION_SECONDS  # type: ignore[misc]
    writer.LOG_BYTES = order.checkpoint_bytes  # type: ignore[misc]
    if order.mutant is not None:
        MUTANTS[order.mutant].install()
    if order.point is not None:
        POINTS[order.point].install(Crash(order.point, order.hit, directory / "marks", order.seed))
    imported = set(sys.modules)
    try:
        run_command_line(
            [
                "serve",
                f"--port={order.port}",
                f"--backend={order.backend}",
                f"--journal=sqlite:{directory / 'flowmgr.db'}",
                f"--durability={order.durability}",
                f"--activities={activities.__name__}",
                "--grace=2",
            ]
        )
    finally:
        late = sys.modules.keys() - imported
        if len(late) > MOST_LATE:
            print("imported late:", *sorted(late), file=sys.stderr)


def _name_attempts() -> None:
    """Have activities know which attempt they run for."""
    run = TaskActor.run

    async def named(actor: TaskActor) -> None:
        message = actor._message
        attempt = effects.Attempt(
            actor._message.environment.execution_id,
            message.task.name,
            message.started.visit,
            message.started.attempt,
        )
        token = effects.current.set(attempt)
        try:
            await run(actor)
        finally:
            effects.current.reset(token)

    replace(TaskActor, "run", named)


if __name__ == "__main__":
    serve(msgspec.json.decode(sys.argv[1], type=Order))
