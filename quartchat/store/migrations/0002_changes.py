"""Messages that were edited, deleted or reacted to."""

import peewee as pw


def up(_migrator, db):
    """Make the tables, as they were in this version."""

    class Table(pw.Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Latest(Table):
        room_id = pw.BigIntegerField()
        about = pw.BigIntegerField()
        n = pw.BigIntegerField()
        data = pw.TextField()

        class Meta:
            primary_key = pw.CompositeKey("room_id", "about")

    class Edit(Table):
        room_id = pw.BigIntegerField()
        about = pw.BigIntegerField()
        n = pw.BigIntegerField()

        class Meta:
            primary_key = pw.CompositeKey("room_id", "about", "n")

    db.create_tables([Latest, Edit])
