"""Activities: the catalogue."""

from __future__ import annotations

from litestar import Controller, get

from flowmgr.engine import Engine
from web.resources import ActivityResource, Page, activity_resource


class ActivityController(Controller):
    """What tasks can invoke."""

    path = "/activities"
    tags = ("activities",)

    @get(summary="List activities")
    async def list_activities(self, engine: Engine) -> Page[ActivityResource]:
        """List the activities, by name, with the JSON Schemas of their parameters and results."""
        return Page([activity_resource(declared) for declared in engine.catalogue], None)
