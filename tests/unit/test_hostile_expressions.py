"""Whatever an expression is, and whatever it is about: it is refused, or it ends."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from random import Random

import pytest

from actors.expressions import NAMES, ExpressionError
from actors.values import ValueRefusedError
from flowmgr.language.cel.run import MAX_STEPS, Run
from flowmgr.language.expressions import ExpressionSyntaxError, compile_expression
from flowmgr.language.templates import TemplateError, compile_template
from tests.support.expressions import GeneratedExpressions
from tests.support.hostile_expressions import HOSTILE, contexts

CONTEXTS = contexts()
PATIENCE = 5


@contextmanager
def watchdog(what):
    """Ends what takes a hundred times as long as it may."""

    def bark(*_):
        pytest.fail(f"{what[:80]} did not end within {PATIENCE} s")

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def values_of(context):
    return dict.fromkeys(NAMES) | {"context": context, "result": context["list"]}


def end(source, values):
    with watchdog(source):
        try:
            compile_expression(source).evaluate(values)
        except (ExpressionSyntaxError, ExpressionError) as error:
            sentence = str(error)
        else:
            return
    assert len(sentence) < 600
    assert sentence.isprintable()


def test_there_are_a_hundred_hostile_expressions():
    assert len(set(HOSTILE)) >= 100


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_hostile_expression_is_refused_or_ends(name):
    for source in HOSTILE:
        end(source, values_of(CONTEXTS[name]))


@pytest.mark.parametrize("name", ["objects", "nothing"])
def test_a_generated_expression_is_refused_or_ends(name):
    for source in GeneratedExpressions(Random(20)).take(1_000):
        end(source, values_of(CONTEXTS[name]))


def test_a_text_that_is_no_expression_is_refused():
    random = Random(20)
    words = [
        "context",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        "\\",
        "map",
        "x",
        ",",
        "1",
        "?",
    ]
    words += [
        "!",
        "-",
        "&&",
        "in",
        ":",
        "//",
        "\n",
        "r'",
        "'''",
        "\ud800",
        "\x00",
        "é",
        "0x",
        "e",
        "$",
    ]
    for _ in range(5_000):
        end("".join(random.choices(words, k=random.randint(1, 30))), values_of({"list": []}))


def test_the_expressions_of_a_template_share_one_bound():
    values = values_of(CONTEXTS["texts"])
    with watchdog("the template"):
        template = compile_template(["${context}"] * 200)
        with pytest.raises(ExpressionError, match="more than 100,000 steps"):
            template.evaluate(values)
        template = compile_template("${context.text} " * 200)
        with pytest.raises(ExpressionError, match="more than 100,000 steps"):
            template.evaluate(values)


@pytest.mark.parametrize("source", [each for each in HOSTILE if "}" not in each][:60])
def test_a_hostile_expression_in_a_template_is_refused_or_ends(source):
    template = {"a": f"${{{source}}}"}
    with watchdog(source), suppress(TemplateError, ValueRefusedError, ExpressionError):
        compile_template(template).evaluate(values_of(CONTEXTS["objects"]))


@pytest.mark.parametrize(
    "source",
    [
        "context.list.all(x, x >= 0) || true",
        "context.list.all(x, x >= 0) ? false : false && context.list.all(x, x >= 0)",
    ],
)
def test_no_error_of_the_bound_is_absorbed(source):
    context = {"list": list(range(MAX_STEPS))}
    with pytest.raises(ExpressionError, match="steps"):
        compile_expression(source).evaluate(values_of(context))


def test_a_run_counts_down():
    run = Run({})
    run.spend(MAX_STEPS)
    with pytest.raises(ExpressionError):
        run.spend(1)
