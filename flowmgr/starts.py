"""What an execution is to begin with: the request for one, and what its flow makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.expressions import Schema
from actors.values import ValueRefusedError, decode_value, encode_value
from flowmgr.errors import MAX_SHOWN, ContextError, InputError, KeyReusedError, Problem

MAX_KEY_LENGTH: Final = 255


class KeyedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that starts an execution; of several equal ones with a key, one does.

    Attributes:
        key: the idempotency key.
    """

    key: str | None = None

    def scope(self) -> str:
        """Return what the key belongs to."""
        raise NotImplementedError

    def asked(self) -> list[Any]:
        """Return what makes requests with one key equal."""
        raise NotImplementedError

    def told(self) -> str:
        """Return what is asked for, as an error says it."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Return the SHA-256 of what is asked for, in hexadecimal: equal requests, equal text.

        The order of keys in objects does not count; an empty object counts as none.
        """
        asked = [None if each == {} else each for each in self.asked()]
        return hashlib.sha256(_canonical.encode(asked)).hexdigest()

    def check_same(self, fingerprint: str) -> None:
        """Refuse this request unless it is equal to the one that has used its key.

        Args:
            fingerprint: that of the request that has used the key.

        Raises:
            KeyReusedError: it is another one.
        """
        if fingerprint != self.fingerprint():
            msg = (
                f"Idempotency key '{self.key}' has been used for another request to {self.told()}; "
                "use a new key for a new request"
            )
            raise KeyReusedError(msg)


class StartRequest(KeyedRequest, frozen=True):
    """A request to start an execution.

    Attributes:
        flow: the id of a registered flow, or the document of a flow that is only run.
        context: the values to begin with.
        version: the flow's version; the latest if None.
        metadata: what the execution can be looked up by, beside its flow's own metadata.
    """

    flow: str | Mapping[str, Any]
    context: Any = None
    version: int | None = None
    metadata: Any = None

    def scope(self) -> str:
        """Return what the key belongs to: the flow; all flows that are only run have one scope."""
        return self.flow if isinstance(self.flow, str) else ""

    def asked(self) -> list[Any]:
        """Return what makes requests with one key equal."""
        return [self.flow, self.context, self.version, self.metadata]

    def told(self) -> str:
        """Return what is asked for, as an error says it."""
        of_flow = f" of flow '{self.flow}'" if isinstance(self.flow, str) else ""
        return f"start an execution{of_flow}"


class RerunRequest(KeyedRequest, frozen=True):
    """A request to start an execution that repeats another one.

    Attributes:
        execution_id: the execution to repeat.
        task: the task to begin with; the flow's first one if None.
        context: values that replace those of the other execution.
        version: the flow's version; the one that the other execution ran if None.
    """

    execution_id: str
    task: str | None = None
    context: Any = None
    version: int | None = None

    def scope(self) -> str:
        """Return what the key belongs to: the reruns of the execution.

        It is no flow's id, which has no slash; and the execution's own is that of its sub-flows.
        """
        return f"{self.execution_id}/rerun"

    def asked(self) -> list[Any]:
        """Return what makes requests with one key equal."""
        return [self.execution_id, self.task, self.context, self.version]

    def told(self) -> str:
        """Return what is asked for, as an error says it."""
        return f"rerun execution '{self.execution_id}'"


def check_key(key: str | None) -> None:
    """Refuse *key* unless it can be an idempotency key, or is None.

    Raises:
        InputError: it is empty, too long, or has other characters than printable ASCII.
    """
    is_fine = key is None or (key.isascii() and key.isprintable() and key.strip())
    if not is_fine or len(key or "") > MAX_KEY_LENGTH:
        msg = f"An idempotency key has 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        raise InputError(msg)


def check_asker(by: str | None, reason: str | None) -> None:
    """Refuse who asks for something, and why, unless each is None or text that can be recorded.

    Raises:
        InputError: it is not.
    """
    for name, given in (("by", by), ("reason", reason)):
        try:
            is_fine = given is None or encode_value(given).startswith(b'"')
        except ValueRefusedError:
            is_fine = False
        if not is_fine:
            msg = f"'{name}' has to be text that JSON can hold, or None, not {given!r:.{MAX_SHOWN}}"
            raise InputError(msg)


def check_input(flow_id: str, schema: Schema, context: bytes) -> None:
    """Refuse *context*, which is JSON, unless it is as the flow's schema for its input says.

    Raises:
        ContextError: it does not; with everything that its schema finds wrong.
    """
    found = schema.problems(decode_value(context))
    if found:
        problems = [Problem(pointer, "not_as_input", message) for pointer, message in found]
        message = f"The context is not as flow '{flow_id}' wants it: {found[0][1]}"
        raise ContextError(message, problems)


_canonical = msgspec.json.Encoder(order="sorted")
