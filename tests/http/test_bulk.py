"""Changing many executions by one request, asked of real servers with each journal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.flowmgr_server import Served, chain, new_id
from tests.support.rest import EACH_JOURNAL, ids, page_through, problem

pytestmark = EACH_JOURNAL

REPORT = ["action", "dry_run", "matched", "has_more", "done", "failed", "items"]


def bulk(served: Served, action: str, chosen: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = served.post("/executions/bulk", {"action": action, "filter": chosen} | fields)
    assert response.status_code == 200, response.text
    report: dict[str, Any] = response.json()
    assert list(report) == REPORT
    assert report["action"] == action
    return report


@pytest.fixture
def started(served: Served, files: dict[str, str]) -> tuple[str, list[str]]:
    """Executions that stay until they are cancelled, and the batch that their metadata names."""
    batch = new_id("batch")
    flow_id = served.register(chain("stay"))
    return batch, [served.start(flow_id, files, metadata={"batch": batch}) for _ in range(120)]


def test_a_dry_run_names_what_matches_and_then_it_is_done(served, started):
    batch, executions = started
    newest_first = executions[::-1]
    chosen = {"metadata": {"batch": batch}}
    for is_dry, done in ((True, 0), (False, 120)):
        report = bulk(served, "cancel", chosen, dry_run=is_dry, by="ada", reason="too many")
        assert (report["dry_run"], report["matched"], report["done"]) == (is_dry, 120, done)
        assert (report["has_more"], report["failed"]) == (False, [])
        assert report["items"] == newest_first[:100]
    for execution_id in executions:
        ended = served.ended(execution_id)
        assert ended["status"] == "cancelled"
        receipt = ended["cancellation"]
        assert (receipt["by"], receipt["reason"]) == ("ada", "too many")
    assert bulk(served, "cancel", chosen)["matched"] == 0
    assert bulk(served, "delete", chosen)["done"] == 120
    params = {"metadata.batch": batch}
    assert page_through(served, "/executions", limit=1000, **params) == []


def test_failed_executions_are_retried_together(served):
    flow_id = served.register(chain("fail"))
    failed = [served.execute(flow_id)["execution_id"] for _ in range(5)]
    served.register(chain("succeed") | {"id": flow_id})
    succeeded = served.execute(flow_id)["execution_id"]
    chosen = {"flow_id": flow_id, "status": "failed", "version": 1, "had_failures": True}
    report = bulk(served, "retry", chosen, by="ada")
    assert (report["matched"], report["done"]) == (5, 5)
    assert report["items"] == failed[::-1]
    for execution_id in failed:
        served.ended(execution_id)
        kinds = [each["type"] for each in served.events(execution_id)]
        assert kinds.count("ExecutionRetried") == 1
    listed = ids(served.get("/executions", flow_id=flow_id).json()["items"])
    assert listed == [succeeded, *failed[::-1]]


def test_filters_are_those_of_the_list(served):
    flow_id = served.register(chain("succeed"))
    tier = {"tier": 1, "is_test": True, "name": "x"}
    one, two = (served.execute(flow_id, metadata=tier) for _ in range(2))
    for chosen in (
        {"flow_id": flow_id, "started_after": two["start_time"]},
        {"flow_id": flow_id, "ended_before": "2099-01-01T00:00:00Z", "metadata": tier},
        {"flow_id": flow_id, "started_before": 4_000_000_000, "had_failures": False},
        {"flow_id": flow_id, "status": "completed", "started_after": None},
    ):
        report = bulk(served, "delete", chosen, dry_run=True)
        wanted = [two, one] if "started_after" not in chosen or None in chosen.values() else [two]
        assert report["items"] == ids(wanted), chosen
    assert bulk(served, "cancel", {"flow_id": flow_id, "status": "completed"})["matched"] == 0


@pytest.mark.parametrize("chosen", [{}, None, {"status": None}, {"metadata": {}}])
def test_a_request_that_would_mean_every_execution_is_refused(served, chosen):
    for action in ("cancel", "retry", "delete"):
        body = {"action": action, "filter": chosen, "dry_run": True}
        refused = problem(served.post("/executions/bulk", body), 422)
        assert f"this would {action} every execution" in refused["detail"]
        assert '{"status": ' in refused["detail"]
        assert refused["errors"][0]["pointer"] == "/filter"
    problem(served.post("/executions/bulk", {"action": "delete"}), 422)
