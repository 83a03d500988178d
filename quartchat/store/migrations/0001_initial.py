"""Accounts, sessions, rooms, members, events."""

import peewee as pw


def up(_migrator, db):
    """Make the tables, as they were in this version."""

    class Table(pw.Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Account(Table):
        id = pw.BigAutoField()
        username = pw.CharField(max_length=32, unique=True)
        display_name = pw.CharField(max_length=64)
        password_hash = pw.CharField(max_length=60)
        created_at = pw.CharField(max_length=24)

    class Session(Table):
        id = pw.BigAutoField()
        secret_hash = pw.CharField(max_length=64, unique=True)
        account = pw.ForeignKeyField(Account, on_delete="CASCADE")
        kind = pw.CharField(max_length=6)
        name = pw.CharField(max_length=64)
        created_at = pw.CharField(max_length=24)

    class Room(Table):
        id = pw.BigAutoField()
        name = pw.CharField(max_length=64)
        key = pw.CharField(max_length=255)
        topic = pw.CharField(max_length=255)
        visibility = pw.CharField(max_length=7)
        created_at = pw.CharField(max_length=24)
        member_count = pw.IntegerField()

    # Unique among public rooms only; also the order in which rooms are listed.
    Room.add_index(
        Room.index(Room.key, unique=True, where=(Room.visibility == "public"), name="room_public")
    )
    Room.add_index(Room.index(Room.key, Room.id, name="room_order"))

    class Member(Table):
        room = pw.ForeignKeyField(Room, on_delete="CASCADE")
        account = pw.ForeignKeyField(Account, on_delete="CASCADE")
        role = pw.CharField(max_length=9)
        state = pw.CharField(max_length=7)
        ticket = pw.CharField(max_length=32)
        joined_n = pw.BigIntegerField()
        read_id = pw.BigIntegerField()
        read_messages = pw.BigIntegerField()

        class Meta:
            primary_key = pw.CompositeKey("room", "account")

    class Event(Table):
        room_id = pw.BigIntegerField()
        n = pw.BigIntegerField()
        type = pw.CharField(max_length=16)
        data = pw.TextField()
        messages = pw.BigIntegerField()
        feed = pw.BigIntegerField()
        author_id = pw.BigIntegerField()
        client_id = pw.CharField(max_length=64, null=True)

        class Meta:
            primary_key = pw.CompositeKey("room_id", "n")

    # NULLs are distinct in both engines, so sends without a client_id do not collide.
    Event.add_index(
        Event.index(Event.room_id, Event.author_id, Event.client_id, unique=True, name="event_sent")
    )
    Event.add_index(Event.index(Event.room_id, Event.feed, name="event_feed"))
    # A page of messages skips joins and leaves without reading them.
    Event.add_index(
        Event.index(Event.room_id, Event.n, where=(Event.type == "message"), name="event_message")
    )
    db.create_tables([Account, Session, Room, Member, Event])
