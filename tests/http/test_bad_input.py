"""Nothing that a client sends yields a 5xx: a corpus of bad requests, generated from tables.

Each is answered with 4xx and a problem that says what is wrong, and leaves the server working.
"""

from __future__ import annotations

import pytest

from tests.http.corpus import bodies, changes, flows, paths, starting
from tests.support.flowmgr_server import BACKENDS, EXAMPLE, Served, eventually, serving
from tests.support.raw_http import exchange

LEAST_CASES = 300
MAKERS = [make for module in (bodies, flows, starting, changes, paths) for make in module.MAKERS]
CASES = [case for make in MAKERS for case in make()]


@pytest.fixture(scope="module")
def server(served: Served) -> Served:
    """A server with the example, so that nothing is refused for want of a flow."""
    served.register(EXAMPLE)
    return served


def test_the_corpus_is_large_and_every_case_has_a_name_of_its_own():
    assert len(CASES) >= LEAST_CASES
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_bad_request_is_answered_with_a_problem_that_says_what_is_wrong(server, make):
    wrong = []
    for case in make():
        try:
            assert_is_refused(case, case.sent_to(server))
        except AssertionError as error:
            wrong.append(f"{case.name}: {error}")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:20])


def assert_is_refused(case, answer):
    assert answer.status == case.status, answer.body[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert list(told)[:4] == ["type", "title", "status", "detail"]
    assert told["type"].startswith("urn:flowmgr:problem:")
    assert told["status"] == case.status
    assert isinstance(told["title"], str)
    assert isinstance(told["detail"], str)
    assert told["title"]
    assert told["detail"]
    errors = told.get("errors", [])
    for error in errors:
        assert next(iter(error)) in {"pointer", "parameter"}
        assert list(error)[1:] == ["code", "message", "hint"]
        assert error["message"]
    said = [told["detail"], *(f"{error['message']} {error['hint']}" for error in errors)]
    assert any(case.says in text for text in said), said[:5]
    if case.pointer is not None:
        assert case.pointer in [error.get("pointer") for error in errors]
    assert "Traceback" not in told["detail"]


def ready(served):
    """What readiness says; None as long as the server is recovering."""
    found = served.get("/health/ready").json()
    return found if found["status"] == "ready" else None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_with_a_database_refuses_them_as_well_and_works_as_before(backend, tmp_path):
    with serving(backend, "--journal", f"sqlite:{tmp_path}/flowmgr.db") as served:
        served.register(EXAMPLE)
        before = eventually(lambda: ready(served))
        flows = served.get("/flows", limit=1000).json()
        for case in CASES:
            answer = case.sent_to(served)
            assert answer.status == case.status, (case.name, answer.body[:500])
        assert served.get("/executions").json()["items"] == []
        assert served.get("/health/ready").json() == before
        assert served.get("/flows", limit=1000).json() == flows
        served.check()


NOT_HTTP = {
    "nonsense": b"nonsense\r\n\r\n",
    "NUL": b"\x00" * 100 + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "unknown method": b"FOO /flows HTTP/1.1\r\nHost: x\r\n\r\n",
    "small letters": b"get /flows HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "blank in the path": b"GET /flows/a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the path": b"GET /flows/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the query": b"GET /flows?cursor=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /flows/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "length is a word": b"POST /flows HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "length is negative": b"POST /flows HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "header without a name": b"GET /flows HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "no size of a chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_refused_and_the_server_lives_on(server, name):
    answer = exchange(server.process.host, server.process.port, NOT_HTTP[name])
    assert 400 <= answer.status < 500
    assert server.get("/health/ready").status_code == 200
