"""Activities: the catalogue."""

from __future__ import annotations

from litestar import Controller, get

from web.flow_resources import ActivityResource, activity_resource
from web.requests import AnyRequest
from web.resources import Page
from web.surface import engine_of


class ActivityController(Controller):
    """What tasks can invoke."""

    path = "/activities"
    tags = ("activities",)

    @get(summary="List activities")
    async def list_activities(self, request: AnyRequest) -> Page[ActivityResource]:
        """List the activities, by name, with the JSON Schemas of their parameters and results."""
        return Page(
            [activity_resource(declared) for declared in engine_of(request).catalogue], None
        )
