"""Activities of the examples: `flowmgr serve --activities examples.activities`."""

from __future__ import annotations

import time

import anyio
import msgspec
from anyio.from_thread import check_cancelled

from flowmgr import Context, activity


class Order(msgspec.Struct):
    """What a client orders."""

    id: str
    amount: float


class Receipt(msgspec.Struct):
    """That an order was paid."""

    order_id: str
    paid: float


@activity
async def charge(order: Order) -> Receipt:
    """Charge an order: typed, so `order` comes from the context and is checked."""
    await anyio.sleep(0.1)
    if order.amount > 1_000:
        msg = f"order {order.id} is over the limit of 1000"
        raise ValueError(msg)
    return Receipt(order.id, order.amount)


@activity
async def ship(context: Context) -> dict[str, str]:
    """Ship what was charged: gets the whole context, as the original's tasks do."""
    await anyio.sleep(0.1)
    return {"shipped": context["charge_result"]["order_id"]}


@activity
async def apologise(context: Context) -> str:
    """Tell the customer why there is no order."""
    return f"sorry about order {context['order']['id']}"


@activity
async def reserve_stock() -> None:
    """Hold a reservation for a minute, and give it back when cancelled."""
    try:
        await anyio.sleep(60)
    finally:
        # Clean-up that waits has to be shielded; it has the grace to finish in.
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.2)


@activity
def crunch(seconds: float = 60.0) -> float:
    """Compute in a thread, stopping when cancelled."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check_cancelled()  # raises once the execution is cancelled
        time.sleep(0.01)
    return seconds


@activity(isolation="process")
def crunch_hard(seconds: float = 60.0) -> float:
    """Compute in a process of its own, which is killed when cancelled."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return seconds
