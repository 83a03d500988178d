"""Profiles and closed accounts, direct, archived and removed rooms, bans, invitations, chores."""

import peewee as pw

ROWS = 1000  # accounts folded by one statement

COLUMNS = (
    ("account", "display_key", "VARCHAR(255)"),
    ("account", "closed_at", "VARCHAR(24)"),
    ("room", "archived_at", "VARCHAR(24)"),
    ("room", "removed_at", "VARCHAR(24)"),
    ("room", "pair", "VARCHAR(41)"),
    ("room", "link", "VARCHAR(43)"),
)


def up(_migrator, db):
    """Add columns by hand: peewee's own way copies the table, and the copy cascades in SQLite."""

    class Table(pw.Model):
        class Meta:
            database = db
            legacy_table_names = False

    Account = account(db)  # noqa: N806 - a class

    class Room(Table):
        id = pw.BigAutoField()

    class Ban(Table):
        room = pw.ForeignKeyField(Room, on_delete="CASCADE")
        account = pw.ForeignKeyField(Account, on_delete="CASCADE")
        by_id = pw.BigIntegerField()
        reason = pw.CharField(max_length=255)
        created_at = pw.CharField(max_length=24)

        class Meta:
            primary_key = pw.CompositeKey("room", "account")

    class Invitation(Table):
        id = pw.BigAutoField()
        room = pw.ForeignKeyField(Room, on_delete="CASCADE")
        inviter = pw.ForeignKeyField(Account, on_delete="CASCADE")
        invitee = pw.ForeignKeyField(Account, on_delete="CASCADE")
        created_at = pw.CharField(max_length=24)

    Invitation.add_index(
        Invitation.index(Invitation.room, Invitation.invitee, unique=True, name="invitation_once")
    )

    class Chore(Table):
        id = pw.BigAutoField()
        data = pw.TextField()
        due = pw.BigIntegerField(index=True)

    for table, column, kind in COLUMNS:
        db.execute_sql(f'ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}')
    for column in ("pair", "link"):
        db.execute_sql(f'CREATE UNIQUE INDEX "room_{column}" ON "room" ("{column}")')
    # PostgreSQL finds what begins with some letters by such an index alone.
    pattern = "" if isinstance(db, pw.SqliteDatabase) else " text_pattern_ops"
    for column in ("username", "display_key"):
        db.execute_sql(f'CREATE INDEX "account_{column}_begins" ON "account" ("{column}"{pattern})')
    db.create_tables([Ban, Invitation, Chore])
    _fold_names(Account)


def account(db):
    """Return the table of accounts, as far as it matters here."""

    class Account(pw.Model):
        id = pw.BigAutoField()
        display_name = pw.CharField(max_length=64)
        display_key = pw.CharField(max_length=255, null=True)

        class Meta:
            database = db
            legacy_table_names = False

    return Account


def _fold_names(account):
    last = 0
    while rows := list(account.select().where(account.id > last).order_by(account.id).limit(ROWS)):
        for row in rows:
            row.display_key = row.display_name.casefold()[:255]
        account.bulk_update(rows, fields=[account.display_key], batch_size=100)
        last = rows[-1].id
