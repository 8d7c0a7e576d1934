"""Mail, and a place where documents are published."""

from __future__ import annotations

from flowmgr import activity

SENT: list[tuple[str, str]] = []
"""What was sent, and to whom: a program would have a mail server."""


@activity
async def send_mail(to: str, text: str) -> None:
    SENT.append((to, text))


@activity
async def publish_document(document: str) -> dict[str, str]:
    return {"published": document}
