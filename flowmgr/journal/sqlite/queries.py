"""The SQL of the journal: named blocks in the files of `sql/`, none of it written in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def load_queries(file: str) -> Mapping[str, str]:
    """Return the blocks of a file by name; each begins behind a line ``-- name --``."""
    text = resources.files(__package__).joinpath("sql", file).read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {name: block.strip() for name, block in zip(parts[::2], parts[1::2], strict=True)}


def load_migrations() -> list[str]:
    """Return the migrations' SQL, in their order: the first makes version 1 of the database."""
    files = resources.files(__package__).joinpath("migrations").iterdir()
    scripts = sorted((file for file in files if file.name.endswith(".sql")), key=lambda f: f.name)
    return [file.read_text(encoding="utf-8") for file in scripts]


WRITE: Final = load_queries("write.sql")
READ: Final = load_queries("read.sql")
LIST: Final = load_queries("list.sql")


@cache
def insert_events(count: int) -> str:
    """Return the statement that inserts *count* rows of events: the same row, so often."""
    statement, row = WRITE["insert_event"].split("VALUES")
    return f"{statement}VALUES {', '.join([row] * count)}"
