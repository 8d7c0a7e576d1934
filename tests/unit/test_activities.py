"""Declaring activities and collecting them."""

import functools
import inspect
import sys
import types
from typing import Any

import msgspec
import pytest

from actors.context import Context
from actors.outcome import ErrorInfo, ReportedError, describe_error
from flowmgr import builtins
from flowmgr.activities.catalogue import ActivityCatalogue
from flowmgr.activities.declaration import Activity, activity
from flowmgr.activities.runners import (
    ProcessRunner,
    RunnerResources,
    TaskRunner,
    ThreadRunner,
    runner_for,
)
from flowmgr.errors import ActivityDeclarationError
from tests.support import sample_activities as samples


async def fetch(context):
    """Fetch it."""
    return context["a"]


def compute(context):
    return context["a"]


class Receipt(msgspec.Struct):
    id: int


class Strange:
    """A type that is nothing in JSON."""


class CallableObject:
    async def __call__(self, context: Context) -> int:
        """Answer."""
        return 42


def refused(function, **options):
    with pytest.raises(ActivityDeclarationError) as caught:
        activity(**options)(function)
    return str(caught.value)


# --- how it is declared


def test_a_decorated_function_is_called_as_before():
    declared = activity(compute)
    assert declared({"a": 1}) == 1
    assert declared(context={"a": 2}) == 2
    assert declared.__name__ == "compute"
    assert inspect.signature(declared) == inspect.signature(compute)


def test_a_decorated_coroutine_function_is_awaited_as_before():
    with pytest.raises(StopIteration) as returned:
        activity(fetch)({"a": 1}).send(None)
    assert returned.value.value == 1


@pytest.mark.parametrize(
    ("declared", "name", "isolation"),
    [
        (activity(fetch), "fetch", "task"),
        (activity(compute), "compute", "thread"),
        (activity()(fetch), "fetch", "task"),
        (activity("get")(fetch), "get", "task"),
        (activity("get", isolation="process")(fetch), "get", "process"),
        (activity(name="get.it-1")(compute), "get.it-1", "thread"),
        (activity(isolation="process")(compute), "compute", "process"),
        (activity(compute, name="a", isolation="process"), "a", "process"),
        (activity("other")(activity(compute)), "other", "thread"),
        (activity("part")(functools.partial(fetch)), "part", "task"),
        (activity("object")(CallableObject()), "object", "task"),
    ],
)
def test_name_and_isolation_are_as_asked_for_or_as_the_function_suggests(declared, name, isolation):
    assert (declared.name, declared.isolation) == (name, isolation)


def test_the_description_is_the_first_paragraph_of_the_docstring():
    assert samples.charge.description == "Charge an order, all of it."
    assert activity(compute).description == ""
    assert activity("part")(functools.partial(fetch)).description == "Fetch it."


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "ä", "a/b", "a" * 129, 5])
def test_a_bad_name_is_refused(name):
    with pytest.raises(ActivityDeclarationError, match="cannot be the name of an activity"):
        Activity(compute, name)


def test_a_name_of_128_characters_is_accepted():
    assert Activity(compute, "a" * 128).name == "a" * 128


@pytest.mark.parametrize("target", [42, [], object(), Receipt])
def test_what_is_no_function_is_refused(target):
    assert "not a function" in refused(target, name="a")


def test_a_function_without_a_name_needs_one():
    assert "has no name" in refused(lambda context: 1)
    assert "has no name" in refused(functools.partial(compute))
    assert activity("a")(lambda context: 1).name == "a"


def test_parameters_that_cannot_be_found_by_name_are_refused():
    def with_args(*args):
        pass

    def with_kwargs(a, **kwargs):
        pass

    def positional_only(a, /):
        pass

    assert "'*args' takes any number" in refused(with_args)
    assert "'**kwargs' takes values of any name" in refused(with_kwargs)
    assert "positional-only" in refused(positional_only)
    assert "positional-only" in refused(len)


def test_a_function_whose_parameters_cannot_be_read_is_refused():
    assert "cannot be read" in refused(min)


def test_methods_and_generators_are_refused():
    class Service:
        def method(self, context):
            pass

    def generate(context):
        yield 1

    async def generate_async(context):
        yield 1

    assert "is a method" in refused(Service.method)
    assert activity(Service().method).name == "method"
    assert "is a generator" in refused(generate)
    assert "is a generator" in refused(generate_async)


def test_an_isolation_that_does_not_fit_is_refused():
    assert "is not known" in refused(fetch, isolation="cluster")
    assert "no event loop" in refused(fetch, isolation="thread")
    assert "nothing else could run" in refused(compute, isolation="task")


def test_what_a_child_process_could_not_import_is_refused_for_processes():
    def local(context):
        pass

    script = types.FunctionType(compute.__code__, globals(), "script")
    script.__module__ = "__main__"
    script.__qualname__ = "script"
    assert "inside another function" in refused(local, isolation="process")
    assert "lambda" in refused(lambda context: 1, name="a", isolation="process")
    assert "script that was started" in refused(script, isolation="process")
    assert "not a plain function" in refused(CallableObject(), name="a", isolation="process")
    assert "not a plain function" in refused(
        functools.partial(compute), name="a", isolation="process"
    )


def test_an_annotation_that_nothing_can_be_converted_to_is_refused():
    def odd(thing: Strange):
        pass

    def odd_items(things: list[complex]):
        pass

    assert "Strange" in refused(odd)
    assert "complex" in refused(odd_items)


def test_an_odd_annotation_of_the_result_does_no_harm():
    def odd(a: int) -> Strange:
        return Strange()

    assert activity(odd).result_schema == {}


# --- schemas


def test_parameters_have_a_schema():
    schema = samples.charge.parameters_schema
    assert schema["required"] == ["order"]
    assert schema["properties"]["order"] == {"$ref": "#/$defs/Order"}
    assert schema["properties"]["amount"] == {"type": "number", "default": 2.5}
    assert schema["$defs"]["Order"]["required"] == ["id"]


def test_what_takes_the_whole_context_has_no_schema_of_parameters():
    assert activity(fetch).parameters_schema is None


def test_a_context_of_an_own_type_has_that_types_schema():
    def f(context: Receipt):
        pass

    assert activity(f).parameters_schema["$ref"] == "#/$defs/Receipt"


def test_results_have_a_schema_if_they_are_annotated():
    def f(a: int = 1) -> list[Receipt]:
        return []

    def nothing() -> None:
        pass

    assert activity(f).result_schema["items"] == {"$ref": "#/$defs/Receipt"}
    assert activity(nothing).result_schema == {"type": "null"}
    assert activity(compute).result_schema is None


def test_schemas_never_raise():
    def f(a: "Missing", b: int = 1) -> "Missing":  # noqa: F821
        pass

    def g(b: Any = Strange):
        pass

    assert activity(f).parameters_schema is None
    assert activity(f).result_schema == {}
    assert activity(g).parameters_schema["properties"] == {"b": {}}


# --- runners


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (samples.echo, TaskRunner),
        (samples.charge, TaskRunner),
        (samples.echo_in_thread, ThreadRunner),
        (samples.echo_in_process, ProcessRunner),
    ],
)
def test_every_isolation_has_its_runner(declared, kind):
    assert type(runner_for(declared, RunnerResources(threads=1, processes=1))) is kind


def test_an_error_reported_by_another_process_is_described_as_it_was_there():
    info = ErrorInfo("SomeError", "what it said")
    assert describe_error(ReportedError(info)) is info
    assert str(ReportedError(info)) == "SomeError: what it said"


# --- the catalogue


def test_a_catalogue_is_sorted_by_name():
    catalogue = ActivityCatalogue([activity("b")(compute), activity("a")(fetch)])
    assert catalogue.names() == ("a", "b")
    assert [declared.name for declared in catalogue] == ["a", "b"]
    assert len(catalogue) == 2
    assert catalogue.get("a").function is fetch
    assert catalogue.get("c") is None
    assert "a" in catalogue
    assert "c" not in catalogue
    assert catalogue.get("a") in catalogue
    assert activity("a")(fetch) not in catalogue


def test_a_catalogue_is_made_of_modules_and_their_names():
    by_module = ActivityCatalogue.of(samples)
    by_name = ActivityCatalogue.of("tests.support.sample_activities", samples.charge)
    assert by_module.names() == by_name.names()
    assert "charge" in by_name


def test_the_demo_activities_are_those_of_the_original():
    assert ActivityCatalogue.of(builtins).names() == ("task1", "task2", "task3")


def test_two_activities_of_one_name_are_refused():
    with pytest.raises(ActivityDeclarationError) as caught:
        ActivityCatalogue([activity("a")(fetch), activity("a")(compute)])
    assert f"{__name__}.fetch" in str(caught.value)
    assert f"{__name__}.compute" in str(caught.value)


def test_the_same_activity_twice_is_once():
    declared = activity(fetch)
    assert len(ActivityCatalogue([declared, declared])) == 1


def test_a_default_gives_way_to_an_activity_of_its_name():
    own = activity("task1")(fetch)
    catalogue = ActivityCatalogue.of(own, defaults=[builtins])
    assert catalogue.get("task1") is own
    assert catalogue.names() == ("task1", "task2", "task3")


def test_a_module_in_the_current_directory_is_found(tmp_path, monkeypatch):
    (tmp_path / "own_activities.py").write_text(
        "from flowmgr import activity\n@activity\ndef own(context): return 1\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert ActivityCatalogue.of("own_activities").names() == ("own",)
    monkeypatch.delitem(sys.modules, "own_activities")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ValueError('broken')", "ValueError: broken"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("def f(:", "SyntaxError"),
        ("a = 1", "has no activities"),
        (
            "from flowmgr import activity\n@activity\ndef f(*args): pass",
            "takes any number",
        ),
        (
            "from flowmgr import activity\n@activity\ndef f(a: 'Nothing'): pass",
            "cannot be resolved",
        ),
    ],
)
def test_a_module_that_is_of_no_use_is_refused(text, words, tmp_path, monkeypatch):
    (tmp_path / "useless_activities.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "useless_activities", raising=False)
    with pytest.raises(ActivityDeclarationError) as caught:
        ActivityCatalogue.of("useless_activities")
    assert words in str(caught.value)
    sys.modules.pop("useless_activities", None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.at.all", "nowhere"),
        ("activities.py", "is a file"),
        ("", "cannot be imported"),
        (".relative", "cannot be imported"),
        (42, "neither an activity nor a module"),
        (compute, "neither an activity nor a module"),
    ],
)
def test_a_source_that_is_none_is_refused(source, words):
    with pytest.raises(ActivityDeclarationError, match=words):
        ActivityCatalogue.of(source)


# --- the demo activities


async def returned_by(declared, **values):
    return await declared(Context.from_json(msgspec.json.encode(values)))


@pytest.mark.anyio
async def test_the_demo_activities_pass_their_results_on():
    fetched = await returned_by(builtins.fetch_users)
    processed = await returned_by(builtins.process_users, task1_result=fetched)
    stored = await returned_by(builtins.store_users, task2_result=processed)
    assert [sorted(user) for user in fetched["users"]] == [["id", "name"], ["id", "name"]]
    assert processed["processed_users"] == 2
    assert stored["stored"] is True


@pytest.mark.anyio
@pytest.mark.parametrize("values", [{}, {"task1_result": None}, {"task1_result": {}}])
async def test_the_demo_activities_fail_without_the_results_they_need(values):
    with pytest.raises(ValueError, match="task1_result"):
        await returned_by(builtins.process_users, **values)
    with pytest.raises(ValueError, match="task2_result"):
        await returned_by(builtins.store_users, **values)
