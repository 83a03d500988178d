"""Queries on accounts and their sessions."""

from dataclasses import dataclass

import peewee as pw

from quartchat import errors
from quartchat.events import User, UserId, now
from quartchat.store import transaction
from quartchat.store.models import Account, Session


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A live session and whose it is; `secret_hash` names it everywhere."""

    id: int
    secret_hash: str
    kind: str  # cookie, token
    name: str
    created_at: str
    user: User


def add_account(username: str, display_name: str, password_hash: str) -> User:
    """Make an account. Raises `UsernameTaken`."""
    try:
        account = Account.create(
            username=username,
            display_name=display_name,
            password_hash=password_hash,
            created_at=now(),
        )
    except pw.IntegrityError:
        raise errors.UsernameTaken(field="username") from None
    return user(account)


def credentials(username: str) -> tuple[User, str] | None:
    """Return a user and the hash of the password, or None."""
    account = Account.get_or_none(Account.username == username)
    return None if account is None else (user(account), account.password_hash)


def add_session(user_id: UserId, secret_hash: str, kind: str, name: str) -> SessionRow:
    """Start a session."""
    with transaction():
        row = Session.create(
            account=user_id, secret_hash=secret_hash, kind=kind, name=name, created_at=now()
        )
        return _session(row)


def session(secret_hash: str) -> SessionRow | None:
    """Return the session that a secret opens, or None."""
    row = (
        Session.select(Session, Account).join(Account).where(Session.secret_hash == secret_hash)
    ).first()
    return None if row is None else _session(row)


def tokens(user_id: UserId) -> list[SessionRow]:
    """Return a user's tokens, oldest first."""
    rows = (
        Session.select(Session, Account)
        .join(Account)
        .where(Session.account == user_id, Session.kind == "token")
        .order_by(Session.id)
    )
    return [_session(row) for row in rows]


def remove_session(secret_hash: str) -> None:
    """End a session; one that has ended already is fine."""
    Session.delete().where(Session.secret_hash == secret_hash).execute()


def live_sessions(secret_hashes: list[str]) -> set[str]:
    """Return those of the given sessions that have not ended."""
    rows = Session.select(Session.secret_hash).where(Session.secret_hash.in_(secret_hashes))
    return {row.secret_hash for row in rows}


def user(account: Account) -> User:
    """Turn a row into what others see of it."""
    return User(UserId(account.id), account.username, account.display_name, account.created_at)


def _session(row: Session) -> SessionRow:
    return SessionRow(
        row.id, row.secret_hash, row.kind, row.name, row.created_at, user(row.account)
    )
