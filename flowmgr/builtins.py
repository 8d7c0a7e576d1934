"""The three activities that ship with flowmgr, for demonstrations: fetch, process, store."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import anyio

from actors.context import Context
from flowmgr.activities.declaration import activity


@activity("task1")
async def fetch_users(context: Context) -> dict[str, Any]:  # noqa: ARG001 - it needs nothing
    """Fetch two users, which takes 0.2 s. Cancelling it ends the wait."""
    await anyio.sleep(0.2)
    return {"users": [{"id": 1, "name": "John"}, {"id": 2, "name": "Jane"}]}


@activity("task2")
async def process_users(context: Context) -> dict[str, Any]:
    """Count the users that task1 fetched, which takes 0.3 s. Cancelling it ends the wait."""
    await anyio.sleep(0.3)
    fetched = context.get("task1_result")
    if not fetched:
        msg = "there is nothing to process: 'task1_result' is missing or empty; run task1 before"
        raise ValueError(msg)
    users = fetched.get("users", []) if isinstance(fetched, dict) else []
    return {"processed_users": len(users), "timestamp": datetime.now(UTC).isoformat()}


@activity("task3")
async def store_users(context: Context) -> dict[str, Any]:
    """Store what task2 processed, which takes 0.1 s. Cancelling it ends the wait."""
    await anyio.sleep(0.1)
    if not context.get("task2_result"):
        msg = "there is nothing to store: 'task2_result' is missing or empty; run task2 before"
        raise ValueError(msg)
    return {"stored": True, "record_id": str(uuid.uuid4())}
