"""What HTTP tasks ask, and what they make of the answers."""

import contextlib
import gzip
import json
import re
import ssl
import tracemalloc
import zlib
from pathlib import Path

import anyio
import msgspec
import pytest

from actors.outcome import ReportedError
from actors.values import decode_value
from flowmgr.http.expect import expected_statuses, is_status
from tests.activities.helpers import Names, ask, attempt, failure, runner
from tests.support.answering import answering, message

pytestmark = pytest.mark.anyio

PATIENCE = 10


async def until(condition):
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition may be anything
            await anyio.sleep(0.005)


def sockets():
    """The sockets that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(descriptor.readlink()))
    return sorted(each for each in found if each.startswith("socket:"))


# Asking


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "options"])
async def test_the_method_is_the_one_that_is_asked_for(method):
    async with answering(message(204)) as server:
        result = await ask(runner(), server.url("/a%20b?c=d#e"), method=method)
    assert result["status"] == 204
    assert result["body"] is None
    assert server.requests[0].startswith(f"{method.upper()} /a%20b?c=d HTTP/1.1\r\n".encode())


async def test_query_headers_and_json_are_sent():
    async with answering(message(204)) as server:
        await ask(
            runner(),
            server.url("/?a=b%20c"),
            method="PUT",
            query={"text": "ä &", "many": [1, 2.5, True], "left_out": None},
            headers={"X-Text": "yes", "X-Number": 7, "User-Agent": None},
            json={"k": ["ä", None]},
        )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    target = b"/?a=b%20c&text=%C3%A4%20%26&many=1&many=2.5&many=true"
    assert head.startswith(b"PUT " + target + b" HTTP/1.1")
    assert b"\r\nx-text: yes\r\nx-number: 7\r\n" in head
    assert b"content-type: application/json" in head
    assert b"user-agent" not in head.lower()
    assert json.loads(body) == {"k": ["ä", None]}


async def test_all_attempts_of_a_post_have_one_key_and_a_get_has_none():
    async with answering(message(204)) as server:
        of, url = runner(), server.url()
        for number in (1, 2):
            await of.run(attempt({"url": url, "method": "POST"}, number))
        await ask(of, url, method="POST", headers={"Idempotency-Key": "mine"})
        await ask(of, url, method="POST", headers={"Idempotency-Key": None})
        await ask(of, url)
    keys = [re.findall(rb"idempotency-key: (\S+)", request) for request in server.requests]
    assert keys[0] == keys[1] != []
    assert keys[2:] == [[b"mine"], [], []]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "'url' must be a text, not null"),
        ({"url": 1}, "'url' must be a text, not a number"),
        ({"url": "ftp://h/"}, "http://"),
        ({"url": "//h/"}, "http://"),
        ({"url": "http:///x"}, "no host"),
        ({"url": "http://h:0/"}, "port"),
        ({"url": "http://h:99999/"}, "port"),
        ({"url": "http://h/\r\nX: y"}, "cannot|can be read"),
        ({"url": "http://user:secret@h/"}, "password"),
        ({"url": "http://h/" + "a" * 9000}, "characters"),
        ({"url": "http://h/", "method": "TRACE"}, "one of"),
        ({"url": "http://h/", "method": 1}, "'method'"),
        ({"url": "http://h/", "headers": []}, "'headers' must be an object, not a list"),
        ({"url": "http://h/", "headers": {"a": "b\r\nc: d"}}, "line breaks"),
        ({"url": "http://h/", "headers": {"a": "\x00"}}, "line breaks"),
        ({"url": "http://h/", "headers": {"a": "ä"}}, "ASCII"),
        ({"url": "http://h/", "headers": {"a:b": "c"}}, "characters"),
        ({"url": "http://h/", "headers": {"Host": "c"}}, "belongs to the connection"),
        ({"url": "http://h/", "headers": {"Transfer-Encoding": "c"}}, "belongs"),
        ({"url": "http://h/", "headers": {"A": "1", "a": "2"}}, "twice"),
        ({"url": "http://h/", "headers": {"a": {}}}, "headers.a"),
        ({"url": "http://h/", "query": "a=b"}, "'query'"),
        ({"url": "http://h/", "query": {"a": [{}]}}, "query.a"),
        ({"url": "http://h/", "query": {"a": "\ud800"}}, "surrogate"),
        ({"url": "http://h/", "follow_redirects": "yes"}, "true or false"),
        ({"url": "http://h/", "body": "x"}, "no field 'body'"),
        ({"url": "http://h/", "json": {"a": {1}}}, r"^'json'\['a'\] is a set: .*; return sorted"),
        ({"url": "http://h/", "json": "\ud800"}, "^the 'json' cannot be written as JSON"),
        ("http://h/", "an object"),
        (msgspec.UNSET, "an object"),
    ],
)
async def test_what_is_no_request_fails_and_says_what_is_wrong(arguments, why):
    with pytest.raises(ReportedError) as caught:
        await runner().run(attempt(arguments))
    info = caught.value.info
    assert info.type == "HttpRequestError"
    assert not info.retryable
    assert re.search(why, info.message), info.message
    assert "secret" not in info.message


# Answers


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a": [1, null]}', "application/json", {"a": [1, None]}),
        (b'"a"', "application/problem+json; charset=utf-8", "a"),
        (b'{"a": 1}', "text/plain", '{"a": 1}'),
        ("ä".encode(), "text/plain", "ä"),
        ("ä".encode("latin-1"), "text/plain; charset=ISO-8859-1", "ä"),
        (b"\xff", "text/plain", "\ufffd"),
        (b"text", "text/plain; charset=unicode_escape", "text"),
        (b"<a/>", "application/xml", "<a/>"),
        (b"text", "", "text"),
        (b"", "application/json", None),
    ],
)
async def test_a_body_is_json_or_text(body, content_type, value):
    async with answering(message(200, body, content_type, ("X-A", "1"), ("x-a", "2"))) as server:
        result = await ask(runner(), server.url())
    assert result["body"] == value
    assert result["headers"]["x-a"] == "1, 2"


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"{", "application/json", "is said to be JSON"),
        (b"[NaN]", "application/json", "is said to be JSON"),
        (b"[" * 64 + b"]" * 64, "application/json", "deeper"),
        (b"[" * 200_000, "application/json", "deeper"),
        (b"1" * 5000, "application/json", "is said to be JSON"),
        (b"\xff\xfe\xfd", "image/png", "neither JSON nor text"),
    ],
)
async def test_a_body_that_cannot_be_part_of_a_result_fails(body, content_type, why):
    async with answering(message(200, body, content_type)) as server:
        info = await failure(runner(), server.url())
    assert (info.type, info.retryable) == ("HttpBodyError", False)
    assert why in info.message


async def test_json_may_be_as_deep_as_results_are():
    async with answering(message(200, b"[" * 63 + b"]" * 63, "application/json")) as server:
        assert (await ask(runner(), server.url()))["status"] == 200


@pytest.mark.parametrize("status", [400, 404, 408, 425, 429, 500, 503, 301, 304])
async def test_an_unexpected_status_is_a_failure_with_its_body(status):
    answer = message(status, b'{"why": "x"}' if status != 304 else b"", "application/json")
    async with answering(answer) as server:
        info = await failure(runner(), server.url("/?token=secret"))
    assert info.type == "HttpStatusError"
    assert info.retryable == (status in {408, 425, 429, 500, 503})
    body = {"why": "x"} if status != 304 else None
    assert decode_value(info.data) == {"status": status, "body": body}
    assert "secret" not in info.message


async def test_the_body_that_a_failure_keeps_is_bounded():
    async with answering(message(500, b"x" * 100_000, "text/plain")) as server:
        info = await failure(runner(), server.url())
    assert decode_value(info.data) == {"status": 500, "body": "x" * 8192}


async def test_expected_statuses_are_a_success():
    async with answering(message(404, b"none", "text/plain")) as server:
        assert (await ask(runner(expect=[200, "404"]), server.url()))["body"] == "none"
        assert (await failure(runner(expect=["2xx"]), server.url())).type == "HttpStatusError"


# Limits


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
async def test_a_packed_body_is_unpacked(coding):
    text = b"text" * 1000
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "raw deflate": raw.compress(text) + raw.flush(),
    }[coding]
    answer = message(200, packed, "text/plain", ("content-encoding", coding.split()[-1]))
    async with answering(answer) as server:
        assert (await ask(runner(), server.url()))["body"] == text.decode()


@pytest.mark.parametrize("packed", [True, False])
async def test_a_body_may_have_its_limit_and_not_one_byte_more(packed):
    for size, fits in ((1000, True), (1001, False)):
        body = b"x" * size
        headers = [("content-encoding", "gzip")] if packed else []
        sent = gzip.compress(body) if packed else body
        async with answering(message(200, sent, "text/plain", *headers)) as server:
            of = runner(http_max_bytes=1000)
            if fits:
                assert len((await ask(of, server.url()))["body"]) == size
            else:
                assert (await failure(of, server.url())).type == "HttpBodyError"


async def test_a_bomb_stops_early():
    bomb = gzip.compress(bytes(50_000_000), 9)  # a thousandth of that
    answer = message(200, bomb, "text/plain", ("content-encoding", "gzip"))
    async with answering(answer) as server:
        of = runner()
        await failure(of, server.url())
        tracemalloc.start()
        try:
            info = await failure(of, server.url())
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (info.type, info.retryable) == ("HttpBodyError", False)
    assert "1,048,576" in info.message
    assert most < 8_000_000


@pytest.mark.parametrize(
    ("coding", "body"),
    [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"x"), ("gzip", gzip.compress(b"x" * 99)[:-4])],
    ids=["unknown", "twice", "not packed", "cut off"],
)
async def test_a_body_that_cannot_be_unpacked_fails(coding, body):
    async with answering(message(200, body, "text/plain", ("content-encoding", coding))) as server:
        assert (await failure(runner(), server.url())).type == "HttpBodyError"


async def test_an_endless_body_and_an_endless_header_end():
    async def endless_body(_, __, stream):
        await stream.send(b"HTTP/1.1 200 X\r\n\r\n")
        while True:
            await stream.send(b"x" * 10_000)

    async def endless_header(_, __, stream):
        await stream.send(b"HTTP/1.1 200 X\r\n")
        while True:
            await stream.send(b"a: " + b"x" * 10_000 + b"\r\n")

    async with answering(endless_body) as server:
        assert (await failure(runner(), server.url())).type == "HttpBodyError"
    async with answering(endless_header) as server:
        assert (await failure(runner(), server.url())).type == "HttpTransferError"


async def test_an_answer_that_drips_ends_with_the_time_limit():
    async def drip(_, __, stream):
        await stream.send(b"HTTP/1.1 200 X\r\ncontent-length: 10000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.01)

    async with answering(drip) as server:
        before = anyio.current_time()
        info = await failure(runner(http_timeout=0.2), server.url())
        assert anyio.current_time() - before < 5
        assert (info.type, info.retryable) == ("HttpTimeout", True)
        await until(lambda: server.is_open == 0)


@pytest.mark.parametrize("moment", ["before the head", "in the body", "in the handshake"])
async def test_a_cancelled_request_leaves_no_socket_open(moment):
    async def answer(_, __, stream):
        if moment == "in the body":
            await stream.send(b"HTTP/1.1 200 X\r\ncontent-length: 10000\r\n\r\nxxx")

    async with answering(answer) as server:
        before = sockets()
        scheme = "https" if moment == "in the handshake" else "http"
        async with anyio.create_task_group() as group:
            group.start_soon(ask, runner(), server.url(scheme=scheme))
            await until(lambda: server.connections == 1)
            if scheme == "http":
                await until(lambda: server.requests)
            await anyio.sleep(0.02)
            assert len(sockets()) == len(before) + 2
            group.cancel_scope.cancel()
        await until(lambda: server.is_open == 0)
        await until(lambda: sockets() == before)


async def test_a_request_that_has_ended_leaves_no_socket_open():
    async with answering(message(200, b"x")) as server:
        before = sockets()
        for _ in range(5):
            await ask(runner(), server.url())
        await until(lambda: server.is_open == 0)
        await until(lambda: sockets() == before)


# Failing


async def test_nobody_there_can_be_tried_again():
    async with answering(b"") as server:
        url = server.url("/?secret")
    info = await failure(runner(), url)
    assert (info.type, info.retryable) == ("HttpConnectError", True)
    assert "secret" not in info.message


async def test_a_name_that_nobody_knows_can_be_tried_again():
    info = await failure(runner(lookup=Names()), "http://unknown.test/")
    assert (info.type, info.retryable) == ("HttpConnectError", True)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0\r\n", b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nx"]
)
async def test_a_broken_answer_can_be_tried_again(answer):
    async def break_off(_, __, stream):
        await stream.send(answer)
        await stream.aclose()

    async with answering(break_off) as server:
        info = await failure(runner(), server.url())
    assert (info.type, info.retryable) == ("HttpTransferError", True)


# Redirects


def to(location, status=302):
    return message(status, b"moved", "text/plain", ("location", location))


async def test_a_redirect_is_not_followed_unless_asked_for():
    async with answering(to("/there")) as server:
        assert (await failure(runner(), server.url())).type == "HttpStatusError"
        assert (await ask(runner(expect=[302]), server.url()))["headers"]["location"] == "/there"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("status", "method"),
    [(301, b"GET"), (302, b"GET"), (303, b"GET"), (307, b"POST"), (308, b"POST")],
)
async def test_a_redirect_keeps_the_method_and_the_body_by_its_status(status, method):
    async def answer(_, request, stream):
        await stream.send(message(200, b"x") if b" /there" in request else to("/there", status))

    async with answering(answer) as server:
        secret = {"Authorization": "secret"}
        fields = {"method": "POST", "json": [1], "headers": secret, "follow_redirects": True}
        assert (await ask(runner(), server.url(), **fields))["status"] == 200
    assert server.requests[1].startswith(method + b" /there ")
    assert (b"[1]" in server.requests[1]) == (method == b"POST")
    assert b"secret" in server.requests[1]  # the same origin


async def test_secrets_do_not_go_to_another_origin():
    async with (
        answering(message(200, b"x")) as other,
        answering(to(other.url("/x"), 307)) as server,
    ):
        headers = {
            "Authorization": "secret",
            "Cookie": "secret",
            "X-Key": "secret",
            "Accept": "a/b",
        }
        await ask(runner(), server.url(), headers=headers, follow_redirects=True)
    assert b"secret" in server.requests[0]
    assert b"secret" not in other.requests[0]
    assert b"accept: a/b" in other.requests[0]


async def test_five_redirects_are_followed_and_not_six():
    async def answer(_, request, stream):
        number = int(re.search(rb"/(\d+)", request)[1])
        await stream.send(to(f"/{number - 1}") if number else message(200, b"x"))

    async with answering(answer) as server:
        assert (await ask(runner(), server.url("/5"), follow_redirects=True))["body"] == "x"
        info = await failure(runner(), server.url("/6"), follow_redirects=True)
    assert (info.type, info.retryable) == ("HttpRedirectError", False)


@pytest.mark.parametrize("location", ["ftp://h/", "http://a:b@h/", "http://h:0/", "http://[x/"])
async def test_a_redirect_that_leads_nowhere_fails(location):
    async with answering(to(location)) as server:
        info = await failure(runner(), server.url(), follow_redirects=True)
    assert info.type == "HttpRedirectError"


# TLS


async def test_a_certificate_is_verified_against_the_name_in_the_url(certificate):
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(certificate)
    asked = []
    of_server.sni_callback = lambda _, name, __: asked.append(name)
    lookup = Names(secure_test=["127.0.0.1"], other_test=["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=certificate)
    async with answering(message(200, b"safe"), of_server) as server:
        of = runner(lookup=lookup, tls=trusting)
        result = await ask(of, server.url("/", "secure.test", "https"))
        assert result["body"] == "safe"
        assert asked == ["secure.test"]
        wrong_name = await failure(of, server.url("/", "other.test", "https"))
        by_address = await failure(of, server.url("/", "127.0.0.1", "https"))
        unknown = await failure(runner(lookup=lookup), server.url("/", "secure.test", "https"))
        assert len(server.requests) == 1
    for info in (wrong_name, by_address, unknown):
        assert (info.type, info.retryable) == ("HttpTlsError", False), info


async def test_a_redirect_from_https_to_http_is_not_followed(certificate):
    of_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    of_server.load_cert_chain(certificate)
    lookup = Names(secure_test=["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=certificate)
    async with (
        answering(message(200, b"plain")) as plain,
        answering(to(plain.url()), of_server) as server,
    ):
        of = runner(lookup=lookup, tls=trusting)
        url = server.url("/", "secure.test", "https")
        assert (await failure(of, url, follow_redirects=True)).type == "HttpRedirectError"
        assert plain.connections == 0


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with answering(message(200, b"x")) as server:
        assert (await ask(runner(), server.url()))["body"] == "x"


# Expected statuses


@pytest.mark.parametrize(
    ("entries", "yes", "no"),
    [
        (None, [200, 204, 299], [199, 300, 404]),
        ([200, 404], [200, 404], [201]),
        (["2xx", "4xx", 503], [200, 299, 400, 499, 503], [300, 500]),
    ],
)
def test_statuses_are_numbers_and_classes(entries, yes, no):
    assert all(is_status(entry) for entry in entries or ())
    statuses = expected_statuses(entries)
    assert statuses >= set(yes)
    assert not statuses & set(no)


@pytest.mark.parametrize("entry", [True, 99, 600, 2.0, "6xx", "2XX", "200", "", None, [200]])
def test_what_is_no_status_is_not_taken_for_one(entry):
    assert not is_status(entry)
