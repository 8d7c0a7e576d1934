"""Event loops that no task and no callback can end before the server."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

logger = logging.getLogger(__name__)


def loop_factory(name: Literal["asyncio", "uvloop"]) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes an event loop of the library *name* that goes on until its main task ends.

    asyncio and uvloop leave their loops with the SystemExit or KeyboardInterrupt of any task or
    callback, also of one that an activity has started in a task group of its own. Whoever waits
    for the task is told of it as of any error, so nothing is missing if the loop just goes on. So
    it does if somebody has called its `stop`, which is not theirs.
    """
    base: type[asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    if name == "uvloop":
        base = importlib.import_module("uvloop").Loop
    return type(base.__name__, (_GoesOn, base), {})


# As types see it, a loop; in fact the class behind it in the order of resolution is one.
class _GoesOn(asyncio.AbstractEventLoop if TYPE_CHECKING else object):  # type: ignore[misc]
    _main: asyncio.Future[Any] | None = None

    def run_until_complete(self, future: Any) -> Any:
        self._main = asyncio.ensure_future(future, loop=self)
        return super().run_until_complete(self._main)

    def run_forever(self) -> None:
        while True:
            try:
                super().run_forever()
                reason = "called stop()"
            except (SystemExit, KeyboardInterrupt) as error:
                if self._is_done():
                    raise
                reason = f"raised {error!r}"
            if self._is_done():
                return
            logger.warning("Something in the event loop %s; the server goes on", reason)

    def _is_done(self) -> bool:
        return self._main is None or self._main.done()
