"""The flow language, the engine and its journal.

from flowmgr import activity, open_engine

What is here is loaded when it is first asked for (PEP 562): the processes that run activities, and
the commands that run no engine, would take several times as long to start if they loaded it all.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.context import Context
    from actors.outcome import ActivityError
    from flowmgr.activities.declaration import activity
    from flowmgr.engine import Engine, open_engine
    from flowmgr.errors import FlowmgrError
    from flowmgr.executions import Execution
    from flowmgr.settings import Settings

_MODULES = {
    "ActivityError": "actors.outcome",
    "Context": "actors.context",
    "Engine": "flowmgr.engine",
    "Execution": "flowmgr.executions",
    "FlowmgrError": "flowmgr.errors",
    "Settings": "flowmgr.settings",
    "activity": "flowmgr.activities.declaration",
    "open_engine": "flowmgr.engine",
}

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

if not TYPE_CHECKING:  # so that a type checker still tells what is not here

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            msg = f"module 'flowmgr' has no attribute '{name}'"
            raise AttributeError(msg)
        value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return value
