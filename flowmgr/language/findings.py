"""What is found wrong with a document, and the words to say it in."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from flowmgr.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FINDINGS: Final = 100
"""How many findings are listed one by one; the rest is only counted."""

MAX_QUOTED: Final = 60
"""Characters of a user's text that a sentence repeats."""

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character: text that holds one cannot be written as UTF-8."""

_MAX_TOKEN = 256
_MAX_LISTED = 10
_COMPARED_CHARACTERS = 500_000  # pairs of them; below 0.2 s for the worst of names
_KINDS = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (dict, "an object"),
    ((list, tuple), "a list"),
)


class Findings:
    """Problems (or warnings), listed up to `MAX_FINDINGS` and counted beyond.

    Attributes:
        formula_size: characters of expressions that the document has had so far.
    """

    def __init__(self) -> None:
        self.formula_size = 0
        self._listed: list[Problem] = []
        self._unlisted = 0

    def __len__(self) -> int:
        return len(self._listed) + self._unlisted

    @property
    def is_full(self) -> bool:
        """Whether the next finding will only be counted, so that its hint need not be made."""
        return len(self._listed) >= MAX_FINDINGS

    def add(self, pointer: str, code: str, message: str, hint: str | None = None) -> None:
        """Note a finding."""
        if self.is_full:
            self._unlisted += 1
        else:
            self._listed.append(Problem(pointer, code, message, hint))

    def listed(self) -> list[Problem]:
        """The findings in the order they were made; when some were only counted, how many."""
        if not self._unlisted:
            return list(self._listed)
        message = f"{self._unlisted:,} more of these are not listed"
        hint = f"The first {MAX_FINDINGS} are listed; put them right and look again"
        return [*self._listed, Problem("", "more", message, hint)]


class Names:
    """The names of one kind that exist, to tell what a name that does not was meant to be.

    Comparing all wrong names with all right ones can take long, so that an instance has a budget
    for it; once it is spent, only differences of upper and lower case are found.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(dict.fromkeys(names))
        self._known = frozenset(self._names)
        self._folded = {name.casefold(): name for name in self._names}
        self._budget = _COMPARED_CHARACTERS

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def closest(self, name: str) -> str | None:
        """The name that *name* is most likely a misspelling of, if there is one."""
        folded = name.strip().casefold()
        if folded in self._folded:
            return self._folded[folded]
        similar: list[str] = []
        for known in self._folded:
            if 2 * abs(len(known) - len(folded)) <= len(folded):
                self._budget -= len(known) * len(folded)
                if self._budget < 0:
                    break
                similar.append(known)
        found = difflib.get_close_matches(folded, similar, n=1, cutoff=0.6)
        return self._folded[found[0]] if found else None

    def suggestion(self, name: str) -> str | None:
        """A question that names what *name* was likely meant to be."""
        closest = self.closest(name)
        if closest is None:
            return None
        if closest != name and closest.casefold() == name.casefold():
            return f"Did you mean {quote(closest)}? Upper and lower case differ"
        return f"Did you mean {quote(closest)}?"

    def listing(self) -> str:
        """The names for a hint, the first few of them."""
        shown = ", ".join(shorten(name) for name in self._names[:_MAX_LISTED])
        more = len(self._names) - _MAX_LISTED
        return f"{shown} and {more:,} more" if more > 0 else shown


def quote(text: str) -> str:
    """*text* in quotes for a sentence: short, on one line and printable."""
    return repr(shorten(text))


def shorten(text: str, most: int = MAX_QUOTED) -> str:
    """*text*, cut when it has more than *most* characters, too many for a sentence."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def capitalised(subject: str) -> str:
    """*subject* for the beginning of a sentence."""
    return subject[:1].upper() + subject[1:]


def kind_of(value: object) -> str:
    """What *value* is, in the words of JSON: "a number", "an object", "null"."""
    if value is None:
        return "null"
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    return f"a Python {type(value).__name__}"


def join(pointer: str, *tokens: str | int) -> str:
    """The JSON Pointer that leads from *pointer* on to *tokens*.

    It ends at the object before a key that is too long to repeat or cannot be written as UTF-8.
    """
    for token in tokens:
        text = str(token)
        if len(text) > _MAX_TOKEN or SURROGATE.search(text):
            break
        pointer = f"{pointer}/{text.replace('~', '~0').replace('/', '~1')}"
    return pointer
