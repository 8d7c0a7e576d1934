"""The header Prefer."""

from types import SimpleNamespace

import pytest

from web.problems import RequestError
from web.requests import Preference, preference


def preferred(*values):
    headers = [(b"prefer", value.encode()) for value in values]
    return preference(SimpleNamespace(scope={"headers": headers}))


@pytest.mark.parametrize("values", [["wait=5, wait=10"], ["wait=5", "wait=10"], ["wait=5, wait=x"]])
def test_of_several_waits_the_first_one_counts(values):
    assert preferred(*values) == Preference(wait=5.0)


def test_what_is_no_number_of_seconds_is_refused():
    with pytest.raises(RequestError, match="Prefer: wait is 'x'"):
        preferred("wait=x, wait=5")
