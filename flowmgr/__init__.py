"""The flow language, the engine and its journal.

from flowmgr import activity, open_engine
"""

from actors.context import Context
from actors.outcome import ActivityError
from flowmgr.activities import activity
from flowmgr.engine import Engine, open_engine
from flowmgr.errors import FlowmgrError
from flowmgr.executions import Execution
from flowmgr.settings import Settings

__all__ = [
    "ActivityError",
    "Context",
    "Engine",
    "Execution",
    "FlowmgrError",
    "Settings",
    "activity",
    "open_engine",
]
