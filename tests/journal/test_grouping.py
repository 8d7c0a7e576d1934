"""How much work goes into one transaction: half of those who wait, all if the disk is slow."""

import pytest

from flowmgr.journal.sqlite.grouping import MAX_GROUP, SLOW, Grouping

FAST = 0.0003
"""Seconds of a commit on a disk like those of today's servers."""


def committed(grouping, waiting, seconds):
    """Have a group taken of those who wait, and committed; return its size."""
    size = grouping.size(waiting)
    assert 1 <= size <= waiting
    grouping.committed(size, seconds)
    return size


@pytest.mark.parametrize("many", [8, 100, 500])
def test_those_who_all_wait_together_are_served_in_two_halves_from_then_on(many):
    grouping = Grouping()
    grouping.had_nothing()
    sizes, waiting, away = [], many, 0
    for _ in range(6):  # while one group is committed, those of the one before come back
        size = committed(grouping, waiting, FAST)
        sizes.append(size)
        waiting, away = waiting - size + away, size
    assert sizes == [many // 2] * 6


def test_a_group_never_has_more_than_what_waits():
    grouping = Grouping()
    committed(grouping, 100, FAST)  # 50 are answered and may be back, but are not yet
    assert committed(grouping, 1, FAST) == 1


def test_who_is_alone_is_served_alone():
    grouping = Grouping()
    for _ in range(3):
        grouping.had_nothing()
        assert committed(grouping, 1, FAST) == 1


@pytest.mark.parametrize("seconds", [0.0045, 0.05])
def test_a_slow_disk_has_all_wait_together(seconds):
    grouping = Grouping()
    assert committed(grouping, 100, seconds) == 50
    for _ in range(3):
        grouping.had_nothing()
        assert committed(grouping, 100, seconds) == 100


def test_a_disk_that_was_slow_once_is_fast_again():
    grouping = Grouping()
    grouping.committed(1, 1.0)
    assert committed(grouping, 100, FAST) == 100
    grouping.had_nothing()
    assert committed(grouping, 100, FAST) == 50


def test_a_small_group_that_took_as_long_as_any_says_nothing_of_a_slow_disk():
    grouping = Grouping()
    grouping.committed(2, 10 * FAST)
    assert committed(grouping, 98, FAST) == 50


@pytest.mark.parametrize("seconds", [0.0, SLOW * 10, 1000.0])
@pytest.mark.parametrize("waiting", [1, 2, 3, 10_000])
def test_a_group_has_somebody_in_it_and_a_bound(waiting, seconds):
    grouping = Grouping()
    grouping.committed(MAX_GROUP, seconds)
    assert 1 <= grouping.size(waiting) <= MAX_GROUP
    grouping.had_nothing()
    assert 1 <= grouping.size(waiting) <= MAX_GROUP
