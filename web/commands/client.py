"""A server as the command line asks it, over HTTP."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import rich_click as click

from web.commands.errors import NOT_FINE, REFUSED, refuse, tells_errors

PATIENCE: Final = 30.0
"""Seconds that a server may take to answer, beside what it is asked to wait."""

PAGE: Final = 1000

_MARKS: Final = {"items", "execution_id", "action"}
"""Fields of which everything that is asked for here has one: a list, an execution, a report."""

_NO_NAMES: Final = {"", ".", ".."}
"""What cannot be a name in a path: the path would be that of something else."""


class AnswerError(Exception):
    """A server has not done what it was asked; the message says why, in one line.

    Attributes:
        exit_code: how the command is to end.
    """

    exit_code = NOT_FINE


class UnreachableError(AnswerError):
    """No server of flowmgr answers there."""

    exit_code = REFUSED


class NotAskedError(AnswerError):
    """A server was not asked: what is given cannot be sent, or names nothing that it could have."""

    exit_code = REFUSED


class Server:
    """A server of flowmgr.

    Every method that asks it raises UnreachableError if it does not answer, AnswerError if it
    answers that it will not do what it is asked, and NotAskedError if that cannot be sent.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            # To load what certificates are verified by takes longer than all else that a command
            # does, so it is left out where there are none.
            has_certificate = httpx.URL(url).scheme != "http"
            self._client = httpx.Client(base_url=url, verify=has_certificate)
        except httpx.InvalidURL as error:
            msg = f"{url!r} is no URL of a server: {error}"
            raise UnreachableError(msg) from error

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, wait: float | None = None, **params: Any) -> Any:
        """Return what is at a path, after a wait of *wait* seconds at most; at once if None."""
        return self._ask("GET", path, PATIENCE + (wait or 0), params=params | {"wait": wait})

    def post(
        self,
        path: str,
        body: Any,
        wait: float | None = None,
        *,
        key: str | None = None,
        patience: float = PATIENCE,
        **params: Any,
    ) -> Any:
        """Ask for something, and wait *wait* seconds for the end of the execution.

        Args:
            path: of what.
            body: what to send, as JSON; nothing if None.
            wait: how long to wait; None to have an answer at once.
            key: an idempotency key.
            patience: seconds that the server may take, beside the wait.
            params: query parameters; those that are None are left out.
        """
        headers = {} if wait is None else {"Prefer": f"wait={wait:f}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        timeout = patience + (wait or 0)
        return self._ask("POST", path, timeout, json=body, headers=headers, params=params)

    def delete(self, path: str, **params: Any) -> None:
        """Delete what is at a path."""
        self._ask("DELETE", path, PATIENCE, params=params)

    def items(self, path: str, limit: int | None, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield what is in a list, page by page, at most *limit* items."""
        cursor = None
        while limit is None or limit > 0:
            size = PAGE if limit is None else min(limit, PAGE)
            page = self.get(path, **params, limit=size, cursor=cursor)
            yield from page["items"]
            cursor = page["next_cursor"]
            limit = None if limit is None else limit - len(page["items"])
            if cursor is None:
                return

    def _ask(
        self, method: str, path: str, timeout: float, *, params: dict[str, Any], **more: Any
    ) -> Any:
        given = {name: value for name, value in params.items() if value is not None}
        try:
            answer = self._client.request(method, path, params=given, timeout=timeout, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            msg = (
                f"no server answers at {self._url} ({error}); start one with 'flowmgr serve', or "
                "say where it is with --url"
            )
            raise UnreachableError(msg) from error
        except UnicodeEncodeError as error:
            msg = f"{error.object!r} cannot be sent as {error.encoding.upper()}"
            raise NotAskedError(msg) from error
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> Any:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        try:
            if answer.status_code == httpx.codes.NO_CONTENT:
                return None
            if answer.is_success and not _MARKS.isdisjoint(answer.json()):
                return answer.json()
            if kind == "application/problem+json":
                raise AnswerError(str(answer.json()["detail"]))
        except (ValueError, KeyError, TypeError):
            pass
        msg = (
            f"what answers at {self._url} is no server of flowmgr (status {answer.status_code}, "
            f"{kind or 'no content type'}); say where it is with --url"
        )
        raise UnreachableError(msg)


def path_of(execution_id: str, *more: str) -> str:
    """Return the path of an execution, or of something of it.

    Raises:
        NotAskedError: the id or the name is a text that would lead elsewhere.
    """
    if execution_id.strip() in _NO_NAMES:
        msg = f"{execution_id!r} is no ID of an execution; 'flowmgr executions list' shows them"
        raise NotAskedError(msg)
    if any(each.strip() in _NO_NAMES for each in more):
        raise NotAskedError(f"{more[-1]!r} is no name of a signal")
    names = (quote(each, safe="", errors="surrogatepass") for each in (execution_id, *more))
    return "/".join(["/executions", *names])


def asks_server(command: Callable[..., None]) -> Callable[..., None]:
    """Have *command* take `--url` and get the server there as its first argument.

    What goes wrong is told in one line.
    """

    @click.option(
        "--url",
        default="http://127.0.0.1:8000",
        envvar="FLOWMGR_URL",
        show_default=True,
        show_envvar=True,
        help="Where the server is.",
    )
    @tells_errors
    @functools.wraps(command)
    def asking(*args: Any, url: str, **options: Any) -> None:
        try:
            with Server(url) as server:
                command(server, *args, **options)
        except AnswerError as error:
            refuse(" ".join(str(error).split()), error.exit_code)

    return asking
