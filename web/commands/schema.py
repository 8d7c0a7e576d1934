"""`flowmgr schema`: what editors want to know about flow files."""

from __future__ import annotations

import json

import rich_click as click

from flowmgr.language.json_schema import flow_schema


@click.command()
def schema() -> None:
    """Print the JSON Schema of flow files, for editors."""
    click.echo(json.dumps(flow_schema(), indent=2))
