"""Expressions and conditions: what they come to, and what is said of those that come to nothing."""

from __future__ import annotations

import random

import cel
import pytest

from actors.expressions import ExpressionError
from flowmgr.language.expressions import (
    MAX_SOURCE,
    ExpressionSyntaxError,
    compile_expression,
    compile_predicate,
)
from flowmgr.language.members import check_members
from tests.support.expressions import GeneratedExpressions

VALUES = {
    "context": {
        "order": {
            "id": "A-1",
            "total": 12.5,
            "lines": [{"sku": "x", "n": 2}, {"sku": "y", "n": 0}],
        },
        "n": 3,
        "flag": True,
        "nothing": None,
        "key with spaces": 1,
        "long": 2**80,
    },
    "result": [1, 2, 3],
    "error": None,
    "task": {"name": "charge", "visit": 1, "attempt": 2},
    "execution": {"id": "e1", "flow_id": "f", "flow_version": 1},
}


class Recorded(dict):
    """Values that note what they are asked for."""

    def __init__(self, values):
        super().__init__(values)
        self.asked = []

    def __getitem__(self, name):
        self.asked.append(name)
        return super().__getitem__(name)


def evaluate(source):
    return compile_expression(source).evaluate(VALUES)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("context.order.id", "A-1"),
        ("context['key with spaces'] + 1", 2),
        ("result[0] + size(result)", 4),
        ("has(context.order.gone) ? context.order.gone : 'none'", "none"),
        ("context.order.lines.filter(l, l.n > 0).map(l, l.sku)", ["x"]),
        ("context.order.lines.map(l, l.n > 0, l.sku)", ["x"]),
        ("context.order.lines.exists(l, l.sku == 'y')", True),
        ("context.order.lines.all(l, l.n > 0)", False),
        ("context.order.lines.exists_one(l, l.n == 0)", True),
        ("context.order.map(key, key)", ["id", "total", "lines"]),
        ("'n' in context && 2 in result && !('gone' in context)", True),
        ("context.gone == 1 || true", True),
        ("false && context.gone", False),
        ("[1, 'a'].exists(x, x > 1) || true", True),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 % -2", 1),
        ("- -3", 3),
        ("!!true", True),
        ("-9223372036854775808", -(2**63)),
        ("0xff", 255),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1 == 1.0", True),
        ("true == 1", False),
        ("[1, {'a': null}] == [1.0, {'a': null}]", True),
        ("'a' + \"b\" + '''c\nd'''", "abc\nd"),
        (r"r'\d' + '\u0041\x42\103\n'", "\\dABC\n"),
        ("'// no comment' // a comment", "// no comment"),
        ("{'a': [1, {'b': context.n}],}", {"a": [1, {"b": 3}]}),
        ("'A-1'.matches('^[A-Z]-[0-9]+$')", True),
        ("'a,b'.split(',').join('-').upperAscii().replace('-', '+')", "A+B"),
        ("int('12') + int(3.9)", 15),
        ("double('1.5') + double(1)", 2.5),
        ("string(1) + string(1.5) + string(true)", "11.5true"),
        ("type(context.order.total)", "double"),
        ("context.long", 2**80),
        ("error", None),
    ],
)
def test_an_expression_comes_to_its_value(source, value):
    found = evaluate(source)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("context.gone", "context has no 'gone'; guard it with has(context.gone)"),
        ("context.order['gone']", "guard it with 'gone' in context.order"),
        ("error.type", "error is null and has no 'type'"),
        ("result[3]", "result has 3 items and no index 3"),
        ("result['a']", "has no key of type string"),
        ("context.n + 1.5", "convert one of them"),
        ("context.n + 'a'", "convert with string(...)"),
        ("context.n ? 1 : 2", "needs a bool, not int"),
        ("context.n && true", "needs a bool, not int"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("9223372036854775807 + 1", "64 bits"),
        ("-9223372036854775807 - 2", "64 bits"),
        ("(-9223372036854775807 - 1) / -1", "64 bits"),
        ("context.long + 1", "64 bits"),
        ("1.0 / 0.0", "JSON has no such number"),
        ("{context.n: 1}", "keys of an object are text"),
        ("int('1.5')", "cannot convert '1.5'"),
        ("int(1e30)", "64 bits"),
        ("size(1)", "int has no size"),
        ("1 < 'a'", "is not possible"),
        ("1 in 'a'", "only lists and maps"),
        ("context.order.map(k, k).join(1)", "use list.join(separator)"),
        ("(1).map(x, x)", "cannot go through int"),
        ("[1].filter(x, x)", "has to be a bool"),
        ("has(context.n.a)", "has no fields"),
    ],
)
def test_an_expression_without_a_value_says_why(source, sentence):
    with pytest.raises(ExpressionError) as caught:
        evaluate(source)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("The expression ")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (None, "is a text, not null"),
        (" ", "is empty"),
        ("'" + "a" * MAX_SOURCE + "'", "4,096 are allowed"),
        ("1 +", "Expected a value, but it ends (at character 4)"),
        ("a = 1", "'=' has no meaning here; equality is written '=='"),
        ("context.fetch-users_result.a", 'as in context["fetch-users_result"]'),
        ("context.a - b", "There is no name 'b'. There are"),
        ("context.prüfen_result", 'written in brackets, as in context["my key"]'),
        ("context.`a b`", 'written in brackets, as in context["my key"]'),
        ("contxt.a", "Did you mean 'context'?"),
        ("sise(result)", "Did you mean 'size'?"),
        ("result.map(x, context.a.map(y, x))", "do not nest"),
        ("result.map(x, [x].all(y, true))", "do not nest"),
        ("result.map(result, 1)", "call the variable something else"),
        ("result.map(x, 1) + x", "There is no name 'x'"),
        ("map(x, 1)", "belongs to a list"),
        ("size", "is a function; call it"),
        ("size(1, 2)", "is used as size(value)"),
        ("'a'.int()", "is used as int(value)"),
        ("has(context)", "has() takes one path"),
        ("1u", "write 1"),
        ("b'a'", "Bytes are no JSON"),
        ("'a", "does not end"),
        ("'a\n'", "does not end"),
        (r"'\q'", "is no escape"),
        (r"'\ud800'", "no character of Unicode"),
        ("{1: 2}", "keys of an object are text"),
        ("9223372036854775808", "too large"),
        ("1e999", "too large"),
        ("Foo{a: 1}", "makes a message"),
        ("if", "write condition ? a : b"),
        ("'a'.matches(context.n)", "a pattern that is a constant"),
        ("'a'.matches('(?=a)')", "no look-around"),
        ("timestamp('2020-01-01T00:00:00Z')", "There is no function 'timestamp'"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused_with_the_way_out(source, sentence):
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(source)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "execution.statuss == 'failed'",
            "'execution' has no 'statuss'. Did you mean 'status'? (at character 10)",
        ),
        ("execution['eror']", "'execution' has no 'eror'. Did you mean 'error'?"),
        ("has(execution.flowid)", "'execution' has no 'flowid'. Did you mean 'flow_id'?"),
        ("execution.error.Type", "'execution.error' has no 'Type'. Did you mean 'type'?"),
        ("has(execution.error.at)", "There are type, message, data, task"),
        ("[1].map(x, x + task.retries)", "'task' has no 'retries'. There are name, visit, attempt"),
        (
            "error != null && error.code == 7",
            "'error' has no 'code'. There are type, message, data",
        ),
        ("'x'.matches('[[:alpha:]]')", "Patterns have no class [:alpha:]"),
        ("context.a.matches('^[^[:^digit:]_]$')", "Patterns have no class [:^digit:]"),
        ("'x'.matches('(?s)a.b')", "Patterns have no flag s"),
        ("'x'.matches('a(?is-m:.b)')", "Patterns have no flag s"),
    ],
)
def test_what_would_not_mean_what_it_says_is_refused_when_it_is_written(source, sentence):
    compile_expression(source)  # as one does that has been written before
    with pytest.raises(ExpressionSyntaxError) as caught:
        check_members(source)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "execution.status == 'failed' ? execution.error.task : execution.id",
        "execution[context.key]",
        "has(execution.error.data.code) && error.data.code == 7",
        "context.error.code + context.task.number + result.execution.statuss",
        "context.map(x, x.error.code)",
        "'error.code'",
        "'x'.matches('(?i)[a-z:]+(?i-s:.b)')",
        r"'x'.matches(r'\(?s\)?[:a]')",
    ],
)
def test_what_means_what_it_says_is_not(source):
    compile_expression(source)
    check_members(source)


def test_only_the_names_that_are_used_are_asked_for():
    values = Recorded(VALUES)
    compile_expression("true || context.a").evaluate(values)
    assert values.asked == []
    compile_expression("task.visit + 1").evaluate(values)
    assert values.asked == ["task"]


@pytest.mark.parametrize(
    "source", ["context", "[context][0]", "context.order.lines", "{'a': result}"]
)
def test_a_value_belongs_to_who_asked_for_it(source):
    before = repr(VALUES)
    pending = [evaluate(source)]
    while pending:
        value = pending.pop()
        if isinstance(value, (dict, list)):
            pending += value.values() if isinstance(value, dict) else value
            value.clear()
    assert repr(VALUES) == before


def test_a_condition_has_to_be_true_or_false():
    assert compile_predicate("context.n == 3").evaluate(VALUES) is True
    with pytest.raises(ExpressionError, match="is int, not a bool"):
        compile_predicate("context.n").evaluate(VALUES)


def test_whatever_the_values_do_is_an_expression_error():
    class Odd(dict):
        def __getitem__(self, name):
            raise ValueError("odd")

    with pytest.raises(ExpressionError, match="odd"):
        compile_expression("context.a").evaluate(Odd())


def outcome(evaluate):
    try:
        return evaluate()
    except Exception as error:
        return error


def is_known_difference(source, ours, theirs):
    """What the other CEL lacks: it is in the specification; and numbers that JSON does not have."""
    if isinstance(theirs, Exception):
        lacks_string_of_bool = "'string'" in str(theirs)
        absorbs_errors = ".exists(" in source or ".all(" in source
        return lacks_string_of_bool or absorbs_errors
    return "JSON has no such number" in str(ours)


def test_expressions_come_to_what_another_cel_says():
    """They have the same value, or both have none."""
    values = VALUES | {"context": {**VALUES["context"], "long": 2**40}}
    compared = 0
    for source in GeneratedExpressions(random.Random(20)).take(2_000):
        ours = outcome(lambda source=source: compile_expression(source).evaluate(values))
        theirs = outcome(lambda source=source: cel.evaluate(source, values))
        if isinstance(ours, Exception) and isinstance(theirs, Exception):
            continue
        if not is_known_difference(source, ours, theirs):
            assert (type(ours), ours) == (type(theirs), theirs), source
            compared += 1
    assert compared > 1_000
