"""The tables. Schema changes go through `migrations/`, which freeze their own copies."""

import peewee as pw

database = pw.DatabaseProxy()


class Table(pw.Model):
    """What all tables share: the one database of this process."""

    class Meta:
        """Peewee's settings."""

        database = database
        legacy_table_names = False


class Account(Table):
    """A user. `username` is stored folded, so unique means unique whatever the case."""

    id = pw.BigAutoField()
    username = pw.CharField(max_length=32, unique=True)
    display_name = pw.CharField(max_length=64)
    password_hash = pw.CharField(max_length=60)
    created_at = pw.CharField(max_length=24)


class Session(Table):
    """A sign-in (`cookie`) or a program's `token`; only the hash of the secret is kept."""

    id = pw.BigAutoField()
    secret_hash = pw.CharField(max_length=64, unique=True)
    account = pw.ForeignKeyField(Account, on_delete="CASCADE")
    kind = pw.CharField(max_length=6)
    name = pw.CharField(max_length=64)
    created_at = pw.CharField(max_length=24)


class Room(Table):
    """A room. `key` is its folded name, unique among public rooms."""

    id = pw.BigAutoField()
    name = pw.CharField(max_length=64)
    key = pw.CharField(max_length=255)
    topic = pw.CharField(max_length=255)
    visibility = pw.CharField(max_length=7)
    created_at = pw.CharField(max_length=24)
    member_count = pw.IntegerField()


class Member(Table):
    """Who is in a room.

    SQL and the room's log change one after the other, so the row says what is still owed:
    `joining` until `member.join` is on the log, `leaving` until `member.leave` is, and then
    it is deleted. `ticket` is the idempotency key of both, so either step may be repeated.
    """

    room = pw.ForeignKeyField(Room, on_delete="CASCADE")
    account = pw.ForeignKeyField(Account, on_delete="CASCADE")
    role = pw.CharField(max_length=9)
    state = pw.CharField(max_length=7)
    ticket = pw.CharField(max_length=32)
    joined_n = pw.BigIntegerField()
    read_id = pw.BigIntegerField()
    read_messages = pw.BigIntegerField()

    class Meta:
        """One row per room and account."""

        primary_key = pw.CompositeKey("room", "account")


class Event(Table):
    """The archive: every numbered event of every room, as it went out."""

    room_id = pw.BigIntegerField()
    n = pw.BigIntegerField()
    type = pw.CharField(max_length=16)
    data = pw.TextField()
    messages = pw.BigIntegerField()
    feed = pw.BigIntegerField()
    author_id = pw.BigIntegerField()
    client_id = pw.CharField(max_length=64, null=True)

    class Meta:
        """The number is the key; `(author, client_id)` is the slow half of idempotency."""

        primary_key = pw.CompositeKey("room_id", "n")


class Latest(Table):
    """The messages that were changed, each as it stands after its event `n`."""

    room_id = pw.BigIntegerField()
    about = pw.BigIntegerField()
    n = pw.BigIntegerField()
    data = pw.TextField()

    class Meta:
        """One row per message."""

        primary_key = pw.CompositeKey("room_id", "about")


class Edit(Table):
    """Which events hold a message's text, but for the first: they lose it with the message."""

    room_id = pw.BigIntegerField()
    about = pw.BigIntegerField()
    n = pw.BigIntegerField()

    class Meta:
        """By message."""

        primary_key = pw.CompositeKey("room_id", "about", "n")
