"""Queries on accounts and their sessions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import peewee as pw

from quartchat import errors
from quartchat.events import Control, RoomId, User, UserId, now
from quartchat.store import chores, locked, transaction
from quartchat.store.chores import Chore
from quartchat.store.models import Account, Member, Session

ROOMS_TOLD = 1000  # in one entry of the feed, which has some kilobytes then

_encode = msgspec.json.encode


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
            display_key=fold(display_name),
        )
    except pw.IntegrityError:
        raise errors.UsernameTaken(field="username") from None
    return user(account)


def credentials(username: str) -> tuple[User, str] | None:
    """Return a user and the hash of the password, or None."""
    account = Account.get_or_none(Account.username == username, Account.closed_at.is_null())
    return None if account is None else (user(account), account.password_hash)


def known(user_id: UserId) -> User | None:
    """Return a user, also one whose account is closed; None if there never was one."""
    account = Account.get_or_none(Account.id == user_id)
    return None if account is None else user(account)


def password_hash(user_id: UserId) -> str:
    """Return the hash of a user's password. Raises `Unauthenticated` if the account is closed."""
    return str(opened(user_id).password_hash)


def add_session(
    user_id: UserId,
    secret_hash: str,
    kind: str,
    name: str,
    password_hash: str | None = None,
    *,
    most: int | None = None,
) -> SessionRow:
    """Start a session, of which the account may have `most` of this kind.

    Raises `InvalidCredentials` if the password that was checked, by this hash, is not good any
    more, `Unauthenticated` if the account is closed, and `ValidationFailed` for one too many.
    """
    with transaction():
        account = opened(user_id)
        if password_hash is not None and account.password_hash != password_hash:
            raise errors.InvalidCredentials
        same = (Session.account == user_id, Session.kind == kind)
        if most is not None and Session.select().where(*same).count() >= most:
            raise errors.ValidationFailed(f"You have {most} {kind}s; revoke one first.")
        row = Session.create(
            account=user_id, secret_hash=secret_hash, kind=kind, name=name, created_at=now()
        )
        return _session(row)


def sessions(secret_hashes: Collection[str]) -> dict[str, SessionRow]:
    """Return the sessions that some secrets open."""
    rows = (
        Session.select(Session, Account).join(Account).where(Session.secret_hash.in_(secret_hashes))
    )
    return {row.secret_hash: _session(row) for row in rows}


def tokens(user_id: UserId) -> list[SessionRow]:
    """Return a user's tokens, oldest first."""
    rows = (
        Session.select(Session, Account)
        .join(Account)
        .where(Session.account == user_id, Session.kind == "token")
        .order_by(Session.id)
    )
    return [_session(row) for row in rows]


def cookies(user_id: UserId) -> list[SessionRow]:
    """Return where a user is signed in, newest first."""
    rows = (
        Session.select(Session, Account)
        .join(Account)
        .where(Session.account == user_id, Session.kind == "cookie")
        .order_by(Session.id.desc())
    )
    return [_session(row) for row in rows]


def set_password(user_id: UserId, was: str, password_hash: str, keep: str) -> Chore:
    """Change a password by its hashes, and end every cookie's session but one.

    Raises `InvalidCredentials` if it has changed meanwhile.
    """
    with transaction():
        account = opened(user_id)
        if account.password_hash != was:
            raise errors.InvalidCredentials("The password is wrong.", field="current_password")
        Account.update(password_hash=password_hash).where(Account.id == user_id).execute()
        return end_sessions(user_id, Session.kind == "cookie", Session.secret_hash != keep)


def set_display_name(user_id: UserId, display_name: str) -> tuple[User, Chore]:
    """Change what a user is called."""
    with transaction():
        account = opened(user_id)
        account.display_name, account.display_key = display_name, fold(display_name)
        account.save()
        renamed = user(account)
        return renamed, chores.owe(chores.Announce(named(renamed, rooms_of(user_id))))


def rooms_of(user_id: UserId) -> list[RoomId]:
    """Return the rooms that an account is in, joins or leaves."""
    rows: Any = Member.select(Member.room).where(Member.account == user_id)
    return [room_id for (room_id,) in rows.tuples()]


def named(known: User, rooms: Sequence[RoomId]) -> tuple[Control, ...]:
    """Return what every process is to hear of a user who is called otherwise now.

    It is for the user's own streams, and for those of whoever is in one of the rooms.
    """
    data = _encode(known).decode()
    return tuple(
        Control("user", known.id, data=data, rooms=tuple(rooms[start : start + ROOMS_TOLD]))
        for start in range(0, max(len(rooms), 1), ROOMS_TOLD)
    )


def end_sessions(user_id: UserId, *which: Any, also: tuple[Control, ...] = ()) -> Chore:
    """End a user's sessions, all or some, in a transaction; every process is to hear of it.

    `also`: what else they hear, after it.
    """
    mine = (Session.account == user_id, *which)
    hashes = [row.secret_hash for row in Session.select(Session.secret_hash).where(*mine)]
    Session.delete().where(*mine).execute()
    ended = tuple(Control("session", user_id, session=each) for each in hashes)
    return chores.owe(chores.Announce((*ended, Control("user", user_id), *also)))


def end_session(user_id: UserId, secret_hash: str) -> Chore:
    """End one session; one that has ended already is fine. Every process is to hear of it."""
    with transaction():
        Session.delete().where(Session.secret_hash == secret_hash).execute()
        ended = Control("session", user_id, session=secret_hash)
        return chores.owe(chores.Announce((ended,)))


def live_sessions(secret_hashes: list[str]) -> set[str]:
    """Return those of the given sessions that have not ended."""
    rows = Session.select(Session.secret_hash).where(Session.secret_hash.in_(secret_hashes))
    return {row.secret_hash for row in rows}


def opened(user_id: UserId) -> Any:
    """Return an account, in a transaction, that is not closed before this one ends."""
    row = locked(Account.select().where(Account.id == user_id, Account.closed_at.is_null())).first()
    if row is None:
        raise errors.Unauthenticated
    return row


def fold(name: str) -> str:
    """Return the form of a display name that is searched."""
    return name.casefold()[:255]


def user(account: Account) -> User:
    """Turn a row into what others see of it."""
    return User(UserId(account.id), account.username, account.display_name, account.created_at)


def _session(row: Session) -> SessionRow:
    return SessionRow(
        row.id, row.secret_hash, row.kind, row.name, row.created_at, user(row.account)
    )
