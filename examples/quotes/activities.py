"""Three providers of exchange rates. How each does today is in the context, under its name."""

from __future__ import annotations

from typing import Any

import anyio

from flowmgr import Context, activity

KNOWN: dict[str, float] = {"EUR/USD": 1.08}
"""The last rates that any of them has named."""


async def _rate_of(provider: str, context: Context) -> dict[str, Any]:
    today = context.get(provider, {})
    await anyio.sleep(today.get("seconds", 0.3))  # ends here if another one was faster
    if "rate" not in today:
        msg = f"{provider} has no rate of {context['pair']}"
        raise LookupError(msg)
    return {"provider": provider, "rate": today["rate"]}


@activity
async def rate_of_alpha(context: Context) -> dict[str, Any]:
    return await _rate_of("alpha", context)


@activity
async def rate_of_beta(context: Context) -> dict[str, Any]:
    return await _rate_of("beta", context)


@activity
async def rate_of_gamma(context: Context) -> dict[str, Any]:
    return await _rate_of("gamma", context)


@activity
async def remember_rate(pair: str, answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Normally there is one answer; two, if they have come at the same moment."""
    first = next(iter(answers.values()))
    KNOWN[pair] = first["rate"]
    return first


@activity
async def last_known_rate(pair: str) -> dict[str, Any]:
    if pair not in KNOWN:
        msg = f"nobody has ever named a rate of {pair}"
        raise LookupError(msg)
    return {"provider": "memory", "rate": KNOWN[pair]}
