"""The three ways in which everything is measured, each in a process of its own."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]

BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
"""What `anyio.run` needs for each: its backend, and the options of that."""

PATIENCE = 300.0
"""Seconds that a child process may take before it is taken for one that hangs."""


def run(backend: str, function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run ``function(*args)`` on *backend* and return its result."""
    library, options = BACKENDS[backend]
    main = functools.partial(function, *args)
    return anyio.run(main, backend=library, backend_options=options)


def in_fresh_process(module: str, *args: str, result: type[T]) -> T:
    """Run ``python -m module args``, and return the JSON that it wrote as a *result*.

    What one measurement leaves behind (memory, caches, garbage) then disturbs no other one.

    Raises:
        RuntimeError: it exited with an error; the message has what it said.
    """
    command = [sys.executable, "-m", module, *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False)
    if done.returncode:
        msg = f"{' '.join(command[1:])} failed:\n{done.stderr.decode()}"
        raise RuntimeError(msg)
    return msgspec.json.decode(done.stdout, type=result)
