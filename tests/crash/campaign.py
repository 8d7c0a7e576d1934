"""A campaign: one database, and many servers on it that are killed one after the other."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.crash.checker import Checker, Shown, Violation
from tests.crash.client import Address, Client
from tests.crash.effects import Effects
from tests.crash.flows import FLOWS
from tests.crash.ledger import Ledger
from tests.crash.load import Load
from tests.crash.points import CLOSING, RARE
from tests.crash.processes import KILLED, Servers
from tests.crash.rows import Database
from tests.crash.server import Order

LIFE = 0.12
"""Seconds that a server lives on average before it is killed at random."""

POINT_SECONDS = 1.5
"""Seconds after which a server is killed that has not come to its crash point."""

PATIENCE = 30.0
"""Seconds in which every execution has to end after the last restart."""

STOPPED = 0
UNPREPARED = -signal.SIGTERM
"""How a server ends that is told to stop; before it has come to handle signals, by that."""

HEALED = 0.1
"""Seconds of load on the last server."""


class Life(NamedTuple):
    """How a server is to end.

    Attributes:
        seconds: when it is killed, after its start.
        point: where it is to kill itself before; None for nowhere.
        hit: how often it comes there.
        stopped_after: seconds after which it is told to stop; None for never.
    """

    seconds: float
    point: str | None = None
    hit: int = 1
    stopped_after: float | None = None


def by_chance(chance: random.Random) -> Life:
    """Return a life of random length; some are so short that the server does not come to listen."""
    seconds = chance.uniform(0, 2 * LIFE)
    return Life(seconds, stopped_after=seconds * chance.random() if chance.random() < 0.1 else None)


def to_point(point: str, chance: random.Random) -> Life:
    """Return a life that ends at a crash point."""
    most = 2 if point in RARE else 40
    stopped_after = chance.uniform(0.05, LIFE) if point in CLOSING else None
    hit = 1 if point in CLOSING else chance.randint(1, most)
    return Life(POINT_SECONDS, point, hit, stopped_after)


class Report(msgspec.Struct):
    """What a campaign has come to.

    Attributes:
        kills: servers that were killed, by what killed them: a point, or "by chance".
        violations: promises that were broken.
        counts: what there was, to see that the campaign has not passed for want of anything.
    """

    kills: Counter[str] = msgspec.field(default_factory=Counter)
    violations: list[Violation] = []
    counts: Counter[str] = msgspec.field(default_factory=Counter)


class RefusedError(Exception):
    """A server has not started, or has ended by itself."""


class Campaign:
    """Runs servers on the database in a directory.

    Attributes:
        report: what has come of it.
    """

    def __init__(
        self,
        servers: Servers,
        directory: Path,
        backend: str,
        seed: int,
        *,
        mutant: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.report = Report()
        self.ledger = Ledger()
        self._servers = servers
        self._directory = directory
        self._order = Order(str(directory), backend, mutant=mutant, seed=seed)
        self._patience = patience
        self._address = Address()
        self._load = Load(self._address, self.ledger, seed)
        self._client = Client(self._address)
        self._marks = 0

    def run(self, lives: Sequence[Life]) -> Report:
        """Run a server for each of *lives*, one until all has ended, and check what is left."""
        try:
            self._register()
            self._load.begin()
            for life in lives:
                self._live(life)
            self._check(self._conclude())
        except (RefusedError, OSError, AssertionError) as error:
            self._violated("server", f"{type(error).__name__}: {error}")
        finally:
            self._load.stopping.set()
            self._address.close()
            self._load.stop()
            self._client.close()
        return self.report

    def _violated(self, rule: str, text: str) -> None:
        self.report.violations.append(Violation(rule, "", text))

    # Lives.

    def _start(self, life: Life | None = None) -> Any:
        order = self._order
        if life is not None and life.point is not None:
            order = msgspec.structs.replace(order, point=life.point, hit=life.hit)
        return self._servers.start(order)

    def _register(self) -> None:
        """Start once, register the flows, and kill."""
        server = self._start()
        self._listen(server)
        for flow in FLOWS.values():
            answer = self._client.ask("POST", "/flows", flow)
            assert answer.status == 201, answer
        self._client.close()
        server.kill()
        server.status()
        self.report.kills["by chance"] += 1

    def _listen(self, server: Any) -> None:
        port = server.port()
        if port is None:
            raise RefusedError(f"ended with {server.status()}: {self._last_words()}")
        self._address.move(port)

    def _live(self, life: Life) -> None:
        began = time.monotonic()
        server = self._start(life)
        if life.point is not None or life.seconds > LIFE / 2:
            port = server.port()
            if port is not None:
                self._address.move(port)

        def status_at(seconds: float) -> int | None:
            return server.status(max(0.0, began + seconds - time.monotonic()))

        if life.stopped_after is not None and status_at(life.stopped_after) is None:
            server.terminate()
        status = status_at(life.seconds)
        if status is None:
            server.kill()
            status = server.status()
        if status not in (
            {KILLED} if life.stopped_after is None else {KILLED, STOPPED, UNPREPARED}
        ):
            raise RefusedError(f"ended with {status}: {self._last_words()}")
        self._count(life, status)

    def _count(self, life: Life, status: int) -> None:
        marks = self._directory / "marks"
        reached = marks.read_text().splitlines()[self._marks :] if marks.exists() else []
        self._marks += len(reached)
        if reached:
            self.report.kills[reached[0]] += 1
        elif status == KILLED:
            self.report.kills["by chance"] += 1
            self.report.counts["points not reached"] += life.point is not None

    def _last_words(self) -> str:
        return (self._directory / "log").read_text()[-2000:]

    # The end.

    def _conclude(self) -> Shown:
        """Let a last server bring everything to its end, and return what it shows then."""
        server = self._start()
        self._listen(server)
        time.sleep(HEALED)
        self._load.stop()
        self._drain()
        shown = self._show()
        self._client.close()
        server.terminate()
        status = server.status(self._patience)
        if status != 0:
            server.kill()
            raise RefusedError(f"stopped with {status}: {self._last_words()}")
        return shown

    def _drain(self) -> None:
        """Wait until every execution has ended; have those go on that wait for somebody."""
        deadline = time.monotonic() + self._patience
        for status in ("running", "cancelling", "paused", "quarantined", "running", "cancelling"):
            while found := self._get(f"/executions?status={status}&limit=100")["items"]:
                if time.monotonic() > deadline:
                    self._violated("liveness", f"{len(found)} or more are {status} for ever")
                    return
                for item in found:
                    self._go_on(item["execution_id"], status)

    def _go_on(self, execution_id: str, status: str) -> None:
        if status in {"paused", "quarantined"}:
            self.report.counts[status] += 1
            self._client.ask("POST", f"/executions/{execution_id}/resume")
        self._client.ask("GET", f"/executions/{execution_id}?wait=0.5")

    def _get(self, path: str) -> Any:
        answer = self._client.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def _show(self) -> Shown:
        listed = list(self._list())
        views = {
            item["execution_id"]: self._get(f"/executions/{item['execution_id']}")
            for item in listed
        }
        return Shown(views, listed)

    def _list(self) -> Iterator[dict[str, Any]]:
        page = self._get("/executions?limit=1000")
        yield from page["items"]
        while page["next_cursor"] is not None:
            page = self._get(f"/executions?limit=1000&cursor={page['next_cursor']}")
            yield from page["items"]

    def _check(self, shown: Shown) -> None:
        report = self.report
        log = self._directory / "log"
        for sign in ("Traceback", "bug in flowmgr"):
            if sign in log.read_text():
                self._violated("log", log.read_text()[-3000:])

        def note(rule: str, where: str, text: str) -> None:
            report.violations.append(Violation(rule, where, text))

        effects = Effects(self._directory / "effects")
        checker = Checker(
            Database(self._directory / "flowmgr.db", note), effects, report.violations
        )
        checker.check(self.ledger, shown)
        histories = checker.histories.values()
        report.counts.update(
            executions=len(histories),
            acknowledged=len(self.ledger.acknowledged),
            interrupted=sum(history.interrupted for history in histories),
            effects=effects.count,
            checks=checker.checks,
        )
        report.counts.update(history.status for history in histories)
        report.counts.update(self.ledger.counts)
