"""What a deleted message's text leaves behind: whether a send is the repeat of it."""


def up(_migrator, db):
    """Add the column; nothing is known of what was deleted before."""
    db.execute_sql("ALTER TABLE event ADD COLUMN digest VARCHAR(24)")
