"""Problem documents (RFC 9457): what every error is answered with."""

from collections.abc import Sequence

import msgspec

from quartchat.errors import ChatError, Fault

CONTENT_TYPE = "application/problem+json"


class FieldError(msgspec.Struct):
    """A value that is not allowed."""

    field: str
    message: str


class Problem(msgspec.Struct):
    """RFC 9457; `code` is stable, and the beginning of this document lists them all."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] = []


def document(
    status: int, code: str, title: str, detail: str, faults: Sequence[Fault] = ()
) -> bytes:
    """Write a problem; a fault without a field is told by `detail` alone."""
    fields = [FieldError(*fault) for fault in faults if fault[0]]
    return msgspec.json.encode(
        Problem(f"urn:quartchat:problem:{code}", title, status, detail, code, fields)
    )


def of(error: ChatError) -> bytes:
    """Write one of our errors."""
    return document(error.status, error.code, error.title, error.detail, error.faults)
