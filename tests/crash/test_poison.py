"""An execution that ends the server each time it runs is found, and left alone."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.crash.campaign import Campaign, RefusedError
from tests.crash.client import LostError
from tests.crash.flows import HOLD, POISON_ONCE
from tests.crash.processes import KILLED, Server
from tests.crash.server import Order
from tests.crash.test_crash import BACKENDS, assert_kept

KILLS = 5
"""After so many it is left alone."""

HOLD_SECONDS = 0.25
"""What the innocent ones take: longer than a server lives that the poison ends."""

LOOK_SECONDS = 0.01


class Poisoned(Campaign):
    """A campaign in which one execution kills."""

    antidote: Path
    poison: str

    def begin(self, antidote: Path) -> None:
        """Start the poison between innocent executions; the server ends."""
        self.antidote = antidote
        server = self.start()
        self.listen(server)
        for flow in (HOLD, POISON_ONCE):
            assert self.client.ask("POST", "/flows", flow).status == 201
        self._begun("hold", "1")
        self._begun("hold", "2")
        self.poison = self._begun("poison-once", "3")
        with contextlib.suppress(LostError):  # it may have been started all the same
            self._begun("hold", "4")
        self._is_killed(server)

    def _begun(self, flow_id: str, tag: str) -> str:
        context = {"tag": tag, "seconds": HOLD_SECONDS, "antidote": str(self.antidote)}
        self.ledger.sent(tag, flow_id, None)
        body = {"flow_id": flow_id, "context": context}
        answer = self.client.ask("POST", "/flows/execute", body, {"Prefer": "respond-async"})
        assert answer.status == 202, answer
        self.ledger.started(tag, answer.body)
        execution_id: str = answer.body["execution_id"]
        return execution_id

    def survive(self, most: int) -> Server | None:
        """Start servers until one lives on; None if *most* have been killed before."""
        while self.report.kills.total() < most:
            server = self.start()
            with contextlib.suppress(RefusedError):
                self.listen(server)
            if not self._is_killed(server):
                return server
        return None

    def _is_killed(self, server: Server) -> bool:
        """Wait until it is, or the poison is quarantined."""
        while (status := server.status(LOOK_SECONDS)) is None:
            with contextlib.suppress(LostError):
                if self.shown(self.poison)["status"] == "quarantined":
                    return False
        assert status == KILLED
        self.client.close()
        self.report.order.append("poison")
        return True

    def shown(self, execution_id: str) -> Any:
        return self.client.ask("GET", f"/executions/{execution_id}").body


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_poison_is_quarantined_and_the_others_complete(tmp_path: Path, backend: str) -> None:
    campaign = Poisoned(Order(str(tmp_path), backend))
    campaign.begin(tmp_path / "antidote")
    server = campaign.survive(2 * KILLS)
    assert server is not None
    assert campaign.report.kills["poison"] == KILLS
    campaign.antidote.touch()  # or else it would kill again when it is resumed
    server.kill()
    server.status()
    campaign.check(campaign.conclude(answers=0))
    assert_kept(campaign.report, tmp_path)
    assert campaign.report.counts["quarantined"] == 1
    assert campaign.report.counts["completed"] == campaign.report.counts["executions"] > 2


def test_without_a_count_that_is_recorded_before_the_poison_would_kill_for_ever(
    tmp_path: Path,
) -> None:
    order = Order(str(tmp_path), "asyncio", mutant="recoveries are not counted")
    campaign = Poisoned(order)
    campaign.begin(tmp_path / "antidote")
    assert campaign.survive(2 * KILLS) is None
