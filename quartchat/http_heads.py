"""The heads of HTTP/1.1 messages (RFC 9112): reads a plain request's, writes a response's.

Plain is what nearly all clients send, and less than the RFC allows on purpose: whatever is
not plain is left to h11, which knows all of it and refuses what is wrong. Pure: no I/O.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from time import time
from wsgiref.handlers import format_date_time

import msgspec

HEAD_BYTES = 16 << 10  # of a request; h11 answers 431 to a longer one
BODY_BYTES = 64 << 10  # as much as we take; h11 reads a longer one, until it is refused
REMEMBERED = 1024  # heads, as most clients send the same one again and again,
REMEMBERED_BYTES = 2 << 10  # if it is no longer than this

RawHeaders = list[tuple[bytes, bytes]]

_REQUEST = re.compile(
    rb"([A-Z]{3,7}) (/[\x21-\x7e]*) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n"
)
# Each means something for the connection, which h11 knows and we do not.
_ODD = {b"expect", b"transfer-encoding", b"upgrade", b"http2-settings"}
_LENGTH = re.compile(rb"[0-9]{1,6}")
_STATUS = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}


class Plain(msgspec.Struct, frozen=True):
    """A request's head: the names of `headers` are in lower case, `length` is its body's."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    length: int


def plain(data: bytes) -> tuple[Plain, bytes] | None:
    """Read a request's head from its first byte on; return it and what follows, if it is plain."""
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES) + 4
    if end < 4:  # noqa: PLR2004 - not found: the rest is yet to come, or it is too long
        return None
    found = (_remembered if end <= REMEMBERED_BYTES else _read)(data[:end])
    return None if found is None else (found, data[end:])


def response(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write a response's head, with the date. Raises ValueError if a header is no single line."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
        raise ValueError("a header with a line break")
    return b"%b%bdate: %b\r\n\r\n" % (_line(status), head, _date(int(time())))


def _read(head: bytes) -> Plain | None:
    match = _REQUEST.fullmatch(head)
    if match is None:
        return None
    method, target, lines = match.groups()
    headers = tuple(
        (name.lower(), value.strip(b" \t"))
        for name, _, value in (line.partition(b":") for line in lines.split(b"\r\n")[:-1])
    )
    fields = dict(headers)
    length = fields.get(b"content-length", b"0")
    if (
        len(fields) != len(headers)  # one given twice may be an attack, or a list
        or b"host" not in fields
        or fields.get(b"connection", b"keep-alive").lower() != b"keep-alive"
        or not _ODD.isdisjoint(fields)
        or not _LENGTH.fullmatch(length)
        or int(length) > BODY_BYTES
    ):
        return None
    return Plain(method.decode(), target, headers, int(length))


_remembered = lru_cache(REMEMBERED)(_read)


def _line(status: int) -> bytes:
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status


@lru_cache(maxsize=1)
def _date(now_s: int) -> bytes:
    return format_date_time(now_s).encode()
