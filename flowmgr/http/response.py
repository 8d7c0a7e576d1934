"""Reading the body of an answer: bounded while it is unpacked, then as JSON or as text."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from actors.values import MAX_DEPTH, encode_value
from flowmgr.errors import DocumentError
from flowmgr.language.documents import parse_json

_CODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": 15}
_CHARSETS = re.compile(
    r"utf-(8|16|32)(-[bl]e)?|ascii|iso8859-\d+|cp\d+|koi8-[ru]|shift_jis|euc_(jp|kr)|gb(k|18030|2312)"
    r"|big5"
)
_JSON = re.compile(r"application/json|[a-z0-9.!#$&^_-]+/[a-z0-9.!#$&^_-]+\+json")
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([A-Za-z0-9._-]{1,40})', re.IGNORECASE)


class BodyRefusedError(Exception):
    """The body cannot be read; the message goes on after "the body that HOST sent"."""


class BodyTooLargeError(BodyRefusedError):
    """It has more bytes than may be.

    Attributes:
        start: those that may be.
    """

    def __init__(self, start: bytes, most: int) -> None:
        super().__init__(f"has more than {most:,} bytes (setting http_max_bytes)")
        self.start = start


class _Unpacker:
    """Undoes one content coding, a bounded piece at a time.

    Args:
        coding: "gzip", "x-gzip" or "deflate", which also stands for the raw form that some servers
            send under its name.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib = zlib.decompressobj(_CODINGS[coding])
        self._is_at_start = True

    def feed(self, data: bytes, most: int) -> bytes:
        """Return what *data* unpacks to, no more than *most* bytes; the rest is then lost."""
        try:
            return self._zlib.decompress(data, most)
        except zlib.error as error:
            if self._coding != "deflate" or not self._is_at_start:
                raise BodyRefusedError(f"is no {self._coding}: {error}") from error
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
            return self.feed_raw(data, most)
        finally:
            self._is_at_start = False
            if self._zlib.unused_data:
                raise BodyRefusedError(f"goes on after the end of its {self._coding}")

    def feed_raw(self, data: bytes, most: int) -> bytes:
        """Return what *data*, deflated without a header, unpacks to."""
        try:
            return self._zlib.decompress(data, most)
        except zlib.error as error:
            raise BodyRefusedError(f"is no {self._coding}: {error}") from error

    def check_end(self) -> None:
        """Raise `BodyRefusedError` if the end is missing."""
        if not self._zlib.eof and not self._is_at_start:
            raise BodyRefusedError(f"has ended in the middle of its {self._coding}")


class BodyReader:
    """Takes a body piece by piece and unpacks it, no further than one byte over what it may have.

    Args:
        headers: of the answer, by lower-case name.
        most: how many bytes the body may have, unpacked.

    Raises:
        BodyRefusedError: it is packed in a way that is not known.
    """

    def __init__(self, headers: Mapping[str, str], most: int) -> None:
        self._unpacker = _unpacker(headers.get("content-encoding", ""))
        self._most = most
        self._body = bytearray()

    def take(self, piece: bytes) -> None:
        """Add *piece*.

        Raises:
            BodyTooLargeError: the body has more bytes than it may have.
            BodyRefusedError: it cannot be unpacked.
        """
        room = self._most + 1 - len(self._body)
        self._body += self._unpacker.feed(piece, room) if self._unpacker else piece[:room]
        if len(self._body) > self._most:
            raise BodyTooLargeError(bytes(self._body[: self._most]), self._most)

    def whole(self) -> bytes:
        """Return the body, after its last piece.

        Raises:
            BodyRefusedError: its end is missing.
        """
        if self._unpacker:
            self._unpacker.check_end()
        return bytes(self._body)


def body_value(body: bytes, headers: Mapping[str, str]) -> Any:
    """Return the body as a value: JSON if that is what it is said to be, else text; None if empty.

    What is said to be text has U+FFFD for bytes that are none.

    Raises:
        BodyRefusedError: it is neither.
    """
    if not body:
        return None
    content_type = headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if _JSON.fullmatch(kind):
        try:
            value = parse_json(body, max_depth=MAX_DEPTH - 1)  # the result is one level around it
            encode_value(value)
        except (DocumentError, ValueError) as error:
            raise BodyRefusedError(f"is said to be JSON, and is not: {error}") from error
        return value
    is_text = not kind or kind.startswith("text/")
    try:
        return body.decode(_charset(content_type), "replace" if is_text else "strict")
    except UnicodeError as error:
        raise BodyRefusedError(f"is neither JSON nor text, but {kind[:80]}") from error


def lenient_value(body: bytes, headers: Mapping[str, str]) -> Any:
    """Return the body of an error as a value, whatever it is."""
    try:
        return body_value(body, headers)
    except BodyRefusedError:
        return body.decode("utf-8", "replace")


def plain_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name; those that came several times joined by commas."""
    plain: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        plain[key] = f"{plain[key]}, {text}" if key in plain else text
    return plain


def _unpacker(coding: str) -> _Unpacker | None:
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in _CODINGS:
        raise BodyRefusedError(f"is packed as {coding[:40]!r}; gzip and deflate can be unpacked")
    return _Unpacker(coding)


def _charset(content_type: str) -> str:
    """The charset that is named, if it is one of the usual ones; some of Python's are traps."""
    named = _CHARSET.search(content_type)
    if named is None:
        return "utf-8"
    try:
        name = codecs.lookup(named[1]).name
    except LookupError:
        return "utf-8"
    return name if _CHARSETS.fullmatch(name) else "utf-8"
