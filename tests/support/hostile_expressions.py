"""Expressions that mean harm, and contexts of one mebibyte that help them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

MEBIBYTE: Final = 1_048_576


def _nested(opening: str, inner: str, closing: str, count: int) -> str:
    return opening * count + inner + closing * count


def _chained(count: int) -> str:
    return "[context.text]" + ".map(x, x + x)" * count


def _grown(count: int) -> str:
    return "context.list" + ".map(x, [x, x, x, x])" * count


HOSTILE: Final = (
    # Depth.
    *(_nested("(", "1", ")", count) for count in (20, 100, 2_000)),
    *(_nested("[", "1", "]", count) for count in (20, 100, 2_000)),
    *(_nested("{'a':", "1", "}", count) for count in (20, 500)),
    *(_nested("dyn(", "1", ")", count) for count in (20, 500)),
    *("true ? 1 : " * count + "1" for count in (20, 300)),
    *("!" * count + "true" for count in (4_000,)),
    *("-" * count + "context.int" for count in (4_000,)),
    "- " * 2_000 + "1",
    "(" * 4_096,
    "[" * 4_096,
    "{" * 4_096,
    "((((" + ")" * 1_000,
    # Length.
    "1" + "+1" * 2_000,
    "1" + "*9" * 2_000,
    "true" + "&&true" * 600,
    "true" + "||context.gone" * 290,
    "context" + ".a" * 2_000,
    "context" + "[0]" * 1_300,
    "'a'" + ".trim()" * 580,
    "context.text" + ".trim()" * 570,
    "context.text" + ".lowerAscii()" * 300,
    "1" * 4_096,
    "0x" + "f" * 4_000,
    "1." + "1" * 4_000,
    "1e" + "9" * 4_000,
    "'" + "\\" * 4_001 + "'",
    "'" + "\\u0041" * 680 + "'",
    "'" * 4_096,
    '"' * 4_095,
    "//" * 2_048,
    "[" + "1," * 2_000 + "]",
    "{" + "'a':1," * 680 + "}",
    "size(" + "context.text+" * 300 + "'')",
    # Sizes that multiply.
    *(_chained(count) for count in (3, 20, 280)),
    *(_grown(count) for count in (2, 8, 190)),
    "[context.list.map(x, context)]",
    "context.list.map(x, context.list)",
    "context.list.map(x, context.text)",
    "context.list.map(x, context.text + 'a')",
    "context.list.map(x, [context, context, context])",
    "context.list + context.list + context.list + context.list",
    "context.list.map(x, context.list + context.list)",
    "[" + "context," * 500 + "context]",
    "{'a': context, 'b': {'c': context, 'd': context}}",
    "context.list" + " + context.list" * 270,
    "context.text" + " + context.text" * 270,
    "[[context.text].map(x, x+x+x+x+x+x+x+x)[0]].map(y, y+y+y+y+y+y+y+y)[0]",
    "context.text.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaa')",
    "context.text.replace('', context.text)",
    "'aaaaaaaaaaaaaaaaaaaa'" + ".replace('a', 'aaaaaaaaaa')" * 140,
    "context.text.split('')",
    "context.text.split('').map(x, context.text)",
    "context.text.split('a').join(context.text)",
    "context.text.split('').join(context.text)",
    "context.list.map(x, 'a').join(context.text)",
    "context.text.split('') == context.text.split('')",
    # Work for each item.
    "context.list.map(x, context.list.map(y, x))",
    "context.list.all(x, context.list.exists(y, x == y))",
    "context.list.filter(x, [1, 2].all(y, y == x))",
    "context.list.map(x, [x].map(y, [y].map(z, z)))",
    "context.list.all(x, x in context.list)",
    "context.list.exists(x, -5 in context.list)",
    "context.list.exists(x, 'no' in context.list)",
    "context.list.exists(x, null in context.list)",
    "context.list.all(x, context.list == context.list)",
    "context.list.all(x, context == context)",
    "context.list.all(x, context.text == context.same)",
    "context.list.all(x, context.text <= context.same)",
    "context.list.all(x, context.text.startsWith(context.same))",
    "context.list.all(x, context.text.endsWith(context.same))",
    "context.list.all(x, !context.text.contains('aab'))",
    "context.list.all(x, !(context.text in [context.other, context.other]))",
    "context.list.map(x, context.text).all(t, t == context.same)",
    "context.same in context.list.map(x, context.text + 'b')",
    "context.list.map(x, context.text.upperAscii())",
    "context.list.map(x, size(context.text.split('')))",
    "context.list.all(x, context.gone)",
    "context.list.exists(x, x.a.b.c > 1)",
    "context.list.all(x, " + "x == x && " * 300 + "true)",
    "context.list.map(x, " + "x == x ? 1 : " * 20 + "1)",
    "context.list.all(x, string(x) != 'no')",
    "context.objects.filter(o, o.id >= 0).filter(o, o.id >= 0).filter(o, o.id >= 0)",
    "context.objects.map(o, {'id': o.id, 'o': o, 'c': context})",
    "context.map(k, context[k])",
    "context.list.exists_one(x, true)",
    # Patterns.
    "context.text.matches('(a+)+$')",
    "context.short.matches('(a+)+b')",
    "context.short.matches('(a|a)*b')",
    "context.short.matches('(a|aa)+$')",
    "context.short.matches('(.*)*.*=.*')",
    "context.short.matches('^(([a-z])+.)+[A-Z]([a-z])+$')",
    "context.short.matches('(a{1,100}){1,100}b')",
    "context.short.matches('((a{0,20}){0,20}){0,20}b')",
    "context.short.matches('(a?){60}a{60}b')",
    "context.short.matches('(.*a){20}b')",
    r"context.short.matches('(\\w{1,20}){1,20}b')",
    r"context.short.matches('\\pL{500}')",
    "context.short.matches('[^b]*a[^b]{60}c')",
    "context.short.matches('a.{100}b')",
    "context.short.matches('(a|b)*a(a|b){12}c')",
    r"context.short.matches('(?=a)\\1')",
    "context.short.matches('" + "(a*)*" * 40 + "b')",
    "context.short.matches('" + "(" * 250 + "')",
    "context.list.all(x, !context.short.matches('(a|b)*a(a|b){12}c'))",
    "context.objects.all(o, context.short.matches('a'))",
    "context.short.matches(context.short)",
    # Conversions, and numbers without end.
    "int(context.text)",
    "double(context.text)",
    "double('" + "1" * 4_000 + "')",
    "int('" + "1" * 4_000 + "')",
    "string(context.huge)",
    "context.huge * context.huge",
    "context.huge % 7",
    "double(context.huge)",
    "context.huge == 1.5",
    "-context.huge",
    "9223372036854775807 * 9223372036854775807",
    "(-9223372036854775807 - 1) / -1",
    "(-9223372036854775807 - 1) % -1",
    "1.0 / 0.0 - 1.0 / 0.0",
    "1e308 * 1e308",
    "context.list[9223372036854775807]",
    "context.list[-1]",
    # Ways out of the language.
    "context.__class__.__mro__",
    "__import__('os').system('true')",
    "context.list.__len__()",
    "''.format(context)",
    "'{0.__class__}'.format(1)",
    "[].sort()",
    "lists.range(1000000000)",
    "context.list.map(context, context)",
    "[1, 2].map(x, x, x, x)",
    "cel.bind(x, context, x)",
    "'\\x00' + '\\U0010ffff'",
    "'\ud800'",
    "\x00",
    "conte\u0445t.a",
    "`context`",
    "b'\\xff'",
    "has(has(context.a))",
    "context.?a",
    "1 ? 2 : 3 ? 4",
    "0x",
    "1.e",
)
"""More than a hundred of them. Each is refused, or ends within the bound."""


def contexts() -> dict[str, dict[str, Any]]:
    """Contexts of about one mebibyte, by what they have most of."""
    text = "a" * 300_000
    rest = {
        "int": 1,
        "short": "ab" * 8_192,
        "huge": 10**4_000,
        "objects": [],
        "other": "",
        "list": [],
    }
    return {
        "texts": {
            **rest,
            "text": text,
            "same": text[:-1] + "a",
            "other": text + "b",
            "list": [0] * 40_000,
        },
        "integers": _filled({**rest, "text": "a" * 10_000, "same": "a" * 10_000}, list(range(9))),
        "nothing": _filled({**rest, "text": "", "same": ""}, [None, True, {}, [], 0]),
        "objects": {
            **_filled({**rest, "text": "a", "same": "a"}, [{"a": {"b": {"c": 0}}}], MEBIBYTE // 2),
            "objects": [{"id": at, "name": f"n{at}", "tags": ["a"]} for at in range(10_000)],
        },
        "words": _filled({**rest, "text": "ab" * 32_000, "same": "ab" * 32_000}, ["a" * 1_000]),
    }


def _filled(context: dict[str, Any], items: list[Any], size: int = MEBIBYTE) -> dict[str, Any]:
    room = size - len(msgspec.json.encode(context))
    count = room // (len(msgspec.json.encode(items)) - 1) * len(items)
    # Items of their own: nothing is shared in what was read from JSON.
    copied = msgspec.json.decode(msgspec.json.encode((items * (count // len(items) + 1))[:count]))
    return {**context, "list": copied}
