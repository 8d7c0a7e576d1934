"""The catalogue: the activities that an engine knows, by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from flowmgr.activities.declaration import Activity
from flowmgr.errors import ActivityDeclarationError

AnyActivity = Activity[..., Any]

Source = AnyActivity | ModuleType | str
"""What has activities: one itself, a module, a module's name."""


class ActivityCatalogue(Collection[AnyActivity]):
    """Activities by their names. Iterating gives the activities, sorted by name.

    Raises:
        ActivityDeclarationError: two different activities have one name, or the annotations of
            one cannot be resolved.
    """

    def __init__(self, activities: Iterable[AnyActivity] = ()) -> None:
        by_name: dict[str, AnyActivity] = {}
        for declared in activities:
            other = by_name.setdefault(declared.name, declared)
            if other is not declared:
                msg = (
                    f"Two activities are named '{declared.name}': {other.place} and "
                    f'{declared.place}. Give one of them another name with @activity("a_name").'
                )
                raise ActivityDeclarationError(msg)
            _ = declared.binding  # raises if its annotations cannot be resolved
        self._by_name = dict(sorted(by_name.items()))

    @classmethod
    def of(cls, *sources: Source, defaults: Collection[Source] = ()) -> ActivityCatalogue:
        """Return a catalogue of what *sources* have.

        Args:
            sources: activities, modules, and names of modules.
            defaults: the same; an activity of theirs is left out if the sources have its name.

        Raises:
            ActivityDeclarationError: as the class; or a module cannot be imported, or has no
                activities.
        """
        found = [declared for source in sources for declared in _activities_of(source)]
        names = {declared.name for declared in found}
        spare = [declared for source in defaults for declared in _activities_of(source)]
        return cls([*found, *(declared for declared in spare if declared.name not in names)])

    def names(self) -> tuple[str, ...]:
        """Return the activities' names, sorted."""
        return tuple(self._by_name)

    def get(self, name: str) -> AnyActivity | None:
        """Return the activity that is called *name*, or None."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[AnyActivity]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, item: object) -> bool:
        """Whether *item* is the name of an activity, or an activity, that is here."""
        if isinstance(item, Activity):
            return self._by_name.get(item.name) is item
        return item in self._by_name


def _activities_of(source: Source) -> list[AnyActivity]:
    if isinstance(source, Activity):
        return [source]
    if isinstance(source, str):
        source = _import(source)
    if not isinstance(source, ModuleType):
        msg = f"{source!r} is neither an activity nor a module. Decorate it with @activity."
        raise ActivityDeclarationError(msg)
    found = [value for value in vars(source).values() if isinstance(value, Activity)]
    if not found:
        msg = (
            f"Module '{source.__name__}' has no activities. Decorate a function of it with "
            "@activity."
        )
        raise ActivityDeclarationError(msg)
    return found


def _import(name: str) -> ModuleType:
    directory = str(Path.cwd())
    if directory not in sys.path and "" not in sys.path:
        sys.path.insert(0, directory)
    if name.endswith(".py") or "/" in name:
        msg = f"'{name}' is a file. Name the module, as in 'package.module'."
        raise ActivityDeclarationError(msg)
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        msg = f"Module '{name}' with activities cannot be imported: {type(error).__name__}: {error}"
        raise ActivityDeclarationError(msg) from error
