"""Lines that many processes leave in one file, also those that are killed while they do.

Each is handed to the kernel at once. Where it goes over the end of a page of the file, that writes
it in two parts, and a process that is killed between them leaves the first one.
"""

from __future__ import annotations

import os
from pathlib import Path

END = "."
"""The last word of a line that was written whole. Each begins with its line break, so that a part
of another one before it is a line of its own."""


def leave_line(descriptor: int, *words: object) -> None:
    """Write a line to a file that is open for appending."""
    os.write(descriptor, ("\n" + " ".join(map(str, [*words, END]))).encode())


def whole_lines(path: Path) -> list[list[str]]:
    """Return the words of each line that was written whole; none if there is no file."""
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [words[:-1] for words in lines if words and words[-1] == END]
