"""Queries on who there is."""

from typing import Any

import peewee as pw

from quartchat import errors
from quartchat.events import User, UserId
from quartchat.store import accounts, models
from quartchat.store.models import Account

PREFIX = 2  # characters; fewer must be all of a name


def person(user_id: UserId) -> User:
    """Return a user; one who closed the account is called as the messages say. Raises NotFound."""
    found = accounts.known(user_id)
    if found is None:
        raise errors.NotFound
    return found


def search(text: str, limit: int) -> list[User]:
    """Return users whose username or display name begins with a text, by username first."""
    key = accounts.fold(text)
    found: dict[int, User] = {}
    for column in (Account.username, Account.display_key):
        matches = _begins(column, key) if len(key) >= PREFIX else column == key
        rows = Account.select().where(matches, Account.closed_at.is_null())
        for row in rows.order_by(column, Account.id).limit(limit):
            found.setdefault(row.id, accounts.user(row))
    return list(found.values())[:limit]


def _begins(column: Any, text: str) -> Any:
    """Whether a column begins with a text, as an index can find it."""
    if isinstance(models.database.obj, pw.SqliteDatabase):  # which compares bytes of UTF-8
        return (column >= text) & (column < f"{text}\U0010ffff")
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return pw.Expression(column, pw.OP.LIKE, f"{escaped}%")
