"""Where a report goes."""

from __future__ import annotations

from flowmgr import activity


@activity
async def store_rows(rows: list[dict[str, float]]) -> dict[str, float]:
    return {"rows": len(rows), "total": sum(row["amount"] for row in rows)}
