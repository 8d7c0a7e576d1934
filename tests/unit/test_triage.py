"""What is suspected of ending the engine is recovered apart, in groups that are few and small."""

import itertools

import pytest

from flowmgr.journal.store import Unfinished
from flowmgr.triage import MAX_APART_FIRST, MAX_KILLS, SUSPECT, triage


def unfinished(count, recoveries, prefix="e"):
    return [Unfinished(f"{prefix}{number}", "running", recoveries) for number in range(count)]


@pytest.mark.parametrize("recoveries", range(SUSPECT))
def test_what_is_not_suspected_goes_on_together(recoveries):
    found = triage(unfinished(100, recoveries))
    assert (len(found.together), found.apart, found.killers) == (100, [], [])


def test_a_few_suspects_go_on_one_at_a_time():
    suspects = unfinished(MAX_APART_FIRST, SUSPECT)
    assert triage(suspects).apart == [[each.execution_id] for each in suspects]


@pytest.mark.parametrize(
    ("count", "groups"), [(11, 6), (100, 10), (101, 10), (2_000, 45), (10_000, 100)]
)
def test_many_suspects_go_on_in_as_many_groups_as_each_has_members_about(count, groups):
    suspects = unfinished(count, SUSPECT)
    apart = triage(suspects).apart
    assert len(apart) == groups
    assert max(map(len, apart)) <= groups + 1
    assert list(itertools.chain(*apart)) == [each.execution_id for each in suspects]


def test_what_was_suspected_once_more_goes_on_alone_and_first():
    again = unfinished(3, MAX_KILLS - 2, "again")
    apart = triage([*unfinished(100, SUSPECT), *again]).apart
    assert apart[:3] == [[each.execution_id] for each in again]
    assert {len(group) for group in apart[3:]} == {10}


def test_what_has_ended_the_engine_as_often_as_it_may_is_a_killer():
    killers = unfinished(3, MAX_KILLS - 1)
    found = triage(killers)
    assert (found.killers, found.apart, found.together) == (killers, [], [])
