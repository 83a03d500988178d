"""What names a send: the digest of what was asked, and when its `client_id` was made."""

import hashlib

from quartchat.events import Message

UUID_CHARS = 36


def digest(body: str, reply_to: int | None, edits: int | None = None) -> str:
    """Return what tells one request under a client_id from another: a send, or an edit."""
    place = f"{reply_to or ''}" if edits is None else f"edit {edits}"
    text = f"{place}:{body}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def digest_of(type_: str, message: Message) -> str:
    """Return the digest of the request that made an event, of which this is the message."""
    edits = message.id if type_ == "message.update" else None
    return digest(message.body, message.reply_to, edits)


def made_ms(client_id: str) -> int | None:
    """Return the time in a UUIDv7 (RFC 9562, 5.7), in ms; None for any other client_id."""
    digits = client_id.replace("-", "")
    if len(client_id) != UUID_CHARS or len(digits) != 32 or digits[12] != "7":  # noqa: PLR2004
        return None
    try:
        return int(digits, 16) >> 80
    except ValueError:
        return None
