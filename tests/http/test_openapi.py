"""What the OpenAPI document says of answers is what is answered."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from tests.support.flowmgr_server import Served, chain
from tests.support.rest import problem

METADATA = {"whole": 1, "part": 1.5, "flag": True, "name": "ü"}


@pytest.fixture
def document(served: Served) -> dict[str, Any]:
    loaded: dict[str, Any] = served.get("/openapi.json").json()
    return loaded


def _answers(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation["responses"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def _check(document: dict[str, Any], described: dict[str, Any], answer: Any) -> None:
    """Check an answer against what is said of it: its media type, and its schema."""
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = {**described["content"][media_type]["schema"], "components": document["components"]}
    jsonschema_rs.validator_for(schema).validate(answer.json())


def test_every_operation_says_that_its_errors_are_problems(document):
    for method, path, responses in _answers(document):
        assert list(responses["default"]["content"]) == ["application/problem+json"], (method, path)
        assert {status for status in responses if status[0] == "4"} == set(), (method, path)


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("get", "/flows/none", {}, 404),
        ("get", "/executions", {"limit": 0, "status": "odd"}, 400),
        ("post", "/flows", {"id": "a b", "tasks": 5}, 400),
        ("post", "/flows/execute", {"flow_id": 5, "contxt": {}}, 422),
        ("post", "/executions/none/cancel", {}, 404),
    ],
)
def test_a_problem_is_as_the_document_says(  # noqa: PLR0917 - fixtures, and the request
    served, document, method, path, given, status
):
    answer = served.post(path, given) if method == "post" else served.get(path, **given)
    problem(answer, status)
    template = path.replace("/flows/none", "/flows/{flow_id}").replace("none", "{execution_id}")
    _check(document, document["paths"][template][method]["responses"]["default"], answer)


def test_an_execution_with_metadata_of_every_type_is_as_the_document_says(served, document):
    started = {"flow_id": served.register(chain("succeed")), "metadata": METADATA}
    answer = served.post("/flows/execute", started)
    _check(document, document["paths"]["/flows/execute"]["post"]["responses"]["200"], answer)
    listed = served.get("/executions", **{"metadata.whole": "1"})
    assert listed.json()["items"]
    _check(document, document["paths"]["/executions"]["get"]["responses"]["200"], listed)


def test_the_document_says_what_flows_can_be_sent_as_and_with(served, document):
    for path in ("/flows", "/flows/validate", "/flows/execute"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert list(content) == ["application/json", "application/yaml"]
    register = document["paths"]["/flows"]["post"]
    assert [each["name"] for each in register["parameters"]] == ["If-None-Match"]
    assert list(register["responses"]["201"]["headers"]) == ["Location"]
    answer = served.post("/flows", chain("succeed"))
    _check(document, register["responses"]["201"], answer)


def test_a_flow_is_shown_as_the_document_says_with_its_definition(served, document):
    answer = served.get(f"/flows/{served.register(chain('succeed'))}")
    described = document["paths"]["/flows/{flow_id}"]["get"]["responses"]["200"]
    _check(document, described, answer)
    shown = document["components"]["schemas"]["ShownFlowResource"]
    assert "definition" in shown["required"]
    assert "POST /flows" in shown["properties"]["definition"]["description"]


def test_the_document_says_what_bulk_requests_need_and_that_a_server_may_not_be_ready(document):
    schema = document["paths"]["/executions/bulk"]["post"]["requestBody"]["content"]
    assert schema["application/json"]["schema"]["required"] == ["action", "filter"]
    ready = document["paths"]["/health/ready"]["get"]["responses"]
    assert ready["503"]["content"] == ready["200"]["content"]
    assert ready["200"]["content"]["application/json"]["schema"]


def test_the_document_says_that_the_schema_of_flows_is_a_json_schema(served, document):
    answer = served.get("/schema/flow.json")
    described = document["paths"]["/schema/flow.json"]["get"]["responses"]["200"]
    _check(document, described, answer)
