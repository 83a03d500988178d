"""The index of who left when: a stream of all rooms that is resumed asks for it."""


def up(_migrator, db):
    """Make the index."""
    db.execute_sql(
        "CREATE INDEX event_leaving ON event (author_id, feed) WHERE type = 'member.leave'"
    )
