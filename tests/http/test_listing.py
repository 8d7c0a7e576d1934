"""Executions are found by what is known of them; on both backends, with each journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.support.flowmgr_server import Served, chain, flow, new_id, task
from tests.support.rest import EACH_JOURNAL, begin, cancel, ids, page_through, problem

pytestmark = EACH_JOURNAL


def found(served: Served, **filters: Any) -> list[str]:
    """Return the ids of the executions that match."""
    params = {name.replace("metadata_", "metadata."): value for name, value in filters.items()}
    return ids(page_through(served, "/executions", limit=1000, **params))


def execute(served: Served, flow_id: str, **fields: Any) -> str:
    executed: str = served.execute(flow_id, **fields)["execution_id"]
    return executed


def test_metadata_comes_from_the_flow_and_from_the_request_and_is_shown(served):
    metadata = {"team": "payments", "tier": 1, "nested": {"not": "plain"}}
    flow_id = served.register(chain("succeed") | {"metadata": metadata})
    given = {"tier": 2, "order": "A-1", "is_test": True, "amount": 1.5}
    execution = served.execute(flow_id, metadata=given)
    assert execution["metadata"] == {"team": "payments"} | given
    assert execution["interruptions"] == 0
    assert execution["rerun_of"] is None
    (summary,) = served.get("/executions", flow_id=flow_id).json()["items"]
    assert summary["metadata"] == execution["metadata"]
    assert served.events(execution["execution_id"])[0]["metadata"] == execution["metadata"]
    assert served.execute(flow_id)["metadata"] == {"team": "payments", "tier": 1}


def test_executions_are_found_by_their_metadata(served):
    flow_id, tag = served.register(chain("succeed")), new_id("tag")
    metadata = [
        {"tag": tag, "n": 1, "is_even": False},
        {"tag": tag, "n": 2, "is_even": True, "a b/ü&=": "x y"},
        {"tag": tag, "n": 3, "is_even": False},
    ]
    one, two, three = (execute(served, flow_id, metadata=each) for each in metadata)
    assert found(served, metadata_tag=tag) == [three, two, one]
    assert found(served, metadata_tag=tag, metadata_n=2) == [two]
    assert found(served, metadata_tag=tag, metadata_is_even="false") == [three, one]
    assert found(served, metadata_tag=tag, metadata_n=1, metadata_is_even="true") == []
    assert found(served, **{"metadata.a b/ü&=": "x y", "metadata.tag": tag}) == [two]
    assert found(served, metadata_tag=tag, status="failed") == []
    assert found(served, metadata_tag=tag, status="completed", flow_id=flow_id) != []
    assert found(served, metadata_no_such_name=tag) == []


def test_executions_are_found_by_as_many_metadata_as_they_can_have(served):
    metadata = {f"name{n}": new_id() for n in range(32)}
    execution_id = execute(served, served.register(chain("succeed")), metadata=metadata)
    asked = {f"metadata.{name}": value for name, value in metadata.items()}
    assert found(served, **asked) == [execution_id]
    assert found(served, **asked | {"metadata.name31": "another"}) == []
    refused = served.get("/executions", **asked, **{"metadata.name32": "x"})
    assert "32 metadata at once" in problem(refused, 400)["detail"]


def test_executions_are_found_by_the_version_that_they_run(served):
    bare = chain("succeed")
    flow_id = served.register(bare)
    first = execute(served, flow_id)
    served.register(bare | {"name": "changed"})
    second = execute(served, flow_id)
    assert found(served, flow_id=flow_id, version=1) == [first]
    assert found(served, flow_id=flow_id, version=2) == [second]
    inline = served.post("/flows/execute", {"flow": bare}).json()["execution_id"]
    assert found(served, flow_id=flow_id, version=0) == [inline]


def test_executions_are_found_by_whether_a_task_failed(served):
    bare = flow(task("first", "fail"), task("last", "succeed"))
    bare["conditions"] = [
        {"source_task": "first", "target_task_success": "end", "target_task_failure": "last"}
    ]
    flow_id = served.register(bare)
    clean = chain("succeed") | {"id": flow_id}
    failed_on_the_way = execute(served, flow_id)
    served.register(clean)
    without = execute(served, flow_id)
    assert found(served, flow_id=flow_id, had_failures="true") == [failed_on_the_way]
    assert found(served, flow_id=flow_id, had_failures="false") == [without]


def test_executions_are_found_by_when_they_started_and_ended(served, files):
    flow_id = served.register(chain("succeed"))
    early, late = execute(served, flow_id), execute(served, flow_id)
    live = begin(served, "stay", files)
    shown = {each: served.get(f"/executions/{each}").json() for each in (early, late, live)}
    at = datetime.fromisoformat(shown[late]["start_time"])
    assert datetime.fromisoformat(shown[early]["start_time"]) < at
    elsewhere = at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    zulu = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    for written in (at.isoformat(), elsewhere.isoformat(), zulu, f"{at.timestamp():.6f}"):
        assert found(served, flow_id=flow_id, started_after=written) == [late], written
        assert found(served, flow_id=flow_id, started_before=written) == [early], written
    both = found(
        served,
        flow_id=flow_id,
        started_after=shown[early]["start_time"],
        started_before=at.isoformat(),
    )
    assert both == [early]
    soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    assert set(found(served, flow_id=flow_id, ended_before=soon)) == {early, late}
    assert live not in found(served, ended_before=soon)
    assert found(served, flow_id=flow_id, ended_before=shown[early]["start_time"]) == []
    assert cancel(served, live, wait=10).status_code == 200
    assert Path(files["ended"]).exists()


def test_a_plus_that_was_not_encoded_is_still_an_offset(served):
    flow_id = served.register(chain("succeed"))
    execution_id = execute(served, flow_id)
    path = f"/executions?flow_id={flow_id}&started_after=2020-01-01T00:00:00+02:00"
    assert ids(served.client.get(path).json()["items"]) == [execution_id]


def test_filters_hold_on_every_page(served):
    flow_id, tag = served.register(chain("succeed")), new_id("tag")
    started = [
        execute(served, flow_id, metadata={"tag": tag, "is_odd": bool(n % 2)}) for n in range(9)
    ]
    odd = started[1::2][::-1]
    for limit in (1, 2, 4):
        params = {"metadata.tag": tag, "metadata.is_odd": "true", "flow_id": flow_id}
        assert ids(page_through(served, "/executions", limit=limit, **params)) == odd


def test_openapi_has_every_filter_and_header(served):
    paths = served.get("/openapi.json").json()["paths"]
    listed = {each["name"] for each in paths["/executions"]["get"]["parameters"]}
    assert {"status", "flow_id", "version", "started_after", "limit", "cursor"} <= listed
    assert {"started_before", "ended_before", "had_failures", "metadata.<name>"} <= listed
    execute = paths["/flows/execute"]["post"]
    assert {each["name"] for each in execute["parameters"]} == {"Prefer", "Idempotency-Key"}
    assert "Location" in execute["responses"]["202"]["headers"]
    for status in ("200", "202"):
        assert "Idempotency-Replayed" in execute["responses"][status]["headers"]
