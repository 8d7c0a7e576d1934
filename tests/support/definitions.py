"""Flow documents, read as they are when they are registered."""

from flowmgr.language.validation import OpenedFlow


def inspect(document, *, activities, flows=None, new_id):
    """The definition (None if there are problems), the problems and the warnings."""
    return OpenedFlow(document).inspect(activities=activities, flows=flows, new_id=new_id)


def read_definition(document, *, activities, flows=None, new_id):
    """The validated flow; raises a DefinitionError if there are problems."""
    return OpenedFlow(document).validated(activities=activities, flows=flows, new_id=new_id)
