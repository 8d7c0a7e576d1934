"""Tasks of every kind: what they can have, and in which words they are refused."""

from __future__ import annotations

import itertools
import json
import time

import msgspec
import pytest

from flowmgr.errors import Problem
from flowmgr.language.definition import FlowDefinition
from flowmgr.language.rules import FlowReference
from flowmgr.language.vocabulary import ANY_TASK_FIELDS, KIND_FIELDS, TASK_FIELDS
from tests.support.definitions import inspect, read_definition

BODY = {"tasks": [{"name": "x"}]}

VALID = {
    "activity": {
        "activity": "act",
        "arguments": {"amount": "${context.order.total}", "text": "for ${context.order.id}"},
        "output": "result.id",
        "retry": {
            "maximum_attempts": 1_000_000,
            "initial_interval": 0.5,
            "backoff_coefficient": 1,
            "maximum_interval": 60,
            "non_retryable_error_types": ["PaymentDeclined"],
            "jitter": 0.2,
        },
        "timeout": 10,
        "deadline": 3600.5,
        "compensate": {
            "activity": "undo",
            "arguments": "${result}",
            "retry": {},
            "timeout": 5,
        },
        "at_most_once": True,
    },
    "http": {
        "request": {
            "method": "POST",
            "url": "https://${context.host}/orders",
            "headers": {"x-id": "${execution.id}"},
            "query": {"page": 1},
            "json": ["${context.order}"],
            "follow_redirects": "${context.follows}",
        },
        "expect": [200, "3xx"],
        "at_most_once": True,
    },
    "wait": {"seconds": "${context.delay}"},
    "signal": {"signal": "approval", "schema": {"type": "boolean"}, "timeout": 86_400},
    "flow": {"flow": "other", "version": 3, "arguments": {"a": 1}},
    "parallel": {
        "branches": {"one": BODY, "the other/one": BODY, "end": BODY},
        "join": {"at_least": 2},
        "on_failure": "wait",
        "retry": {},
    },
    "map": {
        "items": "${context.files}",
        "as": "file",
        "do": BODY,
        "max_concurrency": 10,
        "tolerated_failures": 0,
        "on_failure": "cancel",
    },
    "set": {"values": {"a b": "${context.x}", "": 1}},
    "raise": {"type": "Late", "message": "after ${context.x}", "data": {"x": ["${error}"]}},
}
"""A task of every kind with about everything that it can have."""

ALSO_VALID = {
    "a wait of no time": {"kind": "wait", "seconds": 0},
    "a wait until an instant": {"kind": "wait", "until": "2030-01-31T09:00:00+01:00"},
    "a wait until an instant in UTC": {"kind": "wait", "until": "2030-01-31T09:00:00Z"},
    "a wait until what is computed": {"kind": "wait", "until": "${context.due}"},
    "a signal of the task's name": {"kind": "signal"},
    "a signal with a schema for anything": {"kind": "signal", "schema": True},
    "a map over a literal": {"kind": "map", "items": [1, "${context.x}"], "do": BODY},
    "a map of a flow": {"kind": "map", "items": [], "flow": "other", "arguments": {"a": 1}},
    "a join of any": {"kind": "parallel", "branches": {"a": BODY}, "join": "any"},
    "arguments that are computed": {"arguments": "${context.all}"},
    "a wait that is null": {"kind": "wait", "seconds": 1, "until": None},
}


def a_task(kind: str = "activity", **more: object) -> dict:
    return {"name": "t", "kind": kind, **VALID[kind], **more}


def flow_of(*tasks: dict, **more: object) -> dict:
    names = [task["name"] for task in tasks]
    return {
        "id": "f",
        "name": "F",
        "start_task": names[0],
        "tasks": list(tasks),
        "conditions": [
            {"source_task": source, "target_task_success": target}
            for source, target in itertools.pairwise(names)
        ],
        **more,
    }


def accepted(document: dict, **more: object) -> FlowDefinition:
    known = {"activities": None, **more}
    return read_definition(document, new_id=lambda: "made", **known).definition


def problems_of(document: dict, **more: object) -> list[Problem]:
    known = {"activities": None, **more}
    definition, problems, _ = inspect(document, new_id=lambda: "made", **known)
    assert (definition is None) == bool(problems)
    return problems


def only_problem(document: dict, **more: object) -> Problem:
    (problem,) = problems_of(document, **more)
    return problem


@pytest.mark.parametrize("kind", VALID)
def test_a_task_of_every_kind_is_accepted_and_kept(kind):
    document = flow_of(a_task(kind))
    definition = accepted(document)
    stored = msgspec.json.encode(definition)
    assert msgspec.json.decode(stored, type=FlowDefinition) == definition
    assert accepted(json.loads(stored)) == definition


@pytest.mark.parametrize("task", ALSO_VALID.values(), ids=ALSO_VALID)
def test_accepted_is(task):
    assert accepted(flow_of({"name": "t", **task}))


def test_whatever_is_left_out_has_its_default():
    task = accepted(flow_of({"name": "t", "retry": {}})).tasks[0]
    assert task.kind == "activity"
    assert task.retry.maximum_attempts == 3
    assert (task.retry.initial_interval, task.retry.backoff_coefficient) == (1.0, 2.0)
    assert (task.retry.maximum_interval, task.retry.jitter) == (None, 0.0)


def test_a_flow_has_a_timeout_schemas_an_output_and_a_body_for_the_end():
    definition = accepted(
        flow_of(
            {"name": "t"},
            timeout=60,
            input={"type": "object", "required": ["id"]},
            output="context.t_result",
            **{"finally": {"tasks": [{"name": "clean", "activity": "sweep"}]}},
        )
    )
    assert definition.timeout == 60.0
    assert definition.input == {"type": "object", "required": ["id"]}
    assert definition.output == "context.t_result"
    assert definition.closing.start_task == "clean"


# What a kind has not.

FOREIGN = [
    (kind, field)
    for kind in KIND_FIELDS
    for field in TASK_FIELDS
    if field not in (*ANY_TASK_FIELDS, *KIND_FIELDS[kind])
]


@pytest.mark.parametrize(("kind", "field"), FOREIGN)
def test_a_field_of_another_kind_is_refused_with_the_kinds_that_have_it(kind, field):
    owner = next(each for each in KIND_FIELDS if field in KIND_FIELDS[each])
    value = VALID[owner].get(field, 1)
    problem = only_problem(flow_of(a_task(kind, **{field: value})))
    assert (problem.code, problem.pointer) == ("field_not_allowed", f"/tasks/0/{field}")
    assert f"of kind '{kind}', which has no '{field}'" in problem.message
    assert owner in problem.hint


def test_an_unknown_kind_is_refused_and_nothing_else_said_of_the_task():
    problem = only_problem(flow_of(a_task("parallel") | {"kind": "paralel"}))
    assert (problem.code, problem.pointer) == ("unknown_kind", "/tasks/0/kind")
    assert problem.hint.startswith("Did you mean 'parallel'? The kinds are: activity, http")


def test_an_unknown_field_is_compared_with_those_of_the_kind():
    problem = only_problem(flow_of(a_task("wait", secnds=3)))
    assert problem.code == "unknown_field"
    assert "did you mean 'seconds'?" in problem.message
    assert problem.hint.startswith("The fields are: name, kind, description, metadata, seconds")


# What is refused, by the change to a valid task.

GONE = object()

REFUSED = {
    "no attempts": ("activity", "retry/maximum_attempts", 0, "out_of_range"),
    "too many attempts": ("activity", "retry/maximum_attempts", 1_000_001, "out_of_range"),
    "half an attempt": ("activity", "retry/maximum_attempts", 1.5, "wrong_type"),
    "no interval": ("activity", "retry/initial_interval", 0, "out_of_range"),
    "an interval of text": ("activity", "retry/initial_interval", "1", "wrong_type"),
    "a shrinking interval": ("activity", "retry/backoff_coefficient", 0.9, "out_of_range"),
    "an interval that explodes": ("activity", "retry/backoff_coefficient", 1e7, "out_of_range"),
    "a maximum below the start": ("activity", "retry/maximum_interval", 0.1, "out_of_range"),
    "too much jitter": ("activity", "retry/jitter", 1.1, "out_of_range"),
    "one type": ("activity", "retry/non_retryable_error_types", "X", "wrong_type"),
    "a typo in retry": ("activity", "retry/jiter", 0.1, "unknown_field"),
    "retry that is true": ("activity", "retry", True, "wrong_type"),
    "no timeout": ("activity", "timeout", 0, "out_of_range"),
    "a timeout of NaN": ("activity", "timeout", float("nan"), "out_of_range"),
    "an endless timeout": ("activity", "timeout", float("inf"), "out_of_range"),
    "a timeout of ages": ("activity", "timeout", 10**5000, "out_of_range"),
    "a deadline before the start": ("activity", "deadline", -1, "out_of_range"),
    "arguments that are a list": ("activity", "arguments", [1], "wrong_type"),
    "arguments that are text": ("activity", "arguments", "a ${context.b}", "wrong_type"),
    "an output that is no text": ("activity", "output", {"a": 1}, "wrong_type"),
    "an output that does not compile": ("activity", "output", "1 +", "invalid_expression"),
    "compensation by name": ("activity", "compensate", "undo", "wrong_type"),
    "compensation by nobody": ("activity", "compensate/activity", GONE, "missing_field"),
    "a deadline for compensation": ("activity", "compensate/deadline", 1, "unknown_field"),
    "compensation with a list": ("activity", "compensate/arguments", [], "wrong_type"),
    "an argument that does not compile": (
        "activity",
        "arguments/amount",
        "${ 1 + }",
        "invalid_expression",
    ),
    "an argument of an execution that has no such field": (
        "activity",
        "arguments/amount",
        "${execution.statuss}",
        "invalid_expression",
    ),
    "an output of an error that has no such field": (
        "activity",
        "output",
        "execution.error.tasks",
        "invalid_expression",
    ),
    "a header of an execution that has no such field": (
        "http",
        "request/headers/x-id",
        "for ${execution.Id}",
        "invalid_expression",
    ),
    "no request": ("http", "request", GONE, "missing_field"),
    "a request by URL": ("http", "request", "https://x", "wrong_type"),
    "no URL": ("http", "request/url", GONE, "missing_field"),
    "a URL that is a number": ("http", "request/url", 5, "wrong_type"),
    "a URL of another scheme": ("http", "request/url", "ftp://x/y", "invalid_text"),
    "a URL without a scheme": ("http", "request/url", "api.example.com/jobs", "invalid_text"),
    "a URL without a host": ("http", "request/url", "https:///jobs", "invalid_text"),
    "a URL that is only a path": ("http", "request/url", "/jobs", "invalid_text"),
    "an empty URL": ("http", "request/url", "", "invalid_text"),
    "a URL with a password": ("http", "request/url", "https://a:b@x/", "invalid_text"),
    "a URL to port 0": ("http", "request/url", "https://x:0/", "invalid_text"),
    "a URL with an expression and another scheme": (
        "http",
        "request/url",
        "ftp://${context.host}/",
        "invalid_text",
    ),
    "a URL with an expression behind a path": (
        "http",
        "request/url",
        "/jobs/${context.job}",
        "invalid_text",
    ),
    "a method that is a list": ("http", "request/method", ["GET"], "wrong_type"),
    "a method that there is not": ("http", "request/method", "FOO", "invalid_choice"),
    "an empty method": ("http", "request/method", "", "invalid_choice"),
    "headers in a list": ("http", "request/headers", [], "wrong_type"),
    "a header of the connection": ("http", "request/headers/Host", "x", "reserved_name"),
    "a header of the connection that is computed": (
        "http",
        "request/headers/Host",
        "${context.host}",
        "reserved_name",
    ),
    "a header with a blank in its name": ("http", "request/headers/X Id", "x", "invalid_text"),
    "a header that is there twice": ("http", "request/headers/X-Id", "x", "duplicate_name"),
    "a header with a line break": ("http", "request/headers/x-id", "a\nb: c", "invalid_text"),
    "a header beyond ASCII": ("http", "request/headers/x-id", "$${é}", "invalid_text"),
    "a header with a list": ("http", "request/headers/x-id", ["${context.a}"], "wrong_type"),
    "a header with an object": ("http", "request/headers/x-id", {}, "wrong_type"),
    "a query in text": ("http", "request/query", "page=1", "wrong_type"),
    "a parameter with an object": ("http", "request/query/page", {"a": 1}, "wrong_type"),
    "a parameter with a list of lists": ("http", "request/query/page", [1, []], "wrong_type"),
    "a parameter with null in a list": ("http", "request/query/page", [None], "wrong_type"),
    "follow_redirects as text": ("http", "request/follow_redirects", "yes", "wrong_type"),
    "a body": ("http", "request/body", "x", "unknown_field"),
    "a status of 600": ("http", "expect/0", 600, "wrong_type"),
    "a class 6xx": ("http", "expect/0", "6xx", "wrong_type"),
    "no status": ("http", "expect", [], "empty"),
    "a wait for nothing": ("wait", "seconds", GONE, "missing_field"),
    "a wait back": ("wait", "seconds", -1, "out_of_range"),
    "a wait of text": ("wait", "seconds", "soon", "wrong_type"),
    "a wait for both": ("wait", "until", "2030-01-31T09:00:00Z", "field_not_allowed"),
    "a signal with a blank": ("signal", "signal", "a b", "invalid_id"),
    "a schema that is text": ("signal", "schema", "boolean", "wrong_type"),
    "a schema that is none": ("signal", "schema", {"type": 5}, "invalid_schema"),
    "no flow": ("flow", "flow", GONE, "missing_field"),
    "a flow that is null": ("flow", "flow", None, "wrong_type"),
    "a flow with a slash": ("flow", "flow", "a/b", "invalid_id"),
    "version 0": ("flow", "version", 0, "out_of_range"),
    "a version too far": ("flow", "version", 10**9 + 1, "out_of_range"),
    "no branches": ("parallel", "branches", GONE, "missing_field"),
    "not one branch": ("parallel", "branches", {}, "empty"),
    "branches in a list": ("parallel", "branches", [BODY], "wrong_type"),
    "a branch without a name": ("parallel", "branches/", BODY, "empty"),
    "a branch that is a task": ("parallel", "branches/one", "x", "wrong_type"),
    "an empty branch": ("parallel", "branches/one/tasks", [], "empty"),
    "most branches": ("parallel", "join", "most", "invalid_choice"),
    "more than there are": ("parallel", "join/at_least", 4, "out_of_range"),
    "none at least": ("parallel", "join/at_least", 0, "out_of_range"),
    "at least true": ("parallel", "join/at_least", True, "wrong_type"),
    "at most": ("parallel", "join/at_most", 1, "unknown_field"),
    "stopping": ("parallel", "on_failure", "Cancel", "invalid_choice"),
    "no items": ("map", "items", GONE, "missing_field"),
    "items that are an object": ("map", "items", {}, "wrong_type"),
    "items in text": ("map", "items", "a, b", "wrong_type"),
    "a name with a minus": ("map", "as", "my-file", "invalid_text"),
    "nothing to do": ("map", "do", GONE, "missing_field"),
    "a body and a flow": ("map", "flow", "other", "field_not_allowed"),
    "arguments for a body": ("map", "arguments", {}, "field_not_allowed"),
    "none at once": ("map", "max_concurrency", 0, "out_of_range"),
    "fewer than no failures": ("map", "tolerated_failures", -1, "out_of_range"),
    "values in a list": ("set", "values", [], "wrong_type"),
    "no values": ("set", "values", GONE, "missing_field"),
    "no type": ("raise", "type", GONE, "missing_field"),
    "an empty type": ("raise", "type", "", "empty"),
    "a type of blanks": ("raise", "type", " \n", "empty"),
    "a type that is a number": ("raise", "type", 7, "wrong_type"),
    "a message that is a list": ("raise", "message", ["x"], "wrong_type"),
}


def changed(task: dict, path: str, value: object) -> dict:
    task = json.loads(json.dumps(task))
    *tokens, last = path.split("/")
    place = task
    for token in tokens:
        place = place[token]
    if isinstance(place, list):
        place[int(last)] = value
    elif value is GONE:
        del place[last]
    else:
        place[last] = value
    return task


POSSIBLE_REQUESTS = [
    ("url", "HTTPS://example.com:8443/a?b=c#d"),
    ("url", "http://[::1]/"),
    ("url", "https://example.com/$${not an expression"),
    ("url", "${context.url}"),
    ("url", "http${context.s}://x"),
    ("url", "HTTPS://${context.host}:${context.port}/"),
    ("method", "get"),
    ("method", "${context.method}"),
    ("method", "P${context.rest}"),
    ("headers", "${context.headers}"),
    ("headers", {"X-Text": "\ta$${b}", "X-Number": 1.5, "X-Flag": True, "user-agent": None}),
    ("headers", {"x-made": "é\n${context.text}", "content-type": "${context.type}"}),
    ("query", "${context.query}"),
    ("query", {"": "é\n", "many": [1, "a", False, "${context.c}"], "none": [], "out": None}),
]


@pytest.mark.parametrize(("field", "value"), POSSIBLE_REQUESTS)
def test_a_request_is_accepted_if_it_can_be_one_when_it_runs(field, value):
    assert problems_of(flow_of(changed(a_task("http"), f"request/{field}", value))) == []


ALWAYS_NULL = {
    "the result in arguments": ("activity", "arguments/a", "${result.id}", "result"),
    "the error in a part of a text": ("activity", "arguments/a", "so: ${error}", "error"),
    "the result in a list": ("http", "request/json", [1, {"a": "${result}"}], "result"),
    "the result in a URL": ("http", "request/url", "https://x/${result.id}", "result"),
    "the result in a wait": ("wait", "seconds", "${result}", "result"),
    "the result in items": ("map", "items", "${result}", "result"),
    "the result in a set": ("set", "values/a", "${result}", "result"),
    "the result in a message": ("raise", "message", "${result}", "result"),
    "the error in an output": ("activity", "output", "error.type", "error"),
    "the error in a compensation": ("activity", "compensate/arguments", {"a": "${error}"}, "error"),
}


@pytest.mark.parametrize(("kind", "path", "value", "name"), ALWAYS_NULL.values(), ids=ALWAYS_NULL)
def test_a_name_that_is_always_null_where_it_stands_is_worth_a_warning(kind, path, value, name):
    document = flow_of(changed(a_task(kind), path, value))
    _, problems, warnings = inspect(document, activities=None, new_id=str)
    assert problems == []
    warning = next(each for each in warnings if each.pointer.startswith(f"/tasks/0/{path}"))
    assert warning.code == "always_null"
    assert f"speaks of '{name}', which is always null there" in warning.message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("arguments/a", "${context.result} ${task.name} $${result}"),
        ("arguments/a", "${context.items.map(x, x.error)}"),
        ("output", "result.id + string(task.attempt)"),
        ("compensate/arguments", {"id": "${result.id}", "task": "${task.name}"}),
    ],
)
def test_names_that_mean_something_where_they_stand_are_not(path, value):
    document = flow_of(changed(a_task("activity"), path, value))
    assert inspect(document, activities=None, new_id=str)[1:] == ([], [])


@pytest.mark.parametrize("name", ["result", "error", "task"])
def test_the_output_of_a_flow_has_only_the_context_and_the_execution(name):
    task = {"name": "charge", "activity": "act"}
    document = flow_of(task, output=f"{{'a': {name}, 'b': context.charge_result}}")
    (warning,) = inspect(document, activities=None, new_id=str)[2]
    assert (warning.code, warning.pointer) == ("always_null", "/output")
    assert f"The 'output' of the flow speaks of '{name}'" in warning.message
    if name == "result":
        assert warning.hint.startswith("Did you mean context.charge_result?")
    assert inspect(flow_of(task, output="context.a"), activities=None, new_id=str)[2] == []


def test_the_result_of_the_task_before_is_what_was_meant():
    tasks = [{"name": "a b"}, {"name": "two", "arguments": {"x": "${result}"}}]
    document = flow_of(tasks[0]) | {
        "start_task": "a b",
        "tasks": tasks,
        "conditions": [{"source_task": "a b", "target_task_success": "two"}],
    }
    (warning,) = inspect(document, activities=None, new_id=str)[2]
    assert warning.hint.startswith("Did you mean context['a b_result']?")


def test_a_method_that_there_is_not_is_told_with_the_one_that_was_meant():
    (problem,) = problems_of(flow_of(changed(a_task("http"), "request/method", "PSOT")))
    assert problem.pointer == "/tasks/0/request/method"
    assert "one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, not 'PSOT'" in problem.message
    assert problem.hint == "Did you mean 'POST'?"


def test_headers_and_parameters_that_cannot_be_sent_are_all_told_each_with_its_place():
    task = changed(a_task("http"), "request/headers", {"Host": "x", "X-Ids": ["a"], "x": "${1 +}"})
    task = changed(task, "request/query", {"ids": ["a", {}]})
    found = {
        problem.pointer.removeprefix("/tasks/0/request"): problem
        for problem in problems_of(flow_of(task))
    }
    assert found.keys() == {"/headers/Host", "/headers/X-Ids", "/headers/x", "/query/ids/1"}
    host = found["/headers/Host"]
    where = "of the headers of the request of task 1 ('t')"
    assert host.message == f"Field 'Host' {where} cannot be set: it belongs to the connection"
    assert host.hint == "Leave it out"
    wanted = "must be a string, a number, true or false"
    assert found["/headers/X-Ids"].message == f"Field 'X-Ids' {where} {wanted}, not a list"
    assert wanted in found["/query/ids/1"].message


def test_a_header_that_cannot_be_sent_is_told_without_showing_it():
    (problem,) = problems_of(flow_of(changed(a_task("http"), "request/headers/x-id", "secret\n")))
    assert problem.pointer == "/tasks/0/request/headers/x-id"
    assert "secret" not in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize("field", ["headers", "query"])
def test_a_name_of_any_length_is_told_in_a_short_line(field):
    name = "x\n" * 1_000
    document = flow_of(changed(a_task("http"), f"request/{field}", {name: {}, 5: [{}]}))
    found = problems_of(document)
    assert len(found) == 3
    for problem in found:
        assert len(problem.message) < 300
        assert "\n" not in problem.message


def test_a_url_that_is_none_is_told_without_showing_it():
    (problem,) = problems_of(flow_of(changed(a_task("http"), "request/url", "ftp://a:secret@x")))
    assert problem.pointer == "/tasks/0/request/url"
    assert "must begin with 'http://' or 'https://'" in problem.message
    assert "secret" not in problem.message


def test_a_url_whose_host_is_no_name_of_another_script_is_none():
    (problem,) = problems_of(flow_of(changed(a_task("http"), "request/url", "http://xn--/")))
    assert problem.pointer == "/tasks/0/request/url"
    assert "is no URL that can be read" in problem.message


@pytest.mark.parametrize("name", ["a/b", "ask boss", "é"])
def test_a_signal_of_the_tasks_name_can_be_sent(name):
    task = {"name": name, "kind": "signal"}
    (problem,) = problems_of(flow_of(task))
    assert (problem.pointer, problem.code) == ("/tasks/0/name", "invalid_id")
    assert problem.hint.startswith("Give it a 'signal'")
    assert problems_of(flow_of(task | {"signal": "approval"})) == []


@pytest.mark.parametrize(("kind", "path", "value", "code"), REFUSED.values(), ids=REFUSED)
def test_a_task_is_refused_for(kind, path, value, code):
    found = problems_of(flow_of(changed(a_task(kind), path, value)))
    assert [problem.code for problem in found][:1] == [code]
    assert found[0].pointer.startswith(f"/tasks/0/{path.split('/')[0]}")
    if code not in {"empty", "missing_field", "wrong_type", "invalid_schema"}:
        assert found[0].pointer == f"/tasks/0/{path}"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("timeout", 0, "out_of_range"),
        ("input", {"type": 5}, "invalid_schema"),
        ("output", "context.", "invalid_expression"),
        ("finally", [], "wrong_type"),
        ("finally", {"tasks": []}, "empty"),
    ],
)
def test_a_flow_is_refused_for(field, value, code):
    problem = only_problem(flow_of({"name": "t"}, **{field: value}))
    assert problem.code == code
    assert problem.pointer.startswith(f"/{field}")


def test_a_finally_may_ask_how_the_execution_ends_and_a_typo_in_it_is_named():
    told = {"status": "${execution.status}", "why": "so: ${execution.error.message}"}
    closing = {"tasks": [{"name": "tell", "arguments": told}]}
    document = flow_of({"name": "t"}, **{"finally": closing})
    assert inspect(document, activities=None, new_id=str)[1:] == ([], [])
    told["why"] = "so: ${execution.eror.message}"
    problem = only_problem(document)
    assert problem.code == "invalid_expression"
    assert problem.pointer == "/finally/tasks/0/arguments/why"
    assert "'execution' has no 'eror'. Did you mean 'error'?" in problem.message


def test_every_expression_of_a_template_is_looked_at():
    arguments = {"a": ["${ 1 + }", "x ${ ) } y"], "b": "${context.fine}"}
    found = problems_of(flow_of({"name": "t", "arguments": arguments}))
    assert sorted(problem.pointer for problem in found) == [
        "/tasks/0/arguments/a/0",
        "/tasks/0/arguments/a/1",
    ]


# Bodies.


def nested(depth: int) -> dict:
    body = {"tasks": [{"name": "leaf"}]}
    for level in range(depth):
        if level % 2:
            task = {"name": "t", "kind": "parallel", "branches": {"b": body}}
        else:
            task = {"name": "t", "kind": "map", "items": [1], "do": body}
        body = {"tasks": [task]}
    return flow_of(*body["tasks"])


def test_bodies_nest_twenty_deep():
    definition = accepted(nested(20))
    assert msgspec.json.decode(msgspec.json.encode(definition), type=FlowDefinition) == definition


@pytest.mark.parametrize("depth", [21, 25, 2_000])
def test_deeper_bodies_are_refused_where_they_begin(depth):
    problem = only_problem(nested(depth))
    assert problem.code == "too_deep"
    assert problem.pointer.count("/do") + problem.pointer.count("/branches") == 21


def test_a_body_with_one_task_need_not_say_where_it_begins():
    task = accepted(flow_of(a_task("map"))).tasks[0]
    assert task.do.start_task == "x"
    body = {"tasks": [{"name": "x"}, {"name": "y"}]}
    problem = only_problem(flow_of(a_task("map", do=body)))
    assert (problem.code, problem.pointer) == ("missing_field", "/tasks/0/do/start_task")


def test_the_rules_hold_in_every_body():
    body = {
        "start_task": "x",
        "tasks": [{"name": "x", "activity": "known"}, {"name": "x", "activity": "unknown"}],
        "conditions": [
            {"source_task": "x", "target_task_success": "x"},
            {"source_task": "x", "target_task_success": "z"},
        ],
    }
    tasks = [a_task("parallel", branches={"b": body}), a_task("map", name="m", do=body)]
    found = problems_of(
        flow_of(*tasks, **{"finally": body}), activities=["known", "also"], flows={}
    )
    for place in ("/tasks/0/branches/b", "/tasks/1/do", "/finally"):
        assert {problem.code for problem in found if problem.pointer.startswith(f"{place}/")} == {
            "duplicate_name",
            "unknown_activity",
            "unknown_task",
            "cycle",
        }


def test_a_name_means_the_task_of_its_own_body():
    inner = {"start_task": "x", "tasks": [{"name": "x"}], "conditions": []}
    inner["conditions"] = [{"source_task": "x", "target_task_success": "outer"}]
    document = flow_of(a_task("map", do=inner), {"name": "outer"})
    assert only_problem(document).code == "unknown_task"


def test_max_visits_bounds_the_cycles_of_its_own_body():
    loop = BODY | {"conditions": [{"source_task": "x", "target_task_success": "x"}]}
    assert only_problem(flow_of(a_task("map", do=loop), max_visits=5)).code == "cycle"
    assert accepted(flow_of(a_task("map", do=loop | {"max_visits": 5})))


def test_a_thousand_branches_are_allowed():
    branches = {str(number): BODY for number in range(1_000)}
    assert accepted(flow_of(a_task("parallel", branches=branches)))
    problem = only_problem(flow_of(a_task("parallel", branches=branches | {"one more": BODY})))
    assert problem.code == "out_of_range"


def test_many_tasks_of_every_kind_are_read_quickly():
    tasks = [a_task(kind, name=f"{kind}{n}") for n in range(500) for kind in VALID]
    began = time.thread_time()
    assert accepted(flow_of(*tasks))
    assert time.thread_time() - began < 5


# Names of activities and flows.


def test_the_activity_of_a_compensation_has_to_exist():
    problem = only_problem(flow_of(a_task()), activities=["act"])
    assert (problem.code, problem.pointer) == ("unknown_activity", "/tasks/0/compensate/activity")


def test_only_activities_are_looked_for():
    tasks = [{**a_task(kind), "name": kind} for kind in VALID if kind != "activity"]
    flows = {FlowReference("other", 3): ()}
    assert accepted(flow_of(*tasks), activities=["x"], flows=flows)


def test_a_flow_that_is_run_has_to_exist_in_its_version():
    document = flow_of(a_task("flow"))
    assert accepted(document, flows={FlowReference("other", 3): ()})
    problem = only_problem(document, flows={FlowReference("other", None): ()})
    assert (problem.code, problem.pointer) == ("unknown_flow", "/tasks/0/flow")
    assert "'other', version 3" in problem.message
    assert accepted(document, flows=None)


def test_a_flow_does_not_run_itself():
    task = {"name": "t", "kind": "map", "items": [1], "flow": "f"}
    for flows in (None, {FlowReference("f", None): ()}):
        problem = only_problem(flow_of(task), flows=flows)
        assert (problem.code, problem.pointer) == ("cycle", "/tasks/0/flow")


# Conditions.


def go(source: str, target: str, **more: object) -> dict:
    return {"source_task": source, "target_task_success": target, **more}


def test_conditions_behind_one_with_when_can_be_used():
    conditions = [go("a", "b", when="result.ok"), go("a", "c"), go("a", "d", when="true")]
    document = flow_of(*({"name": name} for name in "abcd")) | {"conditions": conditions}
    definition, _, warnings = inspect(document, activities=None, new_id=str)
    assert definition.conditions[0].when == "result.ok"
    assert [(warning.code, warning.pointer) for warning in warnings] == [
        ("unused_condition", "/conditions/2"),
        ("unreachable_task", "/tasks/3"),
    ]


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("1 +", "invalid_expression"),
        ("execution.state == 'failed'", "invalid_expression"),
        (True, "wrong_type"),
    ],
)
def test_when_is_an_expression(when, code):
    document = flow_of({"name": "a"}) | {"conditions": [go("a", "end", when=when)]}
    problem = only_problem(document)
    assert (problem.code, problem.pointer) == (code, "/conditions/0/when")
