"""The last resort: ends the process when something in it refuses to stop."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable

FLUSH_SECONDS = 0.1
"""How long the last words may take. Whoever refuses to stop may hold the lock of a stream."""

logger = logging.getLogger(__name__)


class Watchdog:
    """A thread that ends the process at a deadline, whatever the rest of the process is doing.

    Only code that holds the interpreter's lock without ever giving it back can stop the watchdog.
    It is never disarmed: at exit the interpreter still waits for threads, and one that does not end
    would otherwise keep the process for ever.

    Attributes:
        exit_code: what the process exits with if the watchdog ends it.
    """

    def __init__(self, what_still_runs: Callable[[], str]) -> None:
        self.exit_code = 0
        self._what_still_runs = what_still_runs
        # put() of a SimpleQueue may be interrupted by another put() of the same thread, so a signal
        # handler may call it. Events and locks would deadlock there, and so would starting a
        # thread: hence the thread exists before the signal does.
        self._deadlines: queue.SimpleQueue[float] = queue.SimpleQueue()
        threading.Thread(target=self._watch, name="flowmgr watchdog", daemon=True).start()

    def arm(self, deadline: float) -> None:
        """End the process at *deadline*, or earlier if an earlier deadline was given.

        May be called from a signal handler and from any thread.

        Args:
            deadline: an instant of `time.monotonic`.
        """
        self._deadlines.put(deadline)

    def _watch(self) -> None:
        earliest = self._deadlines.get()
        while (left := earliest - time.monotonic()) > 0:
            try:
                earliest = min(earliest, self._deadlines.get(timeout=left))
            except queue.Empty:
                break
        self._end_process()

    def _end_process(self) -> None:
        # A thread of its own, because logging and flushing can block on locks or on full pipes.
        last_words = threading.Thread(target=self._speak, name="flowmgr last words", daemon=True)
        last_words.start()
        last_words.join(FLUSH_SECONDS)
        os._exit(self.exit_code)

    def _speak(self) -> None:
        logger.error(
            "flowmgr is ended by force: still running in spite of the stop: %s",
            self._what_still_runs(),
        )
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


def waited_for_threads() -> list[str]:
    """Return the names of the threads that the interpreter would wait for at exit."""
    main = threading.main_thread()
    return [t.name for t in threading.enumerate() if not t.daemon and t is not main]
