"""Accounts and sessions: passwords, cookies, tokens, and how often one may try.

A session lives in SQL, with the hash of its secret, which a cookie or a token holds. So a
logout kills every copy, on every process.
"""

import asyncio
import hashlib
import math
import os
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

import bcrypt
import limits
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from quartchat import chores, engines, errors, store
from quartchat.cache import Cache
from quartchat.config import Config
from quartchat.events import Control, Event, Position, User, UserId
from quartchat.feed import Feed
from quartchat.loader import Loader
from quartchat.store import accounts
from quartchat.store.accounts import SessionRow
from quartchat.stream import Streams

SESSIONS_CACHED = 20_000
SESSIONS_AT_ONCE = 200  # looked up by one query
SESSION_TTL_S = 60  # and at once where the session ends
TOKENS_PER_USER = 100
PASSWORD_BYTES = 8, 72  # of UTF-8, at least and at most; bcrypt takes no more
HASHES = 1000  # sign-ins that wait for bcrypt; past it, or
HASH_S = 10.0  # after this, they are told to come back

Rate = limits.RateLimitItem

# Guessing passwords: per name, so that many addresses help nobody; per address, so that
# many names help nobody. A school or an office may share one address.
LOGIN_PER_NAME = limits.parse("10 per 5 minutes")
LOGIN_PER_ADDRESS = limits.parse("60 per 5 minutes")
REGISTER_PER_NAME = limits.parse("10 per hour")
REGISTER_PER_ADDRESS = limits.parse("30 per hour")
PASSWORD_PER_USER = limits.parse("10 per 5 minutes")  # by somebody who took a session over

RESERVED = re.compile(r"deleted-[0-9]+")  # what closed accounts are called


def words(rate: Rate) -> str:
    """Say how often: `10 per 5 minutes`."""
    unit = rate.GRANULARITY.name
    return f"{rate.amount} per {unit if rate.multiples == 1 else f'{rate.multiples} {unit}s'}"


class Auth:
    """Who is who, for one process."""

    def __init__(self, config: Config, streams: Streams, feed: Feed) -> None:
        self._rounds = config.bcrypt_rounds
        self._streams = streams
        # bcrypt takes a core for a quarter of a second, without the interpreter's lock:
        # one core fewer than there are, so that chat goes on while people sign in.
        self._hashers = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), "bcrypt")
        self._hashing = 0
        self._nobody = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(self._rounds)).decode()
        self._cache: Cache[str, SessionRow] = Cache(
            size=SESSIONS_CACHED,
            ttl_s=SESSION_TTL_S,
            trusted=lambda: feed.fresh,
            away=store.AWAY,
        )
        self._limits = engines.connect(config.redis_url, connections=8)
        self._limiter = _limiter(self._limits) if config.rate_limits else None
        self._loader: Loader[str, SessionRow] = Loader(_load, most=SESSIONS_AT_ONCE)
        feed.listen(self._hear, self._forget)

    async def close(self) -> None:
        """End the threads and the connections."""
        await self._limits.aclose()
        self._hashers.shutdown(wait=False, cancel_futures=True)

    # -- accounts

    async def register(
        self, username: str, password: str, display_name: str, address: str, device: str
    ) -> tuple[User, str]:
        """Make an account and a session; return the user and the session's secret.

        `username` is folded already. Raises UsernameTaken, RateLimited.
        """
        await self._limit("register", REGISTER_PER_NAME, username, REGISTER_PER_ADDRESS, address)
        taken = await store.run(accounts.credentials, username) is not None
        if taken or RESERVED.fullmatch(username):
            raise errors.UsernameTaken(field="username")
        hashed = await self._hashed(password)
        user = await store.run(accounts.add_account, username, display_name, hashed)
        return user, await self._start(user, device, hashed)

    async def login(
        self, username: str, password: str, address: str, device: str
    ) -> tuple[User, str]:
        """Start a session; return the user and the session's secret.

        Raises InvalidCredentials, after the same time whether or not the user exists.
        """
        await self._limit("login", LOGIN_PER_NAME, username, LOGIN_PER_ADDRESS, address)
        found = await store.run(accounts.credentials, username)
        good = await self._matches(password, self._nobody if found is None else found[1])
        if found is None or not good:
            raise errors.InvalidCredentials
        return found[0], await self._start(found[0], device, found[1])

    async def check_password(self, user: User, password: str, field: str) -> str:
        """Return the hash of a user's password if it is this. Raises InvalidCredentials."""
        await self.limit(PASSWORD_PER_USER, "password", str(user.id))
        hashed = await store.run(accounts.password_hash, user.id)
        if not await self._matches(password, hashed):
            raise errors.InvalidCredentials("The password is wrong.", field=field)
        return hashed

    async def set_password(self, session: SessionRow, current: str, new: str) -> None:
        """Change the password; every other cookie's session ends, and tokens stay.

        A token is a program's, made on purpose, and revoked by itself; a session may be that
        of whoever learned the old password. Raises InvalidCredentials.
        """
        was = await self.check_password(session.user, current, "current_password")
        hashed, keep = await self._hashed(new), session.secret_hash
        chore = await store.run(accounts.set_password, session.user.id, was, hashed, keep)
        await chores.pay(self._streams, chore)

    # -- sessions

    async def session(self, secret: str | None) -> SessionRow:
        """Return the session that a secret opens. Raises Unauthenticated."""
        if secret is None:
            raise errors.Unauthenticated
        key = _digest(secret)
        found = await self._cache.get(key, partial(self._loader.get, key))
        if found is None:
            raise errors.Unauthenticated
        return found

    async def end(self, session: SessionRow) -> None:
        """End a session, everywhere, at once."""
        owed = await store.run(accounts.end_session, session.user.id, session.secret_hash)
        self._cache.discard(session.secret_hash)
        await chores.pay(self._streams, owed)

    async def add_token(self, user: User, name: str) -> tuple[SessionRow, str]:
        """Make a token; return its session and its secret, which is not kept."""
        secret = f"qct_{secrets.token_urlsafe(32)}"
        row = (user.id, _digest(secret), "token", name)
        return await store.run(accounts.add_session, *row, most=TOKENS_PER_USER), secret

    async def tokens(self, user: User) -> list[SessionRow]:
        """Return a user's tokens."""
        return await store.run(accounts.tokens, user.id)

    async def end_token(self, user: User, token_id: int) -> None:
        """Revoke a token of the user's own. Raises NotFound."""
        for token in await self.tokens(user):
            if token.id == token_id:
                return await self.end(token)
        raise errors.NotFound

    async def cookies(self, user: User) -> list[SessionRow]:
        """Return where a user is signed in, newest first."""
        return await store.run(accounts.cookies, user.id)

    async def end_cookie(self, user: User, session_id: int) -> None:
        """Sign a user out of one place. Raises NotFound."""
        for session in await self.cookies(user):
            if session.id == session_id:
                return await self.end(session)
        raise errors.NotFound

    async def _start(self, user: User, device: str, hashed: str) -> str:
        secret = secrets.token_urlsafe(32)
        row = (user.id, _digest(secret), "cookie", device, hashed)
        await store.run(accounts.add_session, *row)
        return secret

    async def _hashed(self, password: str) -> str:
        work = partial(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self._rounds))
        hashed: bytes = await self._work(work)
        return hashed.decode()

    async def _matches(self, password: str, hashed: str) -> bool:
        given = password.encode()
        if len(given) > PASSWORD_BYTES[1]:
            return False  # nobody has it, and bcrypt would raise
        return bool(await self._work(partial(bcrypt.checkpw, given, hashed.encode())))

    async def _work(self, work: Any) -> Any:
        if self._hashing >= HASHES:
            raise errors.Unavailable(retry_after_s=5)
        self._hashing += 1
        try:
            async with asyncio.timeout(HASH_S):
                return await asyncio.get_running_loop().run_in_executor(self._hashers, work)
        finally:
            self._hashing -= 1

    async def limit(self, rate: Rate, kind: str, key: str) -> None:
        """Count a try. Raises RateLimited."""
        if self._limiter is not None and not await self._limiter.hit(rate, kind, key):
            await self._refuse(self._limiter, rate, kind, key)

    async def _limit(
        self, what: str, per_name: Rate, name: str, per_address: Rate, address: str
    ) -> None:
        """Count a try by its name and its address. Raises RateLimited.

        A name is remembered only with a try that its address may make.
        """
        if self._limiter is not None:
            if not await self._limiter.test(per_name, f"{what}-name", name):
                await self._refuse(self._limiter, per_name, f"{what}-name", name)
            await self.limit(per_address, f"{what}-address", address)
            await self.limit(per_name, f"{what}-name", name)

    async def _refuse(
        self, limiter: MovingWindowRateLimiter, rate: Rate, kind: str, key: str
    ) -> NoReturn:
        stats = await limiter.get_window_stats(rate, kind, key)
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        raise errors.RateLimited("Too many attempts; wait a while.", retry_after_s=wait_s)

    # -- what the feed says

    def _hear(self, entries: list[tuple[int, Event | Control]]) -> None:
        for _, entry in entries:
            if isinstance(entry, Control) and entry.session is not None:
                self._cache.discard(entry.session)
            elif isinstance(entry, Control) and entry.kind == "user":
                self.forget(entry.user_id)

    def forget(self, user_id: UserId) -> None:
        """Ask SQL anew who a user is."""
        self._cache.discard_where(lambda _, session: session.user.id == user_id)

    def _forget(self, _: Position) -> None:
        self._cache.clear()


async def _load(secret_hashes: list[str]) -> dict[str, SessionRow]:
    return await store.run(accounts.sessions, secret_hashes)


def _digest(secret: str) -> str:
    # The secret is random and long, so a plain hash is as good as a slow one.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _limiter(client: Any) -> MovingWindowRateLimiter:
    class Storage(RedisStorage):
        """Theirs, on our client: one Redis, a master behind Sentinels, or a cluster."""

        def configure_bridge(self) -> None:
            self.bridge.connection_getter = lambda _: client  # type: ignore[attr-defined]

    return MovingWindowRateLimiter(Storage("async+redis://", implementation="redispy"))
