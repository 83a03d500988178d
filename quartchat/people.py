"""The use cases on people: who there is, and what one may change of oneself."""

from quartchat import chores, clearing, store
from quartchat.auth import Auth
from quartchat.events import User, UserId
from quartchat.store import accounts, people
from quartchat.store import clearing as closing
from quartchat.stream import Streams


class People:
    """Users, for one process."""

    def __init__(self, streams: Streams, auth: Auth) -> None:
        self._streams = streams
        self._auth = auth

    async def search(self, text: str, limit: int) -> list[User]:
        """Return users whose username or display name begins with a text."""
        return await store.run(people.search, text, limit)

    async def person(self, user_id: UserId) -> User:
        """Return a user. Raises NotFound."""
        return await store.run(people.person, user_id)

    async def rename(self, user: User, display_name: str) -> User:
        """Change what a user is called, on every process, and tell who shares a room.

        Messages keep what they said.
        """
        renamed, chore = await store.run(accounts.set_display_name, user.id, display_name)
        self._auth.forget(user.id)
        await chores.pay(self._streams, chore)
        return renamed

    async def close(self, user: User, password: str) -> None:
        """Close a user's account for ever; what it wrote stays, without its name.

        Raises InvalidCredentials.
        """
        hashed = await self._auth.check_password(user, password, "password")
        told, _ = await store.run(closing.close, user.id, hashed)
        self._auth.forget(user.id)
        await chores.pay(self._streams, told)
        await clearing.leave_rooms(self._streams, user.id)  # the rest is a worker's
