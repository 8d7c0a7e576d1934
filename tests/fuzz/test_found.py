"""Flows that the engine did not run as the language says when it was first compared."""

import itertools

import pytest

from tests.fuzz.harness import BACKENDS, check

pytestmark = pytest.mark.parametrize("backend", BACKENDS)

OK = {"delay": 1, "lingers": 0, "returns": 1}
BAD = {"delay": 1, "lingers": 0, "raises": "Boom"}
RETRY = {"maximum_attempts": 2, "initial_interval": 100.25}


def act(name, at="", **fields):
    """A task that runs an activity of the script."""
    arguments = {
        "script": name,
        "at": at,
        "visit": "${task.visit}",
        "attempt": "${task.attempt}",
    }
    return {
        "name": name,
        "kind": "activity",
        "activity": "act",
        "arguments": arguments,
        **fields,
    }


def undo(name, at="~"):
    task = act(f"undo_{name}", at)
    return {"activity": "act", "arguments": task["arguments"]}


def body(*tasks, conditions=(), **fields):
    """Tasks one after the other as long as they succeed, or as the conditions say."""
    names = [task["name"] for task in tasks]
    chain = [
        {"source_task": source, "target_task_success": target}
        for source, target in itertools.pairwise(names)
    ]
    return {
        "start_task": names[0],
        "tasks": list(tasks),
        "conditions": list(conditions) or chain,
        **fields,
    }


def parallel(name, *branches, join="all", on_failure="cancel", **fields):
    named = {f"b{n}": branch for n, branch in enumerate(branches)}
    made = {"branches": named, "join": join, "on_failure": on_failure}
    return {"name": name, "kind": "parallel", **made, **fields}


def each(name, count, do, on_failure="cancel", **fields):
    made = {"items": list(range(count)), "as": f"i{name}", "do": do, "on_failure": on_failure}
    return {"name": name, "kind": "map", "tolerated_failures": 0, **made, **fields}


def run(name, flow_id, at=""):
    """A task that runs another flow."""
    arguments = {"at": f"{at}/{name}@${{task.visit}}.${{task.attempt}}"}
    return {"name": name, "kind": "flow", "flow": flow_id, "arguments": arguments}


def named(flow_id, flow):
    return {"id": flow_id, "name": flow_id, **flow}


def problems_of(backend, flow, script=None, flows=(), then=(), *, is_certain=True, **done):
    flow = named("story", flow)
    script = {name: steps if isinstance(steps, list) else [steps] for name, steps in script.items()}
    flows = {child["id"]: child for child in flows}
    story = {"flow": flow, "flows": flows, "context": {}, "script": script}
    problems, is_compared = check(story | {"done": done, "then": list(then)}, backend)
    assert is_compared or not is_certain
    return problems


def test_the_conditions_of_a_task_see_what_it_has_put_into_the_context(backend):
    flow = body(
        {"name": "t1", "kind": "set", "values": {"y": 2}},
        act("t2"),
        act("t3"),
        conditions=[
            {"source_task": "t1", "when": "context.y == 2", "target_task_success": "t2"},
            {"source_task": "t1", "target_task_success": "t3"},
        ],
    )
    assert problems_of(backend, flow, {"t2": OK, "t3": OK}) == []


def test_what_was_done_in_every_visit_of_a_parallel_task_is_compensated(backend):
    branch = body(act("t2", "/t1/b0", compensate=undo("t2", "~/t1/b0")))
    again = {"source_task": "t1", "target_task_success": "t1"}
    flow = body(parallel("t1", branch), conditions=[again], max_visits=2)
    assert problems_of(backend, flow, {"t2": OK, "undo_t2": OK}) == []


def test_a_task_is_compensated_if_what_follows_it_has_been_visited_too_often(backend):
    conditions = [
        {"source_task": "t1", "target_task_success": "t2"},
        {"source_task": "t2", "target_task_success": "t1", "target_task_failure": "t1"},
    ]
    begun = {"name": "t1", "kind": "set", "values": {"x": 1}}
    flow = body(begun, act("t2", compensate=undo("t2")), conditions=conditions)
    assert problems_of(backend, flow | {"max_visits": 2}, {"t2": [BAD, OK], "undo_t2": OK}) == []


def test_nothing_is_compensated_during_a_pause(backend):
    flow = body(act("t1", compensate=undo("t1")), act("t2"))
    script = {"t1": OK, "t2": BAD | {"delay": 10}, "undo_t1": OK}
    assert problems_of(backend, flow, script, pause=[5.25, 50.25]) == []


def test_the_tasks_of_finally_run_when_a_pause_is_over(backend):
    flow = body(act("t1")) | {"finally": body(act("t2", "~finally"), act("t3", "~finally"))}
    script = {"t1": OK | {"delay": 10}, "t2": OK, "t3": OK}
    assert problems_of(backend, flow, script, pause=[5.25, 50.25]) == []


def test_a_branch_that_was_stopped_during_its_back_off_goes_on_in_the_next_attempt(backend):
    soon = {"maximum_attempts": 2, "initial_interval": 2.75}
    branch = body(act("t2", "/t1/b0", retry=RETRY))
    flow = body(parallel("t1", branch, timeout=20.25, retry=soon))
    assert problems_of(backend, flow, {"t2": [BAD, OK]}) == []


def test_a_branch_that_has_lost_during_its_back_off_stays_lost_when_its_task_fails(backend):
    lost = body(act("t2", "/t1/b0", retry=RETRY))
    flow = body(
        parallel("t1", lost, body(act("t3", "/t1/b1"))),
        act("t4"),
        conditions=[
            {"source_task": "t1", "target_task_success": "t4", "target_task_failure": "t4"}
        ],
    )
    script = {"t2": BAD, "t3": BAD | {"delay": 20}, "t4": OK | {"delay": 200}}
    assert problems_of(backend, flow, script) == []


def test_what_backs_off_when_the_execution_is_cancelled_is_not_tried_during_its_end(backend):
    first = act("t2", "/t1/b0", compensate=undo("t2", "~/t1/b0"))
    flow = body(parallel("t1", body(first, act("t3", "/t1/b0", retry=RETRY))))
    script = {"t2": OK, "t3": BAD, "undo_t2": OK | {"delay": 150}}
    assert problems_of(backend, flow, script, cancel=30.25) == []


def test_a_wait_that_is_over_while_its_task_is_being_stopped_leads_nowhere(backend):
    waits = body(
        act("t2", "/t1/b0"), {"name": "t3", "kind": "wait", "seconds": 20.5}, act("t4", "/t1/b0")
    )
    slow = body(act("t5", "/t1/b1"))
    flow = body(parallel("t1", waits, slow, timeout=15.25))
    script = {"t2": OK, "t4": OK, "t5": OK | {"delay": 100, "lingers": 30}}
    assert problems_of(backend, flow, script) == []


def test_a_wait_that_is_over_while_the_flow_is_being_stopped_leads_nowhere(backend):
    waits = body(
        act("t2", "/t1/b0"), {"name": "t3", "kind": "wait", "seconds": 20.5}, act("t4", "/t1/b0")
    )
    flow = body(parallel("t1", waits, body(act("t5", "/t1/b1")))) | {"timeout": 15.25}
    script = {"t2": OK, "t4": OK, "t5": OK | {"delay": 100, "lingers": 30}}
    assert problems_of(backend, flow, script) == []


def test_no_more_items_run_at_once_in_a_further_attempt(backend):
    do = body(act("t2", "/t1/${context.it1}"))
    flow = body(each("t1", 4, do, tolerated_failures=1, max_concurrency=1, retry=RETRY))
    assert problems_of(backend, flow, {"t2": [BAD, BAD, OK]}) == []


def test_a_task_goes_on_whose_result_was_refused_although_all_its_scopes_have_succeeded(backend):
    fork = parallel("t2", body(act("t3", "/t1/b0/t2/b0")), output="result.nothing")
    flow = body(parallel("t1", body(act("t4", "/t1/b0"), fork), retry=RETRY))
    assert problems_of(backend, flow, {"t3": OK, "t4": OK}) == []


def test_a_map_in_finally_runs_all_its_items_although_the_execution_is_cancelled(backend):
    do = body(act("t3", "~finally/t2/${context.it2}"))
    flow = body(act("t1")) | {"finally": body(each("t2", 3, do, max_concurrency=1))}
    assert problems_of(backend, flow, {"t1": OK, "t3": OK | {"delay": 10}}, cancel=5.25) == []


def test_no_item_goes_on_during_a_pause_that_has_failed_in_the_attempt_before(backend):
    do = body(act("t2", "/t1/${context.it1}"))
    task = each("t1", 2, do, on_failure="wait", max_concurrency=1, retry=RETRY)
    script = {"t2": BAD | {"delay": 20}}
    assert problems_of(backend, body(task), script, pause=[150.25, 300.25]) == []


def test_a_flow_whose_time_is_over_when_it_is_resumed_has_failed_and_is_closed(backend):
    """The end does not begin in between: what runs is being stopped already."""
    task = {"name": "t2", "kind": "set", "values": {"x": 1}}
    flow = body(act("t1"), task) | {"timeout": 50.25, "finally": body(act("t3", "~finally"))}
    story = {
        "flow": {"id": "story", "name": "story", **flow},
        "flows": {},
        "context": {},
        "script": {"t1": [OK], "t3": [OK]},
        "done": {"pause": [0.25, 70.25], "crashes": [30.25]},
        "then": [],
    }
    problems, _ = check(story, backend)
    assert problems == []


def test_a_flow_runs_again_in_every_visit_of_the_task_around_it(backend):
    again = {"source_task": "t1", "target_task_success": "t1", "target_task_failure": "t1"}
    around = parallel("t1", body(run("t2", "f1", "/t1/b0")), body(act("t3", "/t1/b1")))
    flow = body(around, conditions=[again], max_visits=3)
    child = named("f1", body(act("t4", "${context.at}")))
    script = {"t3": BAD | {"delay": 9}, "t4": OK}
    assert problems_of(backend, flow, script, [child]) == []


def test_a_flow_that_a_join_stops_just_after_a_crash_is_told(backend):
    once = act("t3", "/t1/b1", at_most_once=True)
    flow = body(parallel("t1", body(run("t2", "f1", "/t1/b0")), body(once)))
    child = named("f1", body(act("t4", "${context.at}")))
    script = {"t3": OK | {"delay": 60}, "t4": OK | {"delay": 80}}
    done = {"crashes": [30.25]}
    assert problems_of(backend, flow, script, [child], is_certain=False, **done) == []


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_flow_is_told_whose_execution_is_cancelled_just_after_a_crash(backend, is_inside):
    task = parallel("t1", body(run("t2", "f1", "/t1/b0"))) if is_inside else run("t1", "f1")
    child = named("f1", body(act("t3", "${context.at}")))
    script = {"t3": OK | {"delay": 80, "lingers": 3}}
    done = {"crashes": [30.25], "cancel": 30.25}
    assert problems_of(backend, body(task), script, [child], is_certain=False, **done) == []


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_flow_that_is_being_cancelled_when_a_crash_comes_is_waited_for(backend, is_inside):
    task = parallel("t1", body(run("t2", "f1", "/t1/b0"))) if is_inside else run("t1", "f1")
    closing = body(act("t4", "${context.at}~finally"))
    child = named("f1", body(act("t3", "${context.at}")) | {"finally": closing})
    script = {"t3": OK | {"delay": 80}, "t4": OK | {"delay": 20}}
    done = {"crashes": [40.25], "cancel": 30.25}
    assert problems_of(backend, body(task), script, [child], is_certain=False, **done) == []


def test_a_flow_that_a_join_is_stopping_when_a_crash_comes_is_waited_for(backend):
    flow = body(
        parallel("t1", body(run("t2", "f1", "/t1/b0")), body(act("t5", "/t1/b1")), join="any")
    )
    closing = body(act("t4", "${context.at}~finally"))
    child = named("f1", body(act("t3", "${context.at}")) | {"finally": closing})
    script = {"t3": OK | {"delay": 80}, "t4": OK | {"delay": 30}, "t5": OK | {"delay": 30}}
    assert problems_of(backend, flow, script, [child], is_certain=False, crashes=[55.25]) == []


def test_no_task_is_skipped_that_was_stopped_because_the_time_of_a_paused_flow_is_over(backend):
    inner = parallel("t2", body(act("t3", "/t1/b0/t2/b0")))
    flow = body(act("t0", compensate=undo("t0")), parallel("t1", body(inner))) | {"timeout": 50.25}
    script = {"t0": OK, "undo_t0": OK, "t3": OK | {"delay": 80}}
    done = {"meddling": [[20.25, "pause", 0], [60.25, "skip", 0.5]]}
    assert problems_of(backend, flow, script, is_certain=False, **done) == []
