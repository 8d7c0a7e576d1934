"""The reference lists all that expressions can do, and what it says that they come to is so."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest

from actors.expressions import ExpressionError
from flowmgr.language.cel import parser
from flowmgr.language.cel.functions import FUNCTIONS
from flowmgr.language.expressions import ExpressionSyntaxError, compile_expression
from tests.support.server_process import ROOT

SECTION = (
    (ROOT / "docs" / "language.md")
    .read_text()
    .partition("## Expressions\n")[2]
    .partition("\n## ")[0]
)
HAS, _, HAS_NOT = SECTION.partition("All that there is:")[2].partition("is refused here:")
VALUES = {
    "context": {"flow_id": "a"},
    "result": None,
    "error": None,
    "task": {"name": "t", "visit": 1, "attempt": 1},
    "execution": {"id": "e", "flow_id": "f", "flow_version": 1},
}
OPERATORS = {".", "[]", "?:", "!", *parser._LOGIC, *(o for rank in parser._RANKS for o in rank)}


class Row(NamedTuple):
    """A row of the table of what there is: its names, and an example of them."""

    names: list[str]
    example: str
    value: object


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in split]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def row(cell: str, example: str, value: str) -> Row:
    (value,), (example,) = quoted(value), quoted(example)
    names = re.match(r"(?:`\S+`[ ;]*)*", cell)
    assert names is not None
    return Row(quoted(names[0]), example, json.loads(value))


ROWS = [row(*each) for each in cells(HAS) if each[1] != "example"]
REFUSED = [
    example for each in cells(HAS_NOT) if each[1] != "example" for example in quoted(each[1])
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.example)
def test_an_example_comes_to_what_the_reference_says(row):
    value = compile_expression(row.example).evaluate(VALUES)
    # 1 and 1.0 are not the same here, nor are 1 and true.
    assert json.dumps(value) == json.dumps(row.value)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.example)
def test_the_example_uses_every_name_that_its_row_lists(row):
    for name in row.names:
        for part in name if name in {"[]", "?:"} else [name]:
            assert part in row.example


def test_the_reference_lists_all_operators_functions_and_macros_and_no_others():
    listed = {name for each in ROWS for name in each.names}
    assert listed == OPERATORS | {*FUNCTIONS, *parser.MACROS, "matches", "has"}


@pytest.mark.parametrize("example", REFUSED)
def test_what_the_reference_says_is_refused_is_refused(example):
    with pytest.raises((ExpressionSyntaxError, ExpressionError)):
        compile_expression(example).evaluate(VALUES)


def test_the_reference_names_what_is_missing():
    assert len(REFUSED) > 15
    for name in ("timestamp", "duration", "bool"):
        assert any(example.startswith(f"{name}(") for example in REFUSED)
