"""Shops that have sold something, or do not answer."""

from __future__ import annotations

from typing import Any

import anyio

from flowmgr import ActivityError, Context, activity


@activity
async def list_shops(context: Context) -> list[str]:
    """A program would ask a database; here the context may say which ones there are."""
    return list(context.get("shops", ["north", "east", "south", "west"]))


@activity
async def download_sales(shop: str) -> dict[str, Any]:
    await anyio.sleep(1)
    if shop.startswith("closed"):
        msg = f"shop {shop} has been closed for good"
        raise ActivityError("ShopClosed", msg)
    if shop.startswith("down"):
        msg = f"shop {shop} does not answer"
        raise ConnectionError(msg)
    return {"shop": shop, "sold": [len(shop), 10]}


@activity
async def load_sales(sales: dict[str, Any]) -> dict[str, Any]:
    return {"shop": sales["shop"], "rows": len(sales["sold"])}


@activity
async def report_import(
    list_shops_result: list[str], import_all_result: list[dict[str, Any] | None]
) -> dict[str, Any]:
    """The results stand in the order of the shops, with null for those that failed."""
    by_shop = dict(zip(list_shops_result, import_all_result, strict=True))
    return {
        "rows": sum(found["rows"] for found in by_shop.values() if found),
        "missing": [shop for shop, found in by_shop.items() if found is None],
    }


@activity
async def alert_on_call(message: str) -> str:
    return f"called: {message}"
