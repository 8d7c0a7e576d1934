"""Files that have documents: JSON, or YAML if they are named so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from flowmgr.language.documents import parse_json
from flowmgr.language.yaml_documents import parse_yaml

YAML_SUFFIXES: Final = (".yaml", ".yml")
SUFFIXES: Final = (".json", *YAML_SUFFIXES)


def parse_file(path: Path) -> Any:
    """Return what is in a file.

    Raises:
        DocumentError: it is not JSON, or not YAML, or cannot be read exactly.
        OSError: the file cannot be read.
    """
    parse = parse_yaml if path.suffix in YAML_SUFFIXES else parse_json
    return parse(path.read_bytes())
