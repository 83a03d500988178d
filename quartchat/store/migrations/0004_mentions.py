"""Who is mentioned where."""

import peewee as pw


def up(_migrator, db):
    """Make the table, as it was in this version."""

    class Mention(pw.Model):
        account_id = pw.BigIntegerField()
        room_id = pw.BigIntegerField()
        n = pw.BigIntegerField()

        class Meta:
            database = db
            legacy_table_names = False
            primary_key = pw.CompositeKey("account_id", "room_id", "n")

    # An edit or a deletion looks for all whom a message mentions.
    Mention.add_index(Mention.index(Mention.room_id, Mention.n, name="mention_message"))
    db.create_tables([Mention])
