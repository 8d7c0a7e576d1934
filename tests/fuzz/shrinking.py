"""Makes a story smaller that has something wrong about it, for as long as that stays so."""

import copy
import functools
import json
import re

OPTIONAL = (
    "timeout",
    "finally",
    "max_visits",
    "retry",
    "deadline",
    "output",
    "compensate",
    "at_most_once",
    "max_concurrency",
    "when",
    "cancel",
    "crashes",
    "pause",
    "signals",
    "meddling",
    "done",
    "context",
    "x",
    "y",
)

LISTS = ("tasks", "conditions", "branches", "crashes", "flows", "signals", "meddling", "then")
NUMBERS = ("timeout", "deadline", "seconds", "cancel")


def shrink(story, is_wrong):
    """Return a smaller story that *is_wrong* still says True of; every step of it is tried.

    Args:
        story: the story.
        is_wrong: is given a story, which need not be valid, and must not raise.
    """
    has_shrunk = True
    while has_shrunk:
        has_shrunk = False
        for smaller in _smaller(story):
            if is_wrong(smaller):
                story, has_shrunk = smaller, True
                break
    used = json.dumps([story["flow"], story["flows"]])
    script = {name: steps for name, steps in story["script"].items() if f'"{name}"' in used}
    return story | {"script": script}


def _smaller(story):
    """Yield stories that are one step smaller, those that are much smaller first."""
    for path, value in list(_places(story)):
        for change in _changes(path, value):
            smaller = copy.deepcopy(story)
            change(smaller, path)
            _tidy(smaller)
            if smaller != story:
                yield smaller


def _places(value, path=()):
    """Yield every value of a story with where it is, those around others first."""
    yield path, value
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(inner, (*path, key))


def _changes(path, value):
    """Yield what makes a place smaller: functions of the story and the place."""
    key = path[-1] if path else None
    if isinstance(value, dict) and "start_task" in value and len(path) > 1:
        yield _hoist
    if _is_optional(path):
        yield _remove
    if key == "kind" and value in {"parallel", "map", "flow", "signal"}:
        yield _make_plain
    for simpler in _simpler_values(path, key, value):
        yield functools.partial(_put, value=simpler)


def _is_optional(path):
    if len(path) < 2:
        return False
    if path[0] == "script":
        return len(path) == 3
    return path[-2] in LISTS or (path[-1] in OPTIONAL and "values" not in path)


def _simpler_values(path, key, value):
    if key == "items" and value:
        yield value[:-1]
    elif key == "retry":
        yield {"maximum_attempts": 2, "initial_interval": 1.25}
    elif len(path) == 3 and path[0] == "script":
        yield {"delay": 1, "lingers": 0, "returns": 1}
        yield value | {"lingers": 0}
        yield value | {"delay": 1}
        yield value | {"delay": value["delay"] // 2 or 1}
    elif key in NUMBERS and value > 1:
        yield int(value) // 2 + value % 1


def _around(story, path):
    for key in path[:-1]:
        story = story[key]
    return story


def _put(story, path, *, value):
    _around(story, path)[path[-1]] = value


def _remove(story, path):
    del _around(story, path)[path[-1]]


def _hoist(story, path):
    """Have the flow be one of the bodies in it."""
    body = story
    for key in path:
        body = body[key]
    story["flow"] = {"conditions": [], **body, "id": "story", "name": "story"}
    items = re.findall(r"\{context\.(it\d+)\}", json.dumps(body))
    story["context"] |= dict.fromkeys(items, 0)  # those of the maps around it
    story["context"] |= {"at": ""} if "{context.at}" in json.dumps(body) else {}


def _make_plain(story, path):
    """Have a task set a value instead of opening scopes."""
    task = _around(story, path)
    name = task["name"]
    task.clear()
    task.update(name=name, kind="set", values={"x": 1})


def _tidy(value):
    """Leave out the conditions of tasks that are not there any more, or lead there to the end."""
    if isinstance(value, dict) and "tasks" in value:
        names = [task["name"] for task in value["tasks"]]
        if names and value["start_task"] not in names:
            value["start_task"] = names[0]
        kept = [each for each in value["conditions"] if each["source_task"] in names]
        for condition in kept:
            for field in ("target_task_success", "target_task_failure"):
                if field in condition and condition[field] not in names:
                    condition[field] = "end"
        value["conditions"] = kept
    for inner in list(value.values() if isinstance(value, dict) else value):
        if isinstance(inner, dict | list):
            _tidy(inner)
