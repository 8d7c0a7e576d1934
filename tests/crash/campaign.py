"""A campaign: one database, and many servers on it that are killed one after the other."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flowmgr.journal.sqlite.tools import check as verify
from tests.crash.checker import Checker, Shown, Violation
from tests.crash.client import TIMEOUT, Address, Client, LostError, NoAnswerError
from tests.crash.effects import Effects
from tests.crash.flows import FLOWS
from tests.crash.ledger import Ledger
from tests.crash.lives import LIFE, POINT_SECONDS, Life
from tests.crash.load import Load
from tests.crash.points import FIRST
from tests.crash.processes import KILLED, Server
from tests.crash.report import Report
from tests.crash.rows import Database
from tests.crash.server import Order

TRIES = 3
"""How often a server is started again, if need be, to come to its crash point."""

PATIENCE = 30.0
"""Seconds in which every execution has to end after the last restart."""

STOPPED = 0
UNPREPARED = -signal.SIGTERM
"""How a server ends that is told to stop; before it has come to handle signals, by that."""

UNFINISHED = ("running", "cancelling", "paused", "quarantined")

LOOK_SECONDS = 0.005

DRAIN_SECONDS = 0.03

STOP_SECONDS = 10.0

SIGNS = ("Traceback", "bug in flowmgr", "damaged", "made again", "abandoned", "imported late")
"""What the log never says, however a server ends."""

ANSWERS = 30
"""What clients are told by the last server, before it may end what there is."""


class RefusedError(Exception):
    """A server has not started, or has ended by itself."""


class Campaign:
    """Runs servers on the database in a directory.

    Args:
        order: how they are started, but for the points at which they kill themselves.
        flows: the only ones that clients start; any if there are none.
        patience: seconds in which every execution has to end after the last restart.

    Attributes:
        report: what has come of it.
        ledger: what clients were told.
        client: a client of the server that runs, for the thread that runs the campaign.
    """

    def __init__(
        self,
        order: Order,
        *,
        flows: Sequence[str] = (),
        patience: float = PATIENCE,
    ) -> None:
        self.report = Report()
        self.ledger = Ledger()
        self._directory = Path(order.directory)
        self._order = order
        self._patience = patience
        self._address = Address(min(patience, TIMEOUT))
        self._load = Load(self._address, self.ledger, order.seed, flows)
        self.client = Client(self._address)
        self._marks = 0
        self._server: Server | None = None

    def run(self, lives: Sequence[Life]) -> Report:
        """Run a server for each of *lives*, one until all has ended, and check what is left."""
        try:
            for life in lives:
                if life.point in FIRST:
                    self._live(life)
            self._register()
            self._load.begin()
            for life in lives:
                if life.point not in FIRST and not self._live(life):
                    self._try_again(life)
            self.check(self.conclude())
        except NoAnswerError as error:
            self._violated("answer", f"there is none: {error}")
        except (RefusedError, LostError, AssertionError) as error:
            self._violated("server", f"{type(error).__name__}: {error}")
        finally:
            self._load.stopping.set()
            self._address.close()
            self._load.stop()
            self.client.close()
            if self._server is not None:
                self._server.close()
        return self.report

    def _violated(self, rule: str, text: str) -> None:
        self.report.violations.append(Violation(rule, "", text))

    # Lives.

    def start(self, life: Life | None = None) -> Server:
        """Start a server; the one before must have ended."""
        order = self._order
        if life is not None and life.point is not None:
            order = msgspec.structs.replace(order, point=life.point, hit=life.hit)
        self._server = Server(order)
        return self._server

    def _register(self) -> None:
        """Start once, register the flows, and kill."""
        server = self.start()
        self.listen(server)
        for flow in FLOWS.values():
            answer = self.client.ask("POST", "/flows", flow)
            assert answer.status == 201, answer
        self.client.close()
        server.kill()
        server.status()
        self.report.order.append("by chance")

    def listen(self, server: Server) -> None:
        """Wait until a server listens, and tell the clients.

        Raises:
            RefusedError: it has ended.
        """
        port = server.port()
        if port is None:
            raise RefusedError(f"ended with {server.status()}: {self._last_words()}")
        self.client.close()
        self._address.move(port)

    def _try_again(self, life: Life) -> None:
        """Come to a point that needs something to go on, when something does."""
        for _ in range(TRIES):
            self._live(Life(0.0, answers=ANSWERS))
            if self._live(life):
                return

    def _live(self, life: Life) -> bool:
        """Run a server to its end; return whether that came as it should."""
        began = time.monotonic()
        server = self.start(life)
        if life.point is not None or life.answers is not None or life.seconds > LIFE / 2:
            port = server.port()
            if port is not None:
                self._address.move(port)
        if life.answers is not None:
            self._wait_for_answers(server, life.answers)
            began = time.monotonic()

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
        return self._count(life, status)

    def _wait_for_answers(self, server: Server, count: int) -> None:
        """Wait until clients have been told so much, or never will be."""
        enough, until = self.ledger.done + count, time.monotonic() + POINT_SECONDS
        while self.ledger.done < enough and time.monotonic() < until:
            if server.status(LOOK_SECONDS) is not None:
                return

    def _count(self, life: Life, status: int) -> bool:
        marks = self._directory / "marks"
        reached = marks.read_text().splitlines()[self._marks :] if marks.exists() else []
        self._marks += len(reached)
        if reached:
            self.report.order.append(reached[0])
        elif status == KILLED:
            self.report.order.append("by chance")
        return bool(reached) or life.point is None

    def _last_words(self) -> str:
        return (self._directory / "log").read_text()[-2000:]

    # The end.

    def conclude(self, answers: int = ANSWERS) -> Shown:
        """Let a last server bring everything to its end, and return what it shows then.

        Args:
            answers: what clients are told before they stop.
        """
        server = self.start()
        self.listen(server)
        done = self.ledger.done
        self._wait_for_answers(server, answers)
        self._load.stop()
        self.report.counts["healed"] = self.ledger.done - done
        self._drain()
        shown = self._show()
        self.client.close()
        if self.report.violations:
            server.kill()  # it might not stop
            server.status()
            return shown
        server.terminate()
        status = server.status(STOP_SECONDS)
        if status != STOPPED:
            server.kill()
            raise RefusedError(f"stopped with {status}: {self._last_words()}")
        return shown

    def _drain(self) -> None:
        """Wait until every execution has ended; have those go on that wait for somebody.

        Nothing is asked of the others: that alone could have them go on.
        """
        deadline = time.monotonic() + self._patience
        while found := [item for status in UNFINISHED for item in self._unfinished(status)]:
            if time.monotonic() > deadline:
                self._violated("liveness", f"{len(found)} have not ended: {found[:5]}")
                return
            for item in found:
                if item["status"] in {"paused", "quarantined"}:
                    self.report.counts[item["status"]] += 1
                    self.client.ask("POST", f"/executions/{item['execution_id']}/resume")
            time.sleep(DRAIN_SECONDS)

    def _unfinished(self, status: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._get(f"/executions?status={status}&limit=100")["items"]
        return items

    def _get(self, path: str) -> Any:
        answer = self.client.ask("GET", path)
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

    def check(self, shown: Shown) -> None:
        """Check what is left when all has ended, and what the last server has shown."""
        report = self.report
        for line in (self._directory / "log").read_text().splitlines():
            if any(sign in line for sign in SIGNS):
                self._violated("log", line)
        file = self._directory / "flowmgr.db"
        for problem in verify(file).problems:
            self._violated("verification", problem)

        def note(rule: str, where: str, text: str) -> None:
            report.violations.append(Violation(rule, where, text))

        effects = Effects(self._directory / "effects")
        checker = Checker(Database(file, note), effects, report.violations)
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
