"""Flow documents: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import copy
import itertools
import json
import math
import time
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmgr.errors import DefinitionError, Problem
from flowmgr.language.definition import ConditionDefinition, FlowDefinition, TaskDefinition, digest
from flowmgr.language.documents import parse_json
from flowmgr.language.findings import MAX_FINDINGS
from flowmgr.language.validation import ValidatedFlow
from tests.support.definitions import inspect, read_definition

README = {
    "id": "flow123",
    "name": "Data Processing Flow",
    "start_task": "task1",
    "tasks": [
        {"name": "task1", "description": "Fetch data"},
        {"name": "task2", "description": "Process data"},
        {"name": "task3", "description": "Store data"},
    ],
    "conditions": [
        {
            "name": "condition_1",
            "source_task": "task1",
            "outcome": "success",
            "target_task_success": "task2",
            "target_task_failure": "end",
        },
        {
            "name": "condition_2",
            "source_task": "task2",
            "outcome": "success",
            "target_task_success": "task3",
            "target_task_failure": "end",
        },
    ],
}
WRAPPINGS = {
    "bare": ("", lambda flow: flow),
    "flow": ("/flow", lambda flow: {"flow": flow}),
    "flow_data": ("/flow_data/flow", lambda flow: {"flow_data": {"flow": flow}}),
}


def tasks(*names: str) -> list[dict]:
    return [{"name": name} for name in names]


def go(source: str, matched: str, otherwise: str = "end", **more: object) -> dict:
    return {
        "source_task": source,
        "target_task_success": matched,
        "target_task_failure": otherwise,
        **more,
    }


def flow(*names: str, conditions: list | None = None, **more: object) -> dict:
    names = names or ("a", "b")
    return {
        "name": "F",
        "start_task": names[0],
        "tasks": tasks(*names),
        "conditions": [go(*pair) for pair in itertools.pairwise(names)]
        if conditions is None
        else conditions,
        **more,
    }


def look(document: object, activities: object = None, **more: object):
    return inspect(document, activities=activities, new_id=lambda: "made-1", **more)


def accepted(document: object, activities: object = None, **more: object) -> ValidatedFlow:
    return read_definition(document, activities=activities, new_id=lambda: "made-1", **more)


def problems_of(document: object, activities: object = None, **more: object) -> list[Problem]:
    definition, problems, _ = look(document, activities, **more)
    assert definition is None
    assert problems
    return problems


def only_problem(document: object, activities: object = None, **more: object) -> Problem:
    (problem,) = problems_of(document, activities, **more)
    return problem


def warnings_of(document: object) -> list[Problem]:
    return list(accepted(document).warnings)


# What is accepted.


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_readme_example_is_a_flow_in_every_wrapping(wrapping):
    _, wrap = WRAPPINGS[wrapping]
    document = parse_json(json.dumps(wrap(README)).encode())
    validated = accepted(document, {"task1", "task2", "task3"})
    assert validated.warnings == ()
    assert validated.definition == FlowDefinition(
        id="flow123",
        name="Data Processing Flow",
        start_task="task1",
        tasks=(
            TaskDefinition("task1", "Fetch data"),
            TaskDefinition("task2", "Process data"),
            TaskDefinition("task3", "Store data"),
        ),
        conditions=(
            ConditionDefinition("condition_1", "task1", "task2"),
            ConditionDefinition("condition_2", "task2", "task3"),
        ),
    )


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_pointers_lead_into_the_document_as_it_was_sent(wrapping):
    prefix, wrap = WRAPPINGS[wrapping]
    document = wrap(flow(tasks=[{"name": 5}, {"name": "b"}], start_task="b", conditions=[]))
    assert only_problem(document).pointer == f"{prefix}/tasks/0/name"


def test_the_smallest_flow_gets_an_id_and_the_defaults():
    definition = accepted(flow("a")).definition
    assert definition == FlowDefinition("made-1", "F", "a", (TaskDefinition("a"),), ())
    assert definition.max_visits == 1


def test_an_id_is_made_only_for_an_accepted_flow_without_one():
    def refuse() -> str:
        raise AssertionError

    inspect(flow("a", name=""), activities=None, new_id=refuse)
    inspect(flow("a", id="mine"), activities=None, new_id=refuse)


def test_null_is_the_same_as_absent_for_optional_fields():
    full = flow(id=None, description=None, max_visits=None, metadata=None)
    full["tasks"][0] |= {"description": None, "activity": None, "metadata": None}
    full["conditions"][0] |= {
        "name": None,
        "outcome": None,
        "target_task_failure": None,
        "description": None,
    }
    assert accepted(full) == accepted(flow())


def test_everything_that_may_be_said_is_kept():
    document = flow("a", "b", id="x.y_z-1", description="D", max_visits=10_000, metadata={"k": [1]})
    document["tasks"][0] |= {"description": "T", "activity": "act", "metadata": {"owner": None}}
    document["conditions"] = [go("a", "end", "b", name="n", outcome="failure", description="C")]
    definition = accepted(document).definition
    assert definition.id == "x.y_z-1"
    assert (definition.description, definition.max_visits) == ("D", 10_000)
    assert definition.metadata == {"k": [1]}
    assert definition.tasks[0] == TaskDefinition("a", "T", "act", {"owner": None})
    assert definition.conditions == (ConditionDefinition("n", "a", "end", "failure", "b", "C"),)


def test_a_definition_does_not_change_when_its_document_does():
    document = flow(metadata={"k": [1]})
    definition = accepted(document).definition
    document["metadata"]["k"].append(2)
    assert definition.metadata == {"k": [1]}


def test_a_stored_definition_is_accepted_again_as_the_same_version():
    document = flow("a" * 128, "b", id="x", conditions=[go("a" * 128, "b"), go("a" * 128, "end")])
    definition = accepted(document).definition
    again = accepted(json.loads(msgspec.json.encode(definition))).definition
    assert again == definition
    assert digest(again) == digest(definition)


def test_a_flow_with_its_defaults_written_out_is_the_same_version():
    brief = flow("a", "b", conditions=[go("a", "b", name="then")])
    brief["conditions"][0].pop("target_task_failure", None)
    full = copy.deepcopy(brief) | {"description": None, "max_visits": 1, "metadata": {}}
    # Made at run time, as what is read is: it is not the very same text as the default.
    full["conditions"][0] |= json.loads('{"target_task_failure": "end", "outcome": "success"}')
    full["tasks"][0] |= {"description": "", "metadata": {}}
    assert digest(accepted(full).definition) == digest(accepted(brief).definition)


def test_conditions_without_a_name_get_one_that_is_free():
    conditions = [go("a", "b"), go("a", "b", name="a-1"), go("a", "end"), go("b", "end")]
    definition = accepted(flow(conditions=conditions)).definition
    assert [condition.name for condition in definition.conditions] == ["a-2", "a-1", "a-3", "b-1"]


def test_names_may_have_blanks_and_letters_of_any_script():
    assert accepted(flow("Заказ оплатить", "→ ship 📦")).definition.start_task == "Заказ оплатить"


def test_tasks_may_meet_again():
    diamond = [go("a", "b", "c"), go("b", "d"), go("c", "d")]
    assert warnings_of(flow("a", "b", "c", "d", conditions=diamond)) == []


# What is refused. Each case is a changed flow of the tasks "a" and "b" and one condition a -> b.

DELETE = object()

REFUSED = {
    "no name": ("/name", DELETE, "missing_field", "Missing required field: 'name'"),
    "no start_task": ("/start_task", DELETE, "missing_field", "field: 'start_task'"),
    "no tasks": ("/tasks", DELETE, "missing_field", "field: 'tasks'"),
    "no conditions": ("/conditions", DELETE, "missing_field", "field: 'conditions'"),
    "a null name": ("/name", None, "wrong_type", "must be a string, not null"),
    "a blank name": ("/name", "  ", "empty", "must be a non-empty string"),
    "half a character": ("/name", "\ud800", "invalid_text", "surrogate"),
    "a description that is a list": ("/description", [], "wrong_type", "a string, not a list"),
    "an id that is a number": ("/id", 5, "wrong_type", "a string, not a number"),
    "an empty id": ("/id", "", "empty", "non-empty"),
    "an id with a slash": ("/id", "a/b", "invalid_id", "'a/b'"),
    "an id with a blank": ("/id", " a", "invalid_id", "' a'"),
    "an id with two dots": ("/id", "a..b", "invalid_id", "'a..b'"),
    "an id with a dot first": ("/id", ".a", "invalid_id", "'.a'"),
    "an id with a line break": ("/id", "a\n", "invalid_id", "'a\\n'"),
    "a long id": ("/id", "a" * 129, "invalid_id", "aaa..."),
    "the id execute": ("/id", "execute", "reserved_name", "must not be 'execute'"),
    "the id validate": ("/id", "validate", "reserved_name", "must not be 'validate'"),
    "no visits": ("/max_visits", 0, "out_of_range", "from 1 to 10000"),
    "too many visits": ("/max_visits", 10**5000, "out_of_range", "from 1 to 10000"),
    "true visits": ("/max_visits", True, "wrong_type", "whole number, not a boolean"),
    "half a visit": ("/max_visits", 1.5, "wrong_type", "a whole number"),
    "metadata that is text": ("/metadata", "x", "wrong_type", "an object, not a string"),
    "metadata that is not JSON": ("/metadata", {"x": math.nan}, "not_json", "metadata['x'] is nan"),
    "unknown start_task": ("/start_task", "z", "unknown_task", "start_task 'z' not found in tasks"),
    "start_task end": ("/start_task", "end", "unknown_task", "start_task 'end' not found"),
    "an empty start_task": ("/start_task", "", "empty", "non-empty"),
    "tasks that are an object": ("/tasks", {}, "wrong_type", "a non-empty list, not an object"),
    "an empty list of tasks": ("/tasks", [], "empty", "must be a non-empty list"),
    "conditions that are null": ("/conditions", None, "wrong_type", "must be a list, not null"),
    "a task that is text": (
        "/tasks/2",
        "c",
        "wrong_type",
        "Task 3 must be an object",
    ),
    "a task without name": ("/tasks/2", {}, "missing_field", "field: 'name' in task 3"),
    "a task with a blank name": ("/tasks/2", {"name": " "}, "empty", "non-empty"),
    "a task with a long name": ("/tasks/2", {"name": "x" * 129}, "too_long", "128 are allowed"),
    "a task of two lines": ("/tasks/2", {"name": "x\ny"}, "invalid_text", "'x\\ny'"),
    "a task called end": ("/tasks/2", {"name": "end"}, "reserved_name", "must not be 'end'"),
    "a task's name twice": ("/tasks/2", {"name": "a"}, "duplicate_name", "task name: 'a'"),
    "a task's description": ("/tasks/0/description", 1, "wrong_type", "of task 1 ('a')"),
    "a task's activity": ("/tasks/0/activity", "a b", "invalid_id", "'a b'"),
    "a task's metadata": ("/tasks/0/metadata", [], "wrong_type", "must be an object"),
    "a condition that is null": ("/conditions/0", None, "wrong_type", "Condition 1 must be"),
    "a condition without source": ("/conditions/0/source_task", DELETE, "missing_field", "source"),
    "a condition's target": (
        "/conditions/0/target_task_success",
        DELETE,
        "missing_field",
        "target",
    ),
    "an unknown source": ("/conditions/0/source_task", "z", "unknown_task", "source_task: 'z'"),
    "the source end": ("/conditions/0/source_task", "end", "unknown_task", "source_task: 'end'"),
    "an unknown target": ("/conditions/0/target_task_success", "z", "unknown_task", "s: 'z'"),
    "another unknown": ("/conditions/0/target_task_failure", "z", "unknown_task", "failure: 'z'"),
    "a target END": ("/conditions/0/target_task_failure", "END", "unknown_task", "'END'"),
    "a target list": ("/conditions/0/target_task_failure", ["b"], "wrong_type", "not a list"),
    "an empty target": ("/conditions/0/target_task_failure", "", "empty", "non-empty"),
    "the outcome Success": ("/conditions/0/outcome", "Success", "invalid_outcome", "'Success'"),
    "the outcome any": (
        "/conditions/0/outcome",
        "any",
        "invalid_outcome",
        "expected 'success'",
    ),
    "an outcome object": ("/conditions/0/outcome", {}, "invalid_outcome", "an object"),
    "a condition's name": ("/conditions/0/name", " ", "empty", "non-empty"),
    "a condition's description": ("/conditions/0/description", 1, "wrong_type", "of condition 1"),
    "an unknown field": ("/nmae", 1, "unknown_field", "The flow has no field 'nmae'"),
    "a task's unknown field": ("/tasks/0/x~1y~0z", 1, "unknown_field", "Task 1 ('a') has no field"),
    "a condition's unknown field": ("/conditions/0/wen", 1, "unknown_field", "'wen'"),
}


def tokens_of(pointer: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def changed(document: dict, pointer: str, value: object) -> dict:
    document = copy.deepcopy(document)
    *path, last = tokens_of(pointer)
    place: object = document
    for token in path:
        place = place[int(token)] if isinstance(place, list) else place[token]
    if isinstance(place, list):
        place[int(last) :] = [value]
    elif value is DELETE:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.parametrize(("pointer", "value", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_a_flow_is_refused_for(pointer, value, code, words):
    problem = problems_of(changed(flow(), pointer, value))[0]
    assert problem.code == code
    assert problem.pointer in (pointer, f"{pointer}/name")
    assert words in problem.message


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        (None, "", "wrong_type"),
        ([], "", "wrong_type"),
        ("flow", "", "wrong_type"),
        (True, "", "wrong_type"),
        ({"flow": None}, "/flow", "wrong_type"),
        ({"flow": [1]}, "/flow", "wrong_type"),
        ({"flow_data": 1}, "/flow_data", "wrong_type"),
        ({"flow_data": {"flow": "x"}}, "/flow_data/flow", "wrong_type"),
        ({"flow_data": {}}, "/flow_data/flow", "missing_field"),
        ({"flow": flow(), "context": {}}, "/context", "unknown_field"),
        ({"flow_data": {"flow": flow()}, "x": 1}, "/x", "unknown_field"),
        ({"flow_data": {"flow": flow(), "x": 1}}, "/flow_data/x", "unknown_field"),
    ],
)
def test_a_wrapping_is_refused_that_is_not_what_it_should_be(document, pointer, code):
    problem = only_problem(document)
    assert (problem.pointer, problem.code) == (pointer, code)


def test_all_problems_are_reported_at_once():
    document = flow(id="a/b", max_visits="2", typo=1)
    document["tasks"] += [{"name": "a"}, {"nome": "c"}]
    document["conditions"] += [go("x", "b"), go("b", "y", outcome="ok")]
    codes = Counter(problem.code for problem in problems_of(document))
    assert codes == {
        "unknown_field": 2,
        "unknown_task": 2,
        "invalid_id": 1,
        "wrong_type": 1,
        "duplicate_name": 1,
        "missing_field": 1,
        "invalid_outcome": 1,
    }
    with pytest.raises(DefinitionError, match="and 8 more problems") as caught:
        accepted(document)
    assert len(caught.value.problems) == 9


def test_after_a_hundred_problems_the_rest_is_counted():
    problems = problems_of(flow(tasks=[{}] * 150, conditions=[]) | {"start_task": "a", "name": "F"})
    assert len(problems) == MAX_FINDINGS + 1
    assert problems[-1].code == "more"
    assert problems[-1].message.startswith("50 more")


def test_a_broken_task_causes_no_second_problem_where_it_is_named():
    document = flow(tasks=[{"name": "a", "description": 5}, {"name": "b", "typo": 1}])
    assert [problem.code for problem in problems_of(document)] == ["wrong_type", "unknown_field"]
    assert only_problem(flow(tasks="none")).code == "wrong_type"
    assert only_problem(flow("a\n", conditions=[]), activities=()).code == "invalid_text"


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"desription": ""}, "did you mean 'description'?", "name, description, start_task"),
        ({"Name": ""}, "did you mean 'name'?", "'metadata'"),
        ({"colour": ""}, "has no field 'colour'", "'metadata'"),
        ({"start_task": "shp"}, "'shp'", "Did you mean 'ship'?"),
        ({"start_task": "SHIP"}, "'SHIP'", "Did you mean 'ship'? Upper and lower case differ"),
        ({"start_task": "zzz"}, "'zzz'", "The names are: pay, ship"),
        ({"conditions": [go("pay", "END")]}, "'END'", "Did you mean 'end'? Upper and lower"),
        ({"conditions": [go("End", "pay")]}, "'End'", "'end' ends the execution"),
        ({"conditions": [go("pay", "ship", outcome="Failure")]}, "'Failure'", "'failure'?"),
        ({"conditions": [go("pya", "ship")]}, "'pya'", "Did you mean 'pay'?"),
    ],
)
def test_a_problem_says_what_was_likely_meant(change, message, hint):
    problem = only_problem(flow("pay", "ship") | change)
    assert message in problem.message
    assert problem.hint is not None
    assert hint in problem.hint


def test_long_values_are_cut_in_messages():
    huge = "x" * 1_000_000
    document = flow(huge, "b", id=huge, typo=huge, **{huge: huge})
    document["conditions"] += [go(huge, huge + "y", outcome=huge)]
    for problem in problems_of(document, activities={"a"}):
        assert len(problem.message) + len(problem.hint or "") + len(problem.pointer) < 600


# Activities.


def test_an_unknown_activity_is_refused_with_the_closest_name():
    document = flow("pay", "ship")
    document["tasks"][1]["activity"] = "shipp-order"
    problem = only_problem(document, {"pay", "ship-order"})
    assert (problem.code, problem.pointer) == ("unknown_activity", "/tasks/1/activity")
    assert problem.message == "Unknown activity 'shipp-order' of task 2 ('ship')"
    assert problem.hint == "Did you mean 'ship-order'? The activities are: pay, ship-order"


def test_a_task_without_an_activity_needs_one_of_its_own_name():
    problem = only_problem(flow("pay"), [f"activity{n}" for n in range(30)])
    assert problem.pointer == "/tasks/0/name"
    assert problem.hint is not None
    assert problem.hint.endswith("activity16, activity17 and 20 more")


def test_any_activity_may_be_accepted():
    assert only_problem(flow("pay"), []).hint == "No activities are registered"
    assert accepted(flow("pay"), None).definition


# Cycles.


@pytest.mark.parametrize(
    ("conditions", "path", "pointer"),
    [
        ([go("a", "a")], "a -> a", "/conditions/0/target_task_success"),
        ([go("a", "end", "a")], "a -> a", "/conditions/0/target_task_failure"),
        ([go("a", "b"), go("b", "a")], "a -> b -> a", "/conditions/1/target_task_success"),
        ([go("a", "b"), go("b", "c"), go("c", "end", "b")], "b -> c -> b", "/conditions/2/"),
        ([go("a", "b"), go("a", "end", "a")], "a -> a", "/conditions/1/target_task_failure"),
    ],
    ids=["itself", "itself after failure", "two", "later", "a condition that never decides"],
)
def test_a_cycle_is_refused_with_its_path(conditions, path, pointer):
    document = flow("a", "b", "c", conditions=conditions)
    problem = only_problem(document)
    assert problem.code == "cycle"
    assert problem.message == f"Flow contains a cycle in task transitions: {path}"
    assert problem.pointer.startswith(pointer)
    assert accepted(document | {"max_visits": 2})


def test_a_cycle_that_cannot_be_reached_is_accepted():
    document = flow("a", "b", "c", conditions=[go("b", "c"), go("c", "b")])
    assert [warning.code for warning in warnings_of(document)] == ["unreachable_task"] * 2


def long_flow(length: int) -> dict:
    return flow(*(f"t{n}" for n in range(length)))


def test_a_chain_of_ten_thousand_tasks_is_accepted_quickly():
    document = long_flow(10_000)
    began = time.thread_time()
    validated = accepted(document, [f"t{n}" for n in range(10_000)])
    assert time.thread_time() - began < 2
    assert len(validated.definition.tasks) == 10_000


def test_a_cycle_of_ten_thousand_tasks_is_refused_quickly_and_shortened():
    document = long_flow(10_000)
    document["conditions"].append(go("t9999", "t0"))
    began = time.thread_time()
    problem = only_problem(document)
    assert time.thread_time() - began < 2
    assert "t0 -> t1 -> t2 -> t3 -> t4 -> ... (9,994 more) -> t9999 -> t0" in problem.message


def test_many_wrong_names_among_many_right_ones_are_answered_quickly():
    names = ["ab" * 30 + f"{n:04}" for n in range(5_000)]
    document = flow(*names, conditions=[go("ba" * 32, "b" * 60)] * 5_000)
    began = time.thread_time()
    assert len(problems_of(document, ["ab" * 32])) == MAX_FINDINGS + 1
    assert time.thread_time() - began < 3


def test_what_the_expressions_of_a_flow_may_have_is_bounded_and_said_once():
    long = "context.a + " * 340 + "1"
    document = flow("a", "b") | {
        "conditions": [go("a", "b", when=f"{long} > 1") for _ in range(40)] + [go("b", "end")] * 30,
    }
    texts = [f"some text ${{{long}}} and more"] * 40
    document["tasks"].append({"name": "c", "kind": "set", "values": {"v": texts}})
    [problem] = [each for each in problems_of(document) if each.code == "too_long"]
    assert "the expressions of the flow have more than 262,144 characters" in problem.message
    assert problem.hint == "do more of it in activities, or in flows that it runs"


def test_long_texts_with_short_expressions_are_accepted():
    prompt = "a" * 400_000 + "${context.a}" + "b" * 400_000
    ask = {"name": "ask", "kind": "set", "values": {"prompt": prompt}}
    assert accepted(flow("a") | {"start_task": "ask", "tasks": [ask]})


# Warnings.


@pytest.mark.parametrize(
    ("document", "code", "pointer", "words"),
    [
        (flow("a", "b", conditions=[]), "unreachable_task", "/tasks/1", "'b'"),
        (
            flow("a", conditions=[go("a", "end"), go("a", "end")]),
            "unused_condition",
            "/conditions/1",
            "'a-1' decides",
        ),
        (
            flow("a", "b", conditions=[go("a", "b", outcome="failure")]),
            "outcome_failure",
            "/conditions/0/outcome",
            "when 'a' fails, 'target_task_success' ('b') is next",
        ),
        (
            flow("a", "b", conditions=[go("a", "b", name="x"), go("b", "end", name="x")]),
            "duplicate_condition_name",
            "/conditions/1/name",
            "same name as condition 1",
        ),
        (flow("a", max_visits=3), "unused_max_visits", "/max_visits", "'max_visits' is 3"),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_a_flow_is_accepted_with_a_warning_of(document, code, pointer, words):
    (warning,) = warnings_of(document)
    assert (warning.code, warning.pointer) == (code, pointer)
    assert words in warning.message
    assert warning.hint


def test_a_task_that_only_an_unused_condition_leads_to_is_unreachable():
    document = flow("a", "b", conditions=[go("a", "end"), go("a", "b")])
    codes = [warning.code for warning in warnings_of(document)]
    assert codes == ["unused_condition", "unreachable_task"]


def test_warnings_about_conditions_come_with_problems_too():
    document = flow("a", "b", conditions=[go("a", "b", outcome="failure")], id="a/b")
    _, problems, warnings = look(document)
    assert [problem.code for problem in problems] == ["invalid_id"]
    assert [warning.code for warning in warnings] == ["outcome_failure"]


# Whatever is sent.

TEXTS = st.sampled_from(["a", "b", "end", "END", "", " ", "x/y", "~", "success", "execute", "\n"])
WORDS = TEXTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FIELDS = ["flow", "flow_data", "id", "name", "description", "start_task", "tasks", "conditions"]
FIELDS += ["max_visits", "metadata", "activity", "source_task", "outcome"]
FIELDS += ["target_task_success", "target_task_failure"]
KEYS = st.sampled_from(FIELDS) | WORDS
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


def resolves(document: object, pointer: str) -> bool:
    """Whether *pointer* leads to a value of *document*, or to where one is missing."""
    tokens = tokens_of(pointer)
    for position, token in enumerate(tokens):
        if isinstance(document, list):
            if not token.isdigit() or int(token) >= len(document):
                return False
            document = document[int(token)]
        elif isinstance(document, dict):
            if token not in document:
                return position == len(tokens) - 1
            document = document[token]
        else:
            return False
    return True


def check_answer(document: object, activities: object) -> None:
    before = copy.deepcopy(document)
    definition, problems, warnings = look(document, activities)
    assert (definition is None) == bool(problems)
    for finding in [*problems, *warnings]:
        assert resolves(document, finding.pointer), finding
        assert finding.message
        assert "\n" not in finding.message
    assert repr(document) == repr(before)
    if definition is None:
        with pytest.raises(DefinitionError) as caught:
            accepted(document, activities)
        assert list(caught.value.problems) == problems
    else:
        again = accepted(json.loads(msgspec.json.encode(definition)), activities)
        assert again.definition == definition


@given(DOCUMENTS, st.none() | st.lists(WORDS, max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_document_is_a_flow_or_has_problems_with_places(document, activities):
    check_answer(document, activities)


def places(value: object) -> list[tuple[object, object]]:
    """Every place of a document, as the container and the key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[object, object]] = []
    for key, item in items:
        found.append((value, key))
        if isinstance(item, (dict, list)):
            found += places(item)
    return found


@st.composite
def mutated_flows(draw):
    document = copy.deepcopy(draw(st.sampled_from([README, flow("a", "b", "c", "d")])))
    _, wrap = WRAPPINGS[draw(st.sampled_from(sorted(WRAPPINGS)))]
    document = {"document": wrap(document)}
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(places(document)))
        action = draw(st.sampled_from(["replace", "replace", "delete", "rename", "repeat"]))
        if action == "delete" and key != "document":
            del container[key]
        elif action == "rename" and isinstance(container, dict) and key != "document":
            container[draw(KEYS)] = container.pop(key)
        elif action == "repeat" and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        else:
            container[key] = draw(DOCUMENTS)
    return document["document"]


@given(mutated_flows(), st.none() | st.just(["task1", "task2", "task3", "a", "b", "c"]))
@settings(max_examples=200, deadline=None)
def test_a_damaged_flow_is_a_flow_or_has_problems_with_places(document, activities):
    check_answer(document, activities)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_cycles_are_found_exactly_where_a_naive_search_finds_them(data):
    names = "abcde"
    target = st.sampled_from([*names, "end"])
    pairs = st.tuples(st.sampled_from(names), target, target)
    conditions = [go(*three) for three in data.draw(st.lists(pairs, max_size=6))]

    def leads_back(path: list[str]) -> bool:
        targets = {
            condition[field]
            for condition in conditions
            if condition["source_task"] == path[-1]
            for field in ("target_task_success", "target_task_failure")
        }
        return any(t in path or leads_back([*path, t]) for t in targets - {"end"})

    _, problems, _ = look(flow(*names, conditions=conditions))
    expected = ["cycle"] if leads_back(["a"]) else []
    assert [problem.code for problem in problems] == expected
