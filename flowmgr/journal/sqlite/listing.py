"""Lists of executions: newest first, with any combination of restrictions, a page at a time.

Executions are in the order of their ids, and a page must not need to look at many more of them than
it shows. So the indexes have groups of executions (of one status, version, and with failures or
without; all of them, or of one flow), each in the order of the ids, and a page is merged from the
groups that match. A time is looked for by the time that ids have in them, being UUIDv7; executions
of which that is not known to be near the one recorded are looked at one by one.
"""

from __future__ import annotations

import sqlite3
from operator import itemgetter
from typing import Final, NamedTuple

from flowmgr.journal.sqlite.queries import LIST
from flowmgr.journal.sqlite.rows import TIME_MARGIN, ExecutionRow, Values
from flowmgr.journal.store import ExecutionQuery, ExecutionSummary

BEHIND_ALL_IDS: Final = "\U0010ffff" * 32
"""Sorts behind every id: what a first page begins with."""

MAX_BY_METADATA: Final = 10_000
"""Executions with a value of metadata up to which a list begins with these."""

_ID: Final = 1  # the place of the id in a row

_GROUP_FILTERS: Final = ("status", "flow_version", "had_failures")

_TIME_FILTERS: Final = ("started_from", "started_before", "ended_before")

_ENDS: Final = frozenset({"completed", "failed", "cancelled"})


def list_executions(
    connection: sqlite3.Connection, query: ExecutionQuery, before: str | None, limit: int
) -> list[ExecutionSummary]:
    """See `Store.list_executions`."""
    listing = _Listing(connection, query, BEHIND_ALL_IDS if before is None else before)
    return [ExecutionRow.read(values).summary for values in listing.page(limit)]


class _Group(NamedTuple):
    """Executions that have all of this in common."""

    status: str
    had_failures: int
    flow_version: int
    newest: str | None  # the newest id of those that are asked for


class _Listing:
    """One list: what its queries have in common."""

    def __init__(self, connection: sqlite3.Connection, query: ExecutionQuery, before: str) -> None:
        self._connection = connection
        self._query = query
        self._before = before
        self._not_before, timed_before = _range_of_ids(query)
        self._timed_before = min(before, timed_before)
        names = ("flow_id", *_GROUP_FILTERS, *_TIME_FILTERS)
        asked = {name: getattr(query, name) for name in names}
        self._values = {name: value for name, value in asked.items() if value is not None}
        self._has_times = any(name in self._values for name in _TIME_FILTERS)
        self._pairs = self._rarest_first()

    def page(self, limit: int) -> list[Values]:
        """Return the newest rows that match, newest first."""
        rows = self._timed_rows(limit)
        if self._has_times:
            rows = _newest(rows + self._rows("from_untimed", "", self._before, limit), limit)
        return rows

    def _timed_rows(self, limit: int) -> list[Values]:
        is_grouped = "ended_before" in self._values or any(
            name in self._values for name in ("flow_id", *_GROUP_FILTERS)
        )
        if self._pairs and (not is_grouped or self._pairs[0][0] < MAX_BY_METADATA):
            return self._rows("from_metadata", self._not_before, self._timed_before, limit)
        if is_grouped:
            return self._merged(limit)
        return self._rows("from_all", self._not_before, self._timed_before, limit)

    def _merged(self, limit: int) -> list[Values]:
        """Merge the groups that match, the one with the newest execution first."""
        source = "from_flow" if "flow_id" in self._values else "from_group"
        page: list[Values] = []
        floor = self._not_before
        for group in self._groups():
            if page and len(page) == limit:
                floor = max(floor, page[-1][_ID])
            if group.newest is None or group.newest < floor:
                break
            rows = self._rows(source, floor, self._timed_before, limit, group)
            page = _newest(page + rows, limit)
        return page

    def _groups(self) -> list[_Group]:
        name = "groups_of_flow" if "flow_id" in self._values else "groups"
        values = {"flow_id": self._query.flow_id, "before": self._timed_before}
        groups = map(_Group._make, self._connection.execute(LIST[name], values).fetchall())
        return sorted(filter(self._is_asked_for, groups), key=_newest_of, reverse=True)

    def _is_asked_for(self, group: _Group) -> bool:
        query = self._query
        return (
            query.status in {None, group.status}
            and query.had_failures in {None, bool(group.had_failures)}
            and query.flow_version in {None, group.flow_version}
            and (query.ended_before is None or group.status in _ENDS)
        )

    def _rows(
        self, source: str, not_before: str, before: str, limit: int, group: _Group | None = None
    ) -> list[Values]:
        """Return the newest rows of *source* that match and have an id in a range."""
        is_by_metadata = source == "from_metadata"
        prefix = "metadata_" if is_by_metadata else ""
        parts = ["columns", source, f"{prefix}before", f"{prefix}not_before"]
        if self._has_times and source != "from_untimed":
            parts.append("is_timed")
        parts += [name for name in self._values if group is None or name in _TIME_FILTERS]
        texts = [LIST[part] for part in parts]
        texts += [LIST["metadata"].format(n=n) for n in range(is_by_metadata, len(self._pairs))]
        texts.append(LIST["newest_metadata_first" if is_by_metadata else "newest_first"])
        values = {**self._values, "before": before, "not_before": not_before, "limit": limit}
        for n, (_, name, value) in enumerate(self._pairs):
            values |= {f"name{n}": name, f"value{n}": value}
        if group is not None:
            values |= group._asdict()
        return self._connection.execute("\n".join(texts), values).fetchall()

    def _rarest_first(self) -> list[tuple[int, str, str]]:
        """Return the metadata asked for, each with how many executions have it, up to a bound."""
        pairs = []
        for name, value in self._query.metadata.items():
            values = {"name": name, "value": value, "limit": MAX_BY_METADATA}
            [count] = self._connection.execute(LIST["count_metadata"], values).fetchone()
            pairs.append((count, name, value))
        return sorted(pairs)


def _newest_of(group: _Group) -> str:
    return group.newest or ""


def _newest(rows: list[Values], limit: int) -> list[Values]:
    return sorted(rows, key=itemgetter(_ID), reverse=True)[:limit]


def _range_of_ids(query: ExecutionQuery) -> tuple[str, str]:
    """Return from which id on, and before which one, the executions are that may match.

    That is so of those whose id is near the time of their start (`is_timed`), and nobody ends
    before that.
    """
    not_before, before = "", BEHIND_ALL_IDS
    if query.started_from is not None:
        not_before = _first_id(query.started_from - TIME_MARGIN)
    for time in (query.started_before, query.ended_before):
        if time is not None:
            before = min(before, _first_id(time + TIME_MARGIN))
    return not_before, before


def _first_id(time: float) -> str:
    """Return what sorts before the UUIDv7s of a time, and behind those of earlier milliseconds."""
    milliseconds = min(max(time * 1000, 0), 0xFFFF_FFFF_FFFF)
    digits = f"{int(milliseconds):012x}"
    return f"{digits[:8]}-{digits[8:]}"
