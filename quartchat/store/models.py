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
    """A user. `username` is stored folded, so unique means unique whatever the case.

    A closed account keeps its row, so that its id is never given to another.
    """

    id = pw.BigAutoField()
    username = pw.CharField(max_length=32, unique=True)
    display_name = pw.CharField(max_length=64)
    password_hash = pw.CharField(max_length=60)
    created_at = pw.CharField(max_length=24)
    display_key = pw.CharField(max_length=255, null=True)  # folded, to be searched
    closed_at = pw.CharField(max_length=24, null=True)


class Session(Table):
    """A sign-in (`cookie`) or a program's `token`; only the hash of the secret is kept."""

    id = pw.BigAutoField()
    secret_hash = pw.CharField(max_length=64, unique=True)
    account = pw.ForeignKeyField(Account, on_delete="CASCADE")
    kind = pw.CharField(max_length=6)
    name = pw.CharField(max_length=64)
    created_at = pw.CharField(max_length=24)


class Room(Table):
    """A room. `key` is its folded name, unique among public rooms.

    A removed room keeps its row, without a name and members, so that its id is never used again.
    """

    id = pw.BigAutoField()
    name = pw.CharField(max_length=64)
    key = pw.CharField(max_length=255)
    topic = pw.CharField(max_length=255)
    visibility = pw.CharField(max_length=7)
    created_at = pw.CharField(max_length=24)
    member_count = pw.IntegerField()
    archived_at = pw.CharField(max_length=24, null=True)
    removed_at = pw.CharField(max_length=24, null=True)
    pair = pw.CharField(max_length=41, null=True, unique=True)  # of accounts, if it is direct
    link = pw.CharField(max_length=43, null=True, unique=True)  # whoever has it may join


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
    digest = pw.CharField(max_length=24, null=True)  # of the request, once its text is deleted

    class Meta:
        """The number is the key; `(author, client_id)` is the slow half of idempotency."""

        primary_key = pw.CompositeKey("room_id", "n")


class Ban(Table):
    """Who may not come into a room."""

    room = pw.ForeignKeyField(Room, on_delete="CASCADE")
    account = pw.ForeignKeyField(Account, on_delete="CASCADE")
    by_id = pw.BigIntegerField()
    reason = pw.CharField(max_length=255)
    created_at = pw.CharField(max_length=24)

    class Meta:
        """One row per room and account."""

        primary_key = pw.CompositeKey("room", "account")


class Invitation(Table):
    """Who may come into a room, until it is accepted, declined or withdrawn."""

    id = pw.BigAutoField()
    room = pw.ForeignKeyField(Room, on_delete="CASCADE")
    inviter = pw.ForeignKeyField(Account, on_delete="CASCADE")
    invitee = pw.ForeignKeyField(Account, on_delete="CASCADE")
    created_at = pw.CharField(max_length=24)


class Chore(Table):
    """What a commit of SQL still owes to Redis or to the archive; written by that commit."""

    id = pw.BigAutoField()
    data = pw.TextField()
    due = pw.BigIntegerField(index=True)  # ms


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


class Mention(Table):
    """Who is mentioned by message `n` of a room and may not have read it."""

    account_id = pw.BigIntegerField()
    room_id = pw.BigIntegerField()
    n = pw.BigIntegerField()

    class Meta:
        """In the order in which a user's are counted."""

        primary_key = pw.CompositeKey("account_id", "room_id", "n")
