"""What earlier versions recorded means the same for ever."""

import json
from pathlib import Path

import msgspec
import pytest

from actors.events import ExecutionEvent
from actors.evolving import fold
from flowmgr.executions import view
from flowmgr.journal.store import summarise
from flowmgr.language.definition import FlowDefinition
from tests.histories.record import SCENARIOS
from web.resources import execution_resource

FILES = sorted(Path(__file__).parent.glob("*.json"))


def read(recorded, kind):
    return msgspec.json.decode(json.dumps(recorded), type=kind)


def test_every_scenario_was_recorded():
    assert {scenario.__name__ for scenario in SCENARIOS} <= {file.stem for file in FILES}


def test_every_kind_of_event_was_recorded_but_the_one_of_a_server_that_dies_again_and_again():
    recorded = {
        entry["event"]["type"]
        for file in FILES
        for entry in json.loads(file.read_text())["export"]["events"]
    }
    kinds = {kind.__name__ for kind in ExecutionEvent.__args__}
    assert kinds - recorded <= {"ExecutionQuarantined", "ExecutionResumed"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_history_folds_to_the_execution_that_it_meant(file):
    recorded = json.loads(file.read_text())
    entries = recorded["export"]["events"]
    events = [read(entry["event"], ExecutionEvent) for entry in entries]
    execution_id = recorded["execution"]["execution_id"]
    found = json.loads(msgspec.json.encode(execution_resource(view(execution_id, fold(events)))))
    for field, value in recorded["execution"].items():
        assert found[field] == value, field
    assert summarise(None, execution_id, events).status == recorded["execution"]["status"]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_definition_of_a_recorded_execution_can_be_read(file):
    definition = json.loads(file.read_text())["export"]["flow"]
    assert read(definition, FlowDefinition).tasks
