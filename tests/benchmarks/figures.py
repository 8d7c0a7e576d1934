"""What a benchmark returns, and how it is printed."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Literal

import msgspec

LIBRARIES = ("anyio", "trio", "uvloop", "litestar", "uvicorn", "httptools", "msgspec")


class Target(msgspec.Struct, frozen=True):
    """What a figure should be.

    Attributes:
        reach: it has to be this good; otherwise it is below its target.
        aim: it should be this good.
        of: which of the two numbers this is about: the ratio, or the value itself.
        better: which way is better.
    """

    reach: float
    aim: float | None = None
    of: Literal["ratio", "value"] = "ratio"
    better: Literal["more", "less"] = "more"

    def verdict(self, figure: Figure) -> str:
        """Return "ok", with a word on the aim, or "below"."""
        got = figure.ratio if self.of == "ratio" else figure.value
        if not self._is_met(got, self.reach):
            return "below"
        return "ok, aim met" if self.aim is not None and self._is_met(got, self.aim) else "ok"

    def _is_met(self, got: float, wanted: float) -> bool:
        return got >= wanted if self.better == "more" else got <= wanted

    def __str__(self) -> str:
        sign = "≥" if self.better == "more" else "≤"
        what = "" if self.of == "ratio" else " (value)"
        aim = "" if self.aim is None else f", aim {self.aim:g}"
        return f"{sign} {self.reach:g}{aim}{what}"


class Figure(msgspec.Struct, frozen=True):
    """One measured number, and what it is compared with.

    Attributes:
        backend: asyncio, uvloop or trio.
        name: what was measured.
        value: how much it was, in *unit*.
        unit: the unit.
        ratio: how that compares with the baseline; which way round is said in *baseline*.
        baseline: what is compared, as in "original / ours".
        target: what it should be; None if it is only for information.
        note: the baseline's own number, or whatever else one should know.
    """

    backend: str
    name: str
    value: float
    unit: str
    ratio: float
    baseline: str
    target: Target | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """ "ok", "below", or "info" for a figure without a target."""
        return "info" if self.target is None else self.target.verdict(self)

    def line(self) -> str:
        """Return the figure as a line of the table."""
        cells = (
            self.backend,
            self.name,
            amount(self.value) + " " + self.unit,
            f"{self.ratio:.2f}",
            self.baseline,
            "" if self.target is None else str(self.target),
        )
        return _row(cells, self.verdict) + (f"  [{self.note}]" if self.note else "")


def amount(value: float) -> str:
    """Return *value* with three digits that count, in full above a thousand."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def heading() -> str:
    """Return the heading of the table."""
    cells = ("backend", "figure", "value", "ratio", "which is", "target")
    return _row(cells, "verdict")


def machine_line() -> str:
    """Return the processors, the Python and the libraries that the figures were made with."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} CPUs, {platform.machine()} {platform.system()}, {python}; {libraries}"


def _row(cells: tuple[str, ...], last: str) -> str:
    backend, name, value, ratio, baseline, target = cells
    columns = f"{backend:8}{name:42}{value:>16}{ratio:>9}  {baseline:29}{target:24}"
    return f"{columns}{last}"
