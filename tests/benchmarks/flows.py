"""The flows that are run, and their activities."""

from __future__ import annotations

from typing import Any

import anyio

from flowmgr import Context, activity


@activity("bench.noop")
async def noop(context: Context) -> dict[str, Any]:
    """Return at once, without a checkpoint: what is left is the cost of the engine."""
    return {"value": 1}


class Asleep:
    """How many executions are asleep, and where to wait until enough of them are."""

    def __init__(self) -> None:
        self.count = 0
        self._wanted = 0
        self._reached = anyio.Event()

    async def wait_for(self, wanted: int) -> None:
        """Return when *wanted* executions are asleep."""
        if self.count < wanted:
            self._wanted, self._reached = wanted, anyio.Event()
            await self._reached.wait()

    async def sleep(self) -> None:
        """Be asleep, until cancelled."""
        self.count += 1
        if self.count == self._wanted:
            self._reached.set()
        try:
            await anyio.sleep(3600)
        finally:
            self.count -= 1


def chain(length: int, activity_name: str = "bench.noop") -> dict[str, Any]:
    """Return the document of the flow ``chain-<length>``: its tasks run one after the other."""
    names = [f"task{number}" for number in range(1, length + 1)]
    return {
        "id": f"chain-{length}",
        "name": f"A chain of {length}",
        "start_task": names[0],
        "tasks": [{"name": name, "activity": activity_name} for name in names],
        "conditions": [
            {"name": f"after-{source}", "source_task": source, "target_task_success": target}
            for source, target in zip(names, [*names[1:], "end"], strict=True)
        ],
    }
