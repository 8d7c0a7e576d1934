"""Random flows: the engine does what a naive interpreter of the same flow says."""

import zlib

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.harness import BACKENDS, check, shown
from tests.fuzz.story import random_story, stories

FLOWS = 80
FIRST = 5_000_000


@pytest.mark.parametrize("backend", BACKENDS)
@given(story=stories())
@settings(max_examples=FLOWS, suppress_health_check=list(HealthCheck))
def test_a_flow_comes_to_what_a_naive_interpreter_says(backend, story):
    problems, _ = check(story, backend)
    assert problems == [], shown(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_larger_flows_do_so_too(backend):
    offset = zlib.crc32(backend.encode()) % 1000  # other flows on each backend
    compared = 0
    for number in range(FIRST + offset, FIRST + offset + FLOWS):
        story = random_story(number)
        problems, is_compared = check(story, backend)
        compared += is_compared
        assert problems == [], shown(story)
    assert compared > FLOWS * 0.75
