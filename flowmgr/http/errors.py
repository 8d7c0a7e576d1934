"""How an HTTP task fails: one function for each type of error.

| type | retryable | what has happened |
|---|---|---|
| `HttpRequestError` | no | what the task asks for is no request: the message names the field |
| `HttpAddressRefused` | no | the host has an address that is not public, and is not allowed |
| `HttpConnectError` | yes | the name is not known, or nobody accepts the connection |
| `HttpTlsError` | no | the certificate is not one of the host's |
| `HttpTimeout` | yes | the answer was not complete in time |
| `HttpTransferError` | yes | the connection broke, or what came over it is not HTTP |
| `HttpRedirectError` | no | a redirect that is not followed: too many, unreadable, to plain HTTP |
| `HttpStatusError` | by status | the status is not one that is expected |
| `HttpBodyError` | no | the body is too large, or cannot be part of a result |

No message has more of a URL than its origin: the rest may be a secret.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.outcome import MAX_MESSAGE, ErrorInfo, ReportedError
from actors.values import encode_value

_RETRYABLE: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


def request_error(why: str) -> ReportedError:
    """What the task asks for is no request."""
    return _error("HttpRequestError", why, retryable=False)


def address_refused(host: str, address: str, rule: str) -> ReportedError:
    """The host has an address that must not be connected to."""
    message = (
        f"the address {address} of host '{host}' is refused: it is {rule}. An operator can allow "
        f"it with the setting http_allow (--http-allow {address})"
    )
    data = {"host": host, "address": address, "rule": rule, "setting": "http_allow"}
    return _error("HttpAddressRefused", message, data, retryable=False)


def connect_error(origin: str, why: str) -> ReportedError:
    """There is no connection."""
    return _error("HttpConnectError", f"no connection to {origin}: {why}")


def tls_error(origin: str, why: str) -> ReportedError:
    """The other side is not who it should be."""
    return _error("HttpTlsError", f"{origin} is not to be trusted: {why}", retryable=False)


def timed_out(origin: str, seconds: float) -> ReportedError:
    """The answer was not complete in time."""
    return _error("HttpTimeout", f"{origin} has not answered completely within {seconds:g} s")


def transfer_error(origin: str, why: str) -> ReportedError:
    """The connection broke, or what came over it is not HTTP."""
    return _error("HttpTransferError", f"the answer of {origin} did not arrive: {why}")


def redirect_error(origin: str, why: str) -> ReportedError:
    """A redirect is not followed."""
    return _error("HttpRedirectError", f"the redirect of {origin} {why}", retryable=False)


def status_error(origin: str, status: int, body: Any) -> ReportedError:
    """The status is not one that is expected.

    Args:
        origin: who answered.
        status: with what.
        body: what came with it, bounded.
    """
    return _error(
        "HttpStatusError",
        f"{origin} answered with status {status}, which is not expected",
        {"status": status, "body": body},
        retryable=status in _RETRYABLE or status >= _SERVER_ERROR,
    )


def body_error(origin: str, why: str) -> ReportedError:
    """The body cannot be part of a result."""
    return _error("HttpBodyError", f"the body that {origin} sent {why}", retryable=False)


def _error(type_: str, message: str, data: Any = None, *, retryable: bool = True) -> ReportedError:
    encoded = msgspec.Raw(encode_value(data))
    return ReportedError(ErrorInfo(type_, message[:MAX_MESSAGE], encoded, retryable))
