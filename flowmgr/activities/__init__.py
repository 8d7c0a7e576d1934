"""Activities: the user's functions that tasks run, and the ways of running them."""

from flowmgr.activities.binding import (
    InvalidArgumentsError,
    InvalidParameterError,
    MissingParameterError,
)
from flowmgr.activities.catalogue import ActivityCatalogue
from flowmgr.activities.declaration import Activity, Isolation, activity
from flowmgr.activities.processes import ProcessDiedError
from flowmgr.activities.runners import RunnerResources, SimulatedRunner, runner_for
from flowmgr.activities.wire import Terminated

__all__ = [
    "Activity",
    "ActivityCatalogue",
    "InvalidArgumentsError",
    "InvalidParameterError",
    "Isolation",
    "MissingParameterError",
    "ProcessDiedError",
    "RunnerResources",
    "SimulatedRunner",
    "Terminated",
    "activity",
    "runner_for",
]
