"""Every example runs to its end, and does what it says when something goes wrong."""

import json

import anyio
import pytest

from actors.events import TaskFinished
from flowmgr.errors import ContextError, SignalError
from tests.examples.helpers import EXAMPLES, NAMES, documents, module, opened, output, result
from tests.support.answering import answering, message
from tests.support.definitions import inspect
from tests.support.flows import recorded
from tests.support.virtual_time import in_virtual_time

pytestmark = pytest.mark.anyio

DAY = 86_400
EVER = 1e9
README = (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_explained_and_has_neither_problems_nor_warnings(name):
    assert f"\n## `{name}`\n" in README
    for document in documents(name):
        _, problems, warnings = inspect(document, activities=None, new_id=lambda: "new")
        assert (list(problems), list(warnings)) == ([], [])


def test_there_are_at_least_six_examples():
    assert len(NAMES) >= 6


async def undone(engine, execution_id):
    """What was compensated, in that order."""
    return [
        event.task
        for event in await recorded(engine, execution_id)
        if isinstance(event, TaskFinished) and event.scope == "~compensate"
    ]


async def told(engine, execution_id):
    """What was done at the end."""
    return [
        event.outcome.value
        for event in await recorded(engine, execution_id)
        if isinstance(event, TaskFinished) and event.scope == "~finally"
    ]


# --- an order


def order(**fields):
    return {"order": {"id": "o1", "item": "tea", "amount": 20, "card": "5111"} | fields}


@in_virtual_time
async def test_a_small_order_is_charged_and_shipped():
    async with opened("order") as (engine, flow_id):
        execution = await engine.run(flow_id, order())
        assert output(execution) == {"order": "o1", "parcel": "parcel of o1"}
        assert list(execution.task_results) == ["reserve", "charge", "ship"]
        assert await told(engine, execution.execution_id) == ["It is on its way"]


@in_virtual_time
async def test_a_large_order_is_shipped_when_it_is_approved():
    async with opened("order") as (engine, flow_id):
        execution = await engine.start(flow_id, order(amount=2_000))
        await anyio.sleep(DAY)
        with pytest.raises(SignalError):
            await engine.signal(execution.execution_id, "approval", {"approved": "yes"})
        await engine.signal(execution.execution_id, "approval", {"approved": True, "by": "ada"})
        assert output(await engine.wait(execution.execution_id, EVER))["parcel"] == "parcel of o1"


@in_virtual_time
@pytest.mark.parametrize("answer", [False, None], ids=["refused", "nobody answers"])
async def test_a_large_order_that_is_not_approved_is_refunded(answer):
    async with opened("order") as (engine, flow_id):
        execution = await engine.start(flow_id, order(amount=2_000))
        if answer is not None:
            await engine.signal(execution.execution_id, "approval", {"approved": answer})
        ended = await engine.wait(execution.execution_id, EVER)
        assert ended.status == "failed"
        assert ended.error.type == ("TimedOut" if answer is None else "OrderRefused")
        assert await undone(engine, ended.execution_id) == ["/charge", "/reserve"]
        (words,) = await told(engine, ended.execution_id)
        assert "you pay nothing" in words


@in_virtual_time
@pytest.mark.parametrize(
    ("wrong", "kind", "compensated"),
    [
        ({"card": "4000"}, "PaymentDeclined", ["/reserve"]),
        ({"item": "lead"}, "ValueError", ["/charge", "/reserve"]),
    ],
    ids=["declined", "too heavy"],
)
async def test_what_an_order_has_done_is_undone_when_it_fails(wrong, kind, compensated):
    async with opened("order") as (engine, flow_id):
        ended = await engine.run(flow_id, order(**wrong))
        assert (ended.status, ended.error.type) == ("failed", kind)
        assert await undone(engine, ended.execution_id) == compensated


@in_virtual_time
async def test_an_order_that_is_cancelled_is_refunded_too():
    async with opened("order") as (engine, flow_id):
        execution = await engine.start(flow_id, order(amount=2_000))
        await anyio.sleep(60)
        ended = await engine.cancel(execution.execution_id, wait=EVER)
        assert ended.status == "cancelled"
        assert await undone(engine, ended.execution_id) == ["/charge", "/reserve"]


# --- the nightly import


@in_virtual_time
async def test_the_nightly_import_reports_the_shops_that_have_failed():
    shops = ["a", "down1", "bb", "closed1", "ccc"]
    async with opened("nightly_import") as (engine, flow_id):
        execution = await engine.run(flow_id, {"shops": shops})
        assert output(execution) == {"rows": 6, "missing": ["down1", "closed1"]}


@in_virtual_time
async def test_the_nightly_import_calls_somebody_when_too_many_shops_fail():
    shops = ["a", "down1", "down2", "closed1", "bb"]
    async with opened("nightly_import") as (engine, flow_id):
        ended = await engine.run(flow_id, {"shops": shops})
        assert (ended.status, ended.error.type) == ("failed", "ImportFailed")
        assert result(ended, "alert").startswith("called: The nightly import")
        loaded = [
            event.scope
            for event in await recorded(engine, ended.execution_id)
            if isinstance(event, TaskFinished) and event.task == "load"
        ]
        assert sorted(loaded) == ["/import_all/0", "/import_all/4"]


# --- the export


def soon(flow):
    """Have the back-off take no time, and the whole of it half a second: a socket's is real."""
    tasks = {task["name"]: task for task in flow["tasks"]}
    tasks["back_off"]["values"] = {"delay": 0.01, "longest": 0.02}
    tasks["report"]["timeout"] = 0.5


class Service:
    """A service that makes a report within so many questions."""

    def __init__(self, questions):
        self.questions = questions

    async def answer(self, server, request, stream):
        method = request.split()[0]
        self.questions -= method == b"GET"
        if method == b"POST":
            status, body = 201, {"id": "job-7"}
        elif method == b"DELETE":
            status, body = 204, None
        elif self.questions > 0:
            status, body = 202, {"state": "working"}
        else:
            status, body = 200, {"rows": [{"amount": 1.5}, {"amount": 2}]}
        content = b"" if body is None else json.dumps(body).encode()
        await stream.send(message(status, content, "application/json", ("connection", "close")))


def asked(server):
    return [request.split()[0].decode() for request in server.requests]


async def test_the_export_asks_until_the_report_is_ready():
    async with (
        answering(Service(3).answer) as server,
        opened("export_job", change=soon, clock=False, http_allow=("127.0.0.1",)) as (engine, flow),
    ):
        context = {"service": server.url(""), "report": "sales"}
        execution = await engine.run(flow, context, timeout=20)
        assert output(execution) == {"rows": 2, "total": 3.5}
        assert asked(server) == ["POST", "GET", "GET", "GET"]
        assert b'{"report":"sales"}' in server.requests[0].replace(b" ", b"")


async def test_the_export_cancels_a_report_that_is_never_ready():
    async with (
        answering(Service(1_000).answer) as server,
        opened("export_job", change=soon, clock=False, http_allow=("127.0.0.1",)) as (engine, flow),
    ):
        context = {"service": server.url(""), "report": "sales"}
        ended = await engine.run(flow, context, timeout=20)
        assert (ended.status, ended.error.type) == ("failed", "ReportNotReady")
        assert ended.error.message.startswith("job job-7 has failed")
        first, *questions, last = asked(server)
        assert (first, last) == ("POST", "DELETE")
        assert set(questions) == {"GET"}
        assert len(questions) > 3


# --- quotes


@pytest.fixture
def known(monkeypatch):
    """The rates that are known at first."""
    rates = {"EUR/USD": 1.08}
    monkeypatch.setattr(module("quotes"), "KNOWN", rates)
    return rates


@in_virtual_time
@pytest.mark.parametrize(
    ("today", "winner"),
    [
        ({"alpha": {"rate": 1.1}, "beta": {"rate": 1.2, "seconds": 0.1}}, "beta"),
        ({"alpha": {"rate": 1.1}}, "alpha"),
        ({"alpha": {"rate": 1.1, "seconds": 9}, "gamma": {"rate": 1.3}}, "gamma"),
    ],
)
async def test_the_first_provider_that_answers_wins_and_the_others_are_stopped(
    known, today, winner
):
    async with opened("quotes") as (engine, flow_id):
        execution = await engine.run(flow_id, {"pair": "EUR/GBP"} | today)
        found = output(execution)
        assert (found["provider"], found["rate"]) == (winner, today[winner]["rate"])
        assert known["EUR/GBP"] == today[winner]["rate"]
        assert list(result(execution, "ask")) == [winner]


@in_virtual_time
async def test_without_an_answer_the_last_known_rate_is_taken(known):
    async with opened("quotes") as (engine, flow_id):
        execution = await engine.run(flow_id, {"pair": "EUR/USD"})
        assert output(execution) == {"provider": "memory", "rate": 1.08}
        assert execution.had_failures
        slow = {name: {"rate": 1, "seconds": 60} for name in ("alpha", "beta", "gamma")}
        execution = await engine.run(flow_id, {"pair": "EUR/USD"} | slow)
        assert output(execution)["provider"] == "memory"


@in_virtual_time
async def test_a_rate_that_nobody_knows_is_a_failure(known):
    async with opened("quotes") as (engine, flow_id):
        ended = await engine.run(flow_id, {"pair": "XXX/USD"})
        assert (ended.status, ended.error.type) == ("failed", "LookupError")
        with pytest.raises(ContextError):
            await engine.run(flow_id, {"pair": "euros"})


# --- approval of a document


@pytest.fixture
def sent(monkeypatch):
    """The mail that is sent."""
    mail = []
    monkeypatch.setattr(module("document_approval"), "SENT", mail)
    return mail


REVIEW = {"document": "plan.pdf", "reviewer": "grace"}


@in_virtual_time
async def test_a_document_that_is_approved_after_five_days_was_reminded_of_twice(sent):
    async with opened("document_approval") as (engine, flow_id):
        execution = await engine.start(flow_id, REVIEW)
        await anyio.sleep(5 * DAY)
        await engine.signal(execution.execution_id, "decision", {"approved": True})
        ended = await engine.wait(execution.execution_id, EVER)
        assert ended.status == "completed"
        assert result(ended, "publish") == {"published": "plan.pdf"}
    assert sent == [
        ("grace", "Please review plan.pdf"),
        ("grace", "Reminder 1: please review plan.pdf"),
        ("grace", "Reminder 2: please review plan.pdf"),
    ]


@in_virtual_time
@pytest.mark.parametrize("comment", [{}, {"comment": "too long"}])
async def test_a_document_that_is_not_approved_is_sent_back(sent, comment):
    async with opened("document_approval") as (engine, flow_id):
        execution = await engine.start(flow_id, REVIEW)
        answer = {"approved": False} | comment
        await engine.signal(execution.execution_id, "decision", answer)
        assert (await engine.wait(execution.execution_id, EVER)).status == "completed"
    why = comment.get("comment", "no comment")
    assert sent[1:] == [("author", f"plan.pdf was not approved: {why}")]


@in_virtual_time
async def test_a_document_that_nobody_decides_about_is_escalated_after_a_week(sent):
    async with opened("document_approval") as (engine, flow_id):
        started = await engine.start(flow_id, REVIEW)
        ended = await engine.wait(started.execution_id, EVER)
        assert (ended.status, ended.error.type) == ("failed", "NotDecided")
        assert ended.ended_at - ended.started_at == pytest.approx(7 * DAY, abs=1)
    assert [to for to, _ in sent] == ["grace"] * 4 + ["manager"]


# --- readings of a day


def reading(value, unit="C", sensor="n1"):
    return {"sensor": sensor, "value": value, "unit": unit}


async def test_readings_are_cleaned_in_sub_flows_and_summarised():
    readings = [reading(20), reading(50, "F", "n2"), reading(900), reading(24), reading(1, "K")]
    async with opened("readings", clock=False) as (engine, flow_id):
        context = {"day": "2026-01-31", "readings": readings}
        execution = await engine.run(flow_id, context, timeout=20)
        assert output(execution) == {
            "day": "2026-01-31",
            "count": 3,
            "mean": 18.0,
            "places": {"roof": 2, "cellar": 1},
        }


async def test_a_day_with_too_few_readings_is_refused():
    async with opened("readings", clock=False) as (engine, flow_id):
        context = {"day": "2026-01-31", "readings": [reading(20), reading(900), reading(901)]}
        ended = await engine.run(flow_id, context, timeout=20)
        assert (ended.status, ended.error.type) == ("failed", "TooFewReadings")
        assert ended.error.message == "only 1 of 3 readings of 2026-01-31 can be used"
        for wrong in ({"day": "today"}, {"readings": []}, {"readings": [{"sensor": "n1"}]}):
            with pytest.raises(ContextError):
                await engine.run(flow_id, context | wrong)
