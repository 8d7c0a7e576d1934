"""Running the tasks that make an HTTP request."""

from __future__ import annotations

import functools
import hashlib
import ssl
from collections.abc import Iterable
from typing import Any, Final

import anyio
import httpcore
import httpx

from actors.outcome import ReportedError
from actors.ports import Attempt
from actors.values import encode_value
from flowmgr.http.addresses import AllowList
from flowmgr.http.errors import (
    body_error,
    connect_error,
    redirect_error,
    status_error,
    timed_out,
    tls_error,
    transfer_error,
)
from flowmgr.http.expect import expected_statuses
from flowmgr.http.network import GuardedNetwork, Resolve, StoppedError, resolve
from flowmgr.http.request import REDIRECTS, HttpRequest, read_request, redirected
from flowmgr.http.response import (
    BodyReader,
    BodyRefusedError,
    BodyTooLargeError,
    body_value,
    lenient_value,
    plain_headers,
)
from flowmgr.settings import Settings

MAX_HOPS: Final = 5
MAX_ERROR_BODY: Final = 8192
"""Bytes of the body that come with an unexpected status, and are kept."""


class HttpResources:
    """What the HTTP runners of one engine share.

    Connections are not among it: every request has its own, so that none is idle when the engine
    closes, none is broken before it is used, and nothing passes from one flow to another.

    Args:
        settings: the limits and what is allowed; the fields that begin with ``http_``.
        lookup: finds the addresses of a host; for tests.
        dial: connects to an address; for tests.
        tls: how certificates are verified; by default against certifi's and the system's.

    Raises:
        InputError: an entry of ``http_allow`` cannot be read.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        lookup: Resolve = resolve,
        dial: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        settings = settings or Settings()
        self.allow: Final = AllowList(settings.http_allow)
        self.timeout: Final = settings.http_timeout
        self.max_bytes: Final = settings.http_max_bytes
        self.limiter: Final = anyio.CapacityLimiter(settings.http_connections)
        self._lookup = lookup
        self._dial = dial or httpcore.AnyIOBackend()
        self._tls = tls

    @functools.cached_property
    def tls(self) -> ssl.SSLContext:
        """How certificates are verified. Made when it is needed first, for that takes 20 ms."""
        if self._tls is not None:
            return self._tls
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context

    def network(self) -> GuardedNetwork:
        """Return the network for one request."""
        return GuardedNetwork(self.allow, self._lookup, self._dial)


class HttpRunner:
    """Makes the requests of one task: an `ActivityRunner`.

    Args:
        resources: what the runners of the engine share.
        expect: the statuses that are a success: see `expected_statuses`.
    """

    __slots__ = ("_expect", "_resources")

    def __init__(self, resources: HttpResources, expect: Iterable[int | str] | None = None) -> None:
        self._resources = resources
        self._expect = expected_statuses(expect)

    async def run(self, attempt: Attempt) -> bytes:
        """Make the request that ``attempt.arguments`` describe, and return the answer.

        Cancelling it closes the connection, and then lets the cancellation through.

        Returns:
            ``{"status": ..., "headers": {...}, "body": ...}``, encoded.

        Raises:
            ReportedError: the request cannot be made, is not answered, or not as expected: see
                `flowmgr.http.errors`.
        """
        request = read_request(attempt.arguments, _key(attempt))
        async with self._resources.limiter:
            with anyio.move_on_after(self._resources.timeout):
                return encode_value(await self._follow(request))
        raise timed_out(request.origin, self._resources.timeout)

    async def _follow(self, request: HttpRequest) -> dict[str, Any]:
        """Make *request*, and those that it is redirected to."""
        for _ in range(MAX_HOPS + 1):
            answer = await self._exchange(request)
            if isinstance(answer, dict):
                return answer
            request = answer
        raise redirect_error(request.origin, f"is the {MAX_HOPS + 1}th; {MAX_HOPS} are followed")

    async def _exchange(self, request: HttpRequest) -> dict[str, Any] | HttpRequest:
        """Make one request; return its answer, or the request that it is redirected to."""
        try:
            async with (
                self._resources.network() as network,
                httpcore.AsyncConnectionPool(
                    ssl_context=self._tls_for(request),
                    max_connections=1,
                    max_keepalive_connections=0,
                    network_backend=network,
                ) as pool,
            ):
                response = await pool.handle_async_request(_for_the_wire(request))
                try:
                    return await self._read(request, response, network)
                finally:
                    with anyio.CancelScope(shield=True):
                        await response.aclose()
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise _not_connected(request.origin, error) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            why = str(error) or "the connection broke"
            raise transfer_error(request.origin, why) from error

    async def _read(
        self, request: HttpRequest, response: httpcore.Response, network: GuardedNetwork
    ) -> dict[str, Any] | HttpRequest:
        headers, status = plain_headers(response.headers), response.status
        if request.follows and status in REDIRECTS and "location" in headers:
            location = headers["location"].encode("latin-1").decode("utf-8", "replace")
            return redirected(request, status, location)
        is_expected = status in self._expect
        most = self._resources.max_bytes
        try:
            reader = BodyReader(headers, most if is_expected else min(most, MAX_ERROR_BODY))
            body = await _read_all(response, reader, network)
            value = body_value(body, headers) if is_expected else lenient_value(body, headers)
        except BodyRefusedError as error:
            if is_expected:
                raise body_error(request.origin, str(error)) from error
            start = error.start if isinstance(error, BodyTooLargeError) else b""
            value = start.decode("utf-8", "replace") or None
        if not is_expected:
            raise status_error(request.origin, status, value)
        return {"status": status, "headers": headers, "body": value}

    def _tls_for(self, request: HttpRequest) -> ssl.SSLContext | None:
        return self._resources.tls if request.url.scheme == "https" else None


async def _read_all(
    response: httpcore.Response, reader: BodyReader, network: GuardedNetwork
) -> bytes:
    """Read the body; when it is refused, read no more from the network and raise why."""
    refusal: BodyRefusedError | None = None
    try:
        async for piece in response.aiter_stream():
            if refusal is None:
                try:
                    reader.take(piece)
                except BodyRefusedError as error:
                    refusal = error
                    network.stop()
    except (StoppedError, httpcore.ProtocolError, httpcore.NetworkError):
        if refusal is None:
            raise
    if refusal is not None:
        raise refusal
    return reader.whole()


def _key(attempt: Attempt) -> str:
    """Return a key for what the task asks for, the same for all attempts of one visit.

    A server that knows such keys does once what it is asked twice.
    """
    started = attempt.started
    place = [attempt.execution_id, started.scope, started.task, started.visit]
    if attempt.opening:
        place.append(attempt.opening)
    return hashlib.sha256(encode_value(place)).hexdigest()[:32]


def _for_the_wire(request: HttpRequest) -> httpcore.Request:
    url = request.url
    headers = {**request.headers, "connection": "close"}
    built = httpx.Request(request.method, url, headers=headers, content=request.content)
    target = httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )
    return httpcore.Request(
        request.method, target, headers=built.headers.raw, content=request.content
    )


def _not_connected(origin: str, error: Exception) -> ReportedError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return tls_error(origin, cause.verify_message)
        cause = cause.__cause__ or cause.__context__
    return connect_error(origin, str(error) or "there was no answer")
