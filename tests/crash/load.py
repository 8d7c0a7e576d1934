"""The load: clients that start executions, change them, and take down what they are told."""

from __future__ import annotations

import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tests.crash.client import Address, Answer, Client, LostError
from tests.crash.flows import ASK, FLOWS
from tests.crash.ledger import Change, Ledger

CLIENTS = 6
MINE = 8
"""Executions that a client remembers, to ask something of them."""

SHARED = 24
"""Keyed starts that all clients know, to send them again."""

REPEATS = 20
"""How often a client sends a keyed start whose answers are lost."""

WAIT = "wait=1"
ASYNC = "respond-async"

Start = tuple[str, str, str]
"""A keyed start: its tag, its flow's id, its key."""


class Load:
    """Several clients, each in a thread, until `stop`.

    Attributes:
        flows: the ids of the flows that they start.
        stopping: set when they are to stop.
    """

    def __init__(
        self, address: Address, ledger: Ledger, seed: int, flows: Sequence[str] = ()
    ) -> None:
        self.flows = tuple(flows) or tuple(FLOWS)
        self._lock = threading.Lock()
        self._shared: deque[Start] = deque(maxlen=SHARED)
        self.stopping = threading.Event()
        self._threads = [
            threading.Thread(target=Worker(number, self, address, ledger, seed).run, daemon=True)
            for number in range(CLIENTS)
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each client that has begun end what it does, and wait for that."""
        self.stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def share(self, start: Start) -> None:
        """Have all clients know a start."""
        with self._lock:
            self._shared.append(start)

    def any_shared(self, chance: random.Random) -> Start | None:
        """Return one that they know."""
        with self._lock:
            return chance.choice(self._shared) if self._shared else None


class Worker:
    """One client."""

    def __init__(
        self, number: int, load: Load, address: Address, ledger: Ledger, seed: int
    ) -> None:
        self._random = random.Random(f"{seed} {number}")
        self._load = load
        self._client = Client(address)
        self._ledger = ledger
        self._names = (f"c{number}-{count}" for count in itertools.count())
        self._mine: deque[str] = deque(maxlen=MINE)
        self._operations: dict[Callable[[], None], int] = {
            self._start_and_wait: 6,
            self._start: 5,
            self._start_with_key: 4,
            self._repeat: 3,
            self._start_and_cancel: 4,
            self._start_and_signal: 3,
            self._cancel: 1,
            self._look: 2,
            self._pause_and_resume: 2,
            self._retry: 1,
            self._delete: 1,
        }

    def run(self) -> None:
        operations, weights = list(self._operations), list(self._operations.values())
        try:
            while not self._load.stopping.is_set():
                [operation] = self._random.choices(operations, weights)
                try:
                    operation()
                except LostError:
                    if not self._client.reconnect():
                        return
        except Exception as error:  # whatever a client cannot make sense of is wrong
            self._ledger.is_wrong(f"{type(error).__name__}: {error}")
        finally:
            self._client.close()

    # Starting.

    def _start_and_wait(self) -> None:
        self._send_start(next(self._names), self._any_flow(), None, WAIT)

    def _start(self) -> None:
        self._send_start(next(self._names), self._any_flow(), None, ASYNC)

    def _start_with_key(self) -> None:
        """Start with a key, again and again until it is answered."""
        tag = next(self._names)
        start = (tag, self._any_flow(), f"key-{tag}")
        prefer = self._random.choice([WAIT, ASYNC])
        self._load.share(start)
        for _ in range(REPEATS):
            try:
                self._send_start(*start, prefer)
            except LostError:
                if not self._client.reconnect():
                    return
            else:
                return

    def _repeat(self) -> None:
        """Send a start again that some client has sent: it may be on its way still."""
        start = self._load.any_shared(self._random)
        if start is not None:
            self._send_start(*start, self._random.choice([WAIT, ASYNC]))

    def _send_start(self, tag: str, flow_id: str, key: str | None, prefer: str) -> str | None:
        self._ledger.sent(tag, flow_id, key)
        headers = {"Prefer": prefer} | ({} if key is None else {"Idempotency-Key": key})
        body = {"flow_id": flow_id, "context": {"tag": tag}, "metadata": {"tag": tag}}
        answer = self._ask("start", "POST", "/flows/execute", body, headers)
        if answer.status not in {200, 202}:
            return None
        self._ledger.started(tag, answer.body)
        execution_id: str = answer.body["execution_id"]
        if key is None:
            self._mine.append(execution_id)
        return execution_id

    def _any_flow(self) -> str:
        return self._random.choice(self._load.flows)

    # Looking.

    def _look(self) -> None:
        if self._random.random() < 0.3:
            self._ask("list", "GET", "/executions?limit=20")
        elif self._mine:
            answer = self._ask("show", "GET", f"/executions/{self._random.choice(self._mine)}")
            if answer.status == 200:
                self._ledger.saw(answer.body)

    # Changing. Only the client that has started an execution changes it.

    def _start_and_cancel(self) -> None:
        flow_id = self._random.choice(["three", "tidy", "once"])
        execution_id = self._send_start(next(self._names), flow_id, None, ASYNC)
        if execution_id is not None:
            if self._random.random() < 0.5:
                self._ask("show", "GET", f"/executions/{execution_id}?wait=0.005")
            self._change("cancel", execution_id, WAIT if self._random.random() < 0.5 else None)

    def _start_and_signal(self) -> None:
        """Answer a task that waits, or is about to, again and again until that is acknowledged."""
        execution_id = self._send_start(next(self._names), "asked", None, ASYNC)
        if execution_id is None:
            return
        key = next(self._names)
        path = f"/executions/{execution_id}/signals/{ASK}"
        for _ in range(REPEATS):
            status = None
            try:
                answer = self._ask("signal", "POST", path, key, {"Idempotency-Key": key})
                status = answer.status
            except LostError:
                if not self._client.reconnect():
                    return
            else:
                return
            finally:
                self._ledger.changed(execution_id, Change("signal", key, status))

    def _cancel(self) -> None:
        if self._mine:
            self._change("cancel", self._random.choice(self._mine), WAIT)

    def _pause_and_resume(self) -> None:
        execution_id = self._send_start(next(self._names), "six", None, ASYNC)
        if execution_id is None or not self._change("pause", execution_id):
            return
        if self._random.random() < 0.3:
            self._change("skip", execution_id)
        self._change("resume", execution_id, WAIT)

    def _retry(self) -> None:
        """Retry what has failed, as it will again, or is cancelled."""
        execution_id = self._send_start(next(self._names), "failing", None, WAIT)
        if execution_id is not None:
            how = self._random.choice(["retry", "skip", "retry"])
            self._change(how, execution_id, WAIT)

    def _delete(self) -> None:
        """Delete an execution that has ended, or is about to."""
        if not self._mine:
            return
        execution_id = self._mine.popleft()
        status = None
        try:
            status = self._ask("delete", "DELETE", f"/executions/{execution_id}").status
        finally:
            self._ledger.deleted(execution_id, status)

    def _change(self, kind: str, execution_id: str, prefer: str | None = None) -> bool:
        """Ask for a change, and return whether it was granted."""
        reason = next(self._names)
        headers = {} if prefer is None else {"Prefer": prefer}
        path = f"/executions/{execution_id}/{kind}"
        status = None
        try:
            answer = self._ask(kind, "POST", path, {"reason": reason}, headers)
            status = answer.status
        finally:
            self._ledger.changed(execution_id, Change(kind, reason, status))
        if status in {200, 202}:
            self._ledger.saw(answer.body)
        return status in {200, 202}

    def _ask(
        self,
        what: str,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        try:
            answer = self._client.ask(method, path, body, headers)
        except LostError:
            self._ledger.count(what, "lost")
            raise
        is_done = answer.status in {200, 202, 204}
        refusals = {503} if what in {"start", "list", "show"} else {503, 409}
        if is_done or answer.status in refusals:
            self._ledger.count(what, "ok" if is_done else "refused")
        else:
            self._ledger.is_wrong(f"{what}: {method} {path}: {answer.status} {answer.body}")
        return answer
