"""Templates: what they leave alone, what they replace, and what they say is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.expressions import NAMES, ExpressionError, text_of
from flowmgr.language.templates import TemplateError, compile_template

VALUES = dict.fromkeys(NAMES) | {
    "context": {"n": 3, "text": "x", "map": {"a": [1]}, "braces": "${context.n}"},
}

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def json_values(texts):
    return st.recursive(
        PLAIN | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=20,
    )


def evaluate(template):
    return compile_template(template).evaluate(VALUES)


@given(json_values(TEXT.filter(lambda text: "${" not in text)))
def test_a_template_without_expressions_is_a_constant(value):
    template = compile_template(value)
    first, second = template.evaluate({}), template.evaluate({})
    assert first == second == value
    if isinstance(value, (list, dict)):
        assert first is not second


@given(json_values(TEXT | st.sampled_from(["${", "$${", "$$", "a${b}c"])))
def test_an_escaped_template_comes_to_what_was_escaped(value):
    def escaped(each):
        if isinstance(each, str):
            return each.replace("${", "$${")
        if isinstance(each, list):
            return [escaped(item) for item in each]
        return (
            {key: escaped(item) for key, item in each.items()} if isinstance(each, dict) else each
        )

    assert compile_template(escaped(value)).evaluate({}) == value


@given(json_values(TEXT))
def test_one_expression_alone_comes_to_the_value_itself(value):
    values = VALUES | {"context": {"value": value}}
    assert compile_template("${context.value}").evaluate(values) == value
    assert compile_template({"a": ["${ context.value }"]}).evaluate(values) == {"a": [value]}


@given(json_values(TEXT), TEXT.filter(lambda text: not text.endswith("$") and "${" not in text))
def test_an_expression_inside_of_text_comes_to_text(value, before):
    values = VALUES | {"context": {"value": value}}
    found = compile_template(before + ": ${context.value}!").evaluate(values)
    assert found == f"{before}: {text_of(value)}!"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${ {'a': '}'}.a }", "}"),
        ("${'}'}${\"}\"}", "}}"),
        ("${{'a': {'b': 1}}}", {"a": {"b": 1}}),
        ("${context.n}${context.n}", "33"),
        (" ${context.n}", " 3"),
        ("${context.braces}", "${context.n}"),
        ("$${context.n} is ${context.n}", "${context.n} is 3"),
        ("$5 and {}", "$5 and {}"),
        ("a ${context.map} ${null} ${true}", 'a {"a":[1]} null true'),
        ({"${context.n}": 1}, {"${context.n}": 1}),
        ("${'a' // until the end of the line }\n}", "a"),
    ],
)
def test_braces_and_quotes_belong_to_the_expression(template, value):
    assert evaluate(template) == value


def test_all_problems_are_told_with_their_places():
    with pytest.raises(TemplateError) as caught:
        compile_template({"a/b": ["ok", "${1 +}"], "c": {"d": "x ${contxt.a}"}, "e": "${ 'x"})
    assert [pointer for pointer, _ in caught.value.problems] == ["/a~1b/1", "/c/d", "/e"]
    assert "Did you mean 'context'" in caught.value.problems[1][1]


@pytest.mark.parametrize("template", ["${", "a ${context.n", "${}", "${ }", "${'}"])
def test_an_expression_that_does_not_end_is_refused(template):
    with pytest.raises(TemplateError):
        compile_template(template)


def test_an_expression_without_a_value_is_named():
    with pytest.raises(ExpressionError, match=r"'context\.gone': context has no 'gone'"):
        evaluate({"a": ["${context.gone}"]})


def test_the_source_is_the_template_as_json():
    assert compile_template({"a": "${context.n}"}).source == '{"a":"${context.n}"}'


def test_a_long_text_is_not_repeated_without_a_bound():
    values = VALUES | {"context": {"long": "a" * 1_000_000}}
    assert compile_template({"v": "${context.long}"}).evaluate(values)["v"] == "a" * 1_000_000
    with pytest.raises(ExpressionError, match="steps"):
        compile_template({"v": ["${context.long}"] * 1_000}).evaluate(values)
