"""JSON Schemas: which ones are refused, and what is said of values."""

from __future__ import annotations

import pytest

from flowmgr.language.schemas import MAX_PROBLEMS, SchemaError, check_schema, compile_schema


def doubling(count):
    definitions = {
        f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}, {"$ref": f"#/$defs/d{at + 1}"}]}
        for at in range(count)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{count}": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("document", "pointer", "sentence"),
    [
        (5, "", "is an object, or true or false, not a number"),
        ({"type": "strin"}, "/type", "not valid"),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum", "number"),
        ({"$ref": "http://localhost/x"}, "/$ref", "nothing else is read"),
        ({"$ref": "file:///etc/passwd"}, "/$ref", "nothing else is read"),
        ({"items": {"$ref": "other.json"}}, "/items/$ref", "nothing else is read"),
        ({"$defs": {"a": {"$ref": "http://localhost/x"}}}, "/$defs/a/$ref", "nothing else is read"),
        ({"$ref": "#/$defs/gone"}, "/$ref", "There is nothing at"),
        ({"$schema": "http://localhost/x"}, "", "meta-schema"),
        ({"$dynamicRef": "#a"}, "/$dynamicRef", "cannot be used"),
        ({"items": {"$id": "http://localhost/x"}}, "/items/$id", "Only the whole schema"),
        ({"pattern": "(?=a)b"}, "/pattern", "regex"),
        ({"pattern": r"(a)\1"}, "/pattern", "regex"),
        ({"pattern": "(a{1000}){1000}"}, "/pattern", "regex"),
        (
            {"patternProperties": {"(a{999}){999}": True}},
            "/patternProperties/(a{999}){999}",
            "regex",
        ),
        ({"allOf": [True], "$ref": "#/allOf/" + "9" * 5_000}, "/$ref", "There is nothing at"),
        ({"allOf": [True], "$ref": "#/allOf/1"}, "/$ref", "There is nothing at"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "/$schema", "Draft 4"),
        (doubling(30), "", "ways through its parts"),
        ({"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "/items", "in more than one way"),
        ({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}, "", "in more than one way"),
        ({"description": "a" * 70_000}, "", "are allowed"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(document, pointer, sentence):
    with pytest.raises(SchemaError) as caught:
        check_schema(document)
    assert caught.value.pointer == pointer
    assert sentence in caught.value.message


def test_a_tree_is_checked_to_its_leaves():
    tree = {
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"type": "integer"}},
    }
    schema = compile_schema(tree)
    assert schema.problems({"left": {"value": 1}, "right": {"left": {}}}) == []
    [(pointer, sentence)] = schema.problems({"left": {"right": {"value": "x"}}})
    assert pointer == "/left/right/value"
    assert "integer" in sentence


def test_keys_that_only_look_like_references_are_data():
    schema = compile_schema({"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "x"}]})
    assert schema.problems({"$ref": "x"}) == []


def test_definitions_with_long_names_are_kept_apart():
    names = ["a" * 300 + "1", "a" * 300 + "2"]
    document = {
        "$defs": {names[0]: {"type": "string"}, names[1]: {"$ref": "http://localhost/x"}},
        "$ref": f"#/$defs/{names[0]}",
    }
    with pytest.raises(SchemaError):
        check_schema(document)


def test_problems_are_all_told_up_to_a_bound():
    schema = compile_schema({"items": {"type": "string"}, "maxItems": 1})
    assert len(schema.problems([1, 2, 3])) == 4
    assert len(schema.problems([1] * 1_000)) == MAX_PROBLEMS


def test_of_a_large_value_the_first_problem_is_told():
    [(pointer, sentence)] = compile_schema({"items": {"type": "string"}}).problems([0] * 500_000)
    assert pointer == "/0"
    assert "string" in sentence


def test_a_sentence_is_not_as_long_as_the_value():
    [(_, sentence)] = compile_schema({"maxItems": 1}).problems(["a" * 1_000] * 3)
    assert len(sentence) <= 300


def test_a_pattern_does_not_backtrack():
    [problem] = compile_schema({"pattern": "^(a+)+$"}).problems("a" * 100_000 + "b")
    assert problem[0] == ""


def test_true_accepts_and_false_refuses():
    assert compile_schema(True).problems(1) == []
    assert len(compile_schema(False).problems(1)) == 1


@pytest.mark.parametrize("applicator", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems"])
def test_what_is_checked_again_and_again_to_know_what_is_evaluated_is_refused(applicator, keyword):
    def nested(depth):
        schema = {"properties": {"a": True}}
        for _ in range(depth):
            schema = {applicator: [schema], keyword: False}
        return schema

    check_schema(nested(5))
    with pytest.raises(SchemaError, match="ways through its parts"):
        check_schema(nested(12))


def test_many_properties_are_not_many_ways():
    properties = {f"p{at}": {"properties": {"a": {"type": "integer"}}} for at in range(1_000)}
    schema = compile_schema({"items": {"properties": properties, "unevaluatedProperties": False}})
    assert schema.problems([{"p1": {"a": 1}}] * 100_000) == []


@pytest.mark.parametrize(
    "document", [{"$schema": "http://json-schema.org/draft-04/schema#"}, doubling(13)]
)
def test_what_was_registered_when_less_was_asked_of_it_goes_on_being_compiled(document):
    with pytest.raises(SchemaError):
        check_schema(document)
    assert compile_schema(document).problems(5) == []


def test_a_large_value_is_not_checked_along_thousands_of_ways():
    schema = compile_schema(
        {"items": {"allOf": [{"$ref": "#/$defs/i"}] * 3_000}, "$defs": {"i": {}}}
    )
    assert schema.problems([0] * 10_000) == []
    [(pointer, sentence)] = schema.problems([0] * 500_000)
    assert pointer == ""
    assert "simplify the schema" in sentence
