"""``text.matches("pattern")``, in a time that the length of the text bounds.

The patterns are run by Rust's regex crate, which never backtracks. The package that brings it
compiles a pattern once, and within a bound of memory.
"""

from __future__ import annotations

import re
from typing import Final

import jsonschema_rs

from actors.expressions import ExpressionError
from flowmgr.language.cel.operators import type_name
from flowmgr.language.cel.run import Evaluate, Run

MAX_PATTERN: Final = 256
MAX_TEXT: Final = 16_384
PATTERN_BYTES: Final = 65_536

# The worst patterns that fit take 1.4 microseconds for each character.
_MATCH_STEPS: Final = 4
_CHARACTER_STEPS: Final = 4

# Both mean something else to that package, which reads patterns as JSON Schema has them.
_NAMED_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
_DOT_FLAG = re.compile(r"(?<!\\)(?:\\\\)*\(\?[a-zA-Z]*s[a-zA-Z]*[-:)]")

_OPTIONS: Final = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=1_048_576)


def check_pattern(pattern: str) -> str | None:
    """Return what is wrong with *pattern*, if anything."""
    if len(pattern) > MAX_PATTERN:
        return f"The pattern is longer than {MAX_PATTERN} characters"
    try:
        _compile(pattern)
    except ValueError:
        return (
            "The pattern is no regular expression, or one that takes too much memory; "
            "patterns have no look-around and no back references, and repeat little"
        )
    return None


def misunderstood(pattern: str) -> str | None:
    """Return what in *pattern*, which can be compiled, means something else than in CEL, if any."""
    named = _NAMED_CLASS.search(pattern)
    if named is not None:
        return f"Patterns have no class {named.group()}; write \\d, \\s, [A-Za-z] or \\p{{L}}"
    if _DOT_FLAG.search(pattern):
        return "Patterns have no flag s; write [\\s\\S] for any character, also for a line break"
    return None


def matcher(target: Evaluate, pattern: str) -> Evaluate:
    """Return what tells whether *pattern*, which has been checked, is found in a text."""
    is_valid = _compile(pattern).is_valid

    def evaluate(run: Run) -> bool:
        text = target(run)
        if type(text) is not str:
            raise ExpressionError(f"matches takes text, not {type_name(text)}")
        if len(text) > MAX_TEXT:
            raise ExpressionError(f"matches takes at most {MAX_TEXT:,} characters of text")
        run.spend(_MATCH_STEPS + _CHARACTER_STEPS * len(text))
        return is_valid(text)

    return evaluate


def _compile(pattern: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=_OPTIONS)
