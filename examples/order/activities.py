"""A warehouse, a bank and a carrier, as far as an order needs them."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec

from flowmgr import ActivityError, Context, activity


class Order(msgspec.Struct):
    """What a customer wants."""

    id: str
    item: str
    amount: float
    card: str


@activity
async def reserve_stock(order: Order) -> dict[str, str]:
    return {"reservation": f"{order.item} for {order.id}"}


@activity
async def release_stock(reservation: str) -> str:
    return f"released {reservation}"


@activity
async def charge_card(card: str, amount: float) -> dict[str, Any]:
    await anyio.sleep(0.2)
    if card.startswith("4000"):
        msg = "The bank has declined the card"
        raise ActivityError("PaymentDeclined", msg, retryable=False, data={"card": card[-4:]})
    return {"payment": f"payment of {amount:.2f}", "amount": amount}


@activity
async def refund(payment: str) -> str:
    return f"refunded {payment}"


@activity
async def ship_parcel(order: Order) -> dict[str, str]:
    if order.item == "lead":
        msg = "no carrier takes a parcel so heavy"
        raise ValueError(msg)
    return {"parcel": f"parcel of {order.id}"}


@activity
async def tell_customer(context: Context) -> str:
    shipped = context.get("ship_result")
    return "It is on its way" if shipped else "We could not fulfil your order; you pay nothing"
