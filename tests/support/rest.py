"""What tests of the REST surface ask and check again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.flowmgr_server import Served, chain, wait_for_file

EACH_JOURNAL = pytest.mark.parametrize(
    "journal", ["memory", "sqlite"], indirect=True, scope="module"
)
"""For modules whose tests are to run on servers with each journal."""


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert list(body)[:4] == ["type", "title", "status", "detail"]
    assert body["status"] == status
    return body


def page_through(served: Served, path: str, **params: Any) -> list[dict[str, Any]]:
    """Follow the cursors from the first page to the last; return all items."""
    items: list[dict[str, Any]] = []
    while True:
        response = served.get(path, **params)
        assert response.status_code == 200, response.text
        page = response.json()
        assert list(page) == ["items", "next_cursor"]
        assert len(page["items"]) <= params["limit"]
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert len(page["items"]) == params["limit"]
        params["cursor"] = page["next_cursor"]


def ids(items: list[dict[str, Any]], field: str = "execution_id") -> list[str]:
    return [item[field] for item in items]


def begin(served: Served, activity: str, files: dict[str, str]) -> str:
    """Start an activity that tells by a file when it runs; return the execution's id."""
    execution_id = served.start(served.register(chain(activity)), files)
    wait_for_file(Path(files["started"]))
    return execution_id


def cancel(
    served: Served, execution_id: str, reason: str | None = None, wait: float | None = None
) -> httpx.Response:
    body = None if reason is None else {"reason": reason}
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return served.post(f"/executions/{execution_id}/cancel", body, headers)


def execute_once(served: Served, key: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    """Ask for an execution with an idempotency key."""
    return served.post("/flows/execute", body, {"Idempotency-Key": key} | headers)


def rerun_once(
    served: Served, execution_id: str, key: str, body: dict[str, Any] | None, **headers: str
) -> httpx.Response:
    """Ask for an execution to be run again, with an idempotency key."""
    path = f"/executions/{execution_id}/rerun"
    return served.post(path, body, {"Idempotency-Key": key} | headers)


def executions_of(served: Served, flow_id: str) -> list[dict[str, Any]]:
    return page_through(served, "/executions", flow_id=flow_id, limit=1000)


def is_replay(response: httpx.Response) -> bool:
    assert response.headers.get("idempotency-replayed", "true") == "true"
    return "idempotency-replayed" in response.headers
