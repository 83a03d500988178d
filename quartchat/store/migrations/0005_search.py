"""The index that search asks: one row per message, and its words in each engine's own way.

Making it is quick however many messages there are: the worker fills in the older ones,
step by step, and `indexing` says how far it has come.
"""

import peewee as pw

SQLITE = (
    """
    CREATE TABLE document (
        id INTEGER PRIMARY KEY, room_id INTEGER NOT NULL, n INTEGER NOT NULL, words TEXT NOT NULL
    )
    """,
    # The words are ours already, with a space between them; what begins with # or @ is a room
    # or an author. Nothing is ranked, so sizes are not kept.
    """
    CREATE VIRTUAL TABLE search USING fts5(
        words, content='document', content_rowid='id', columnsize=0,
        tokenize="ascii tokenchars '#@'"
    )
    """,
    """
    CREATE TRIGGER document_added AFTER INSERT ON document BEGIN
        INSERT INTO search (rowid, words) VALUES (new.id, new.words);
    END
    """,
    """
    CREATE TRIGGER document_removed AFTER DELETE ON document BEGIN
        INSERT INTO search (search, rowid, words) VALUES ('delete', old.id, old.words);
    END
    """,
    """
    CREATE TRIGGER document_changed AFTER UPDATE ON document BEGIN
        INSERT INTO search (search, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO search (rowid, words) VALUES (new.id, new.words);
    END
    """,
)
POSTGRESQL = (
    """
    CREATE TABLE document (
        id BIGINT PRIMARY KEY, room_id BIGINT NOT NULL, n BIGINT NOT NULL, words TSVECTOR NOT NULL
    )
    """,
    # Every search reads all of the list of what is not in the tree yet: 256 KB instead of 4 MB.
    "CREATE INDEX document_words ON document USING gin (words) WITH (gin_pending_list_limit = 256)",
)
BOTH = (
    "CREATE UNIQUE INDEX document_message ON document (room_id, n)",
    "CREATE TABLE indexing (id INTEGER PRIMARY KEY, room_id BIGINT NOT NULL, n BIGINT NOT NULL)",
    # Where there is nothing older, there is nothing to do.
    "INSERT INTO indexing (id, room_id, n) SELECT 1, 0, 0 WHERE EXISTS (SELECT 1 FROM event)",
)


def up(_migrator, db):
    """Make the tables, and note that older messages are to be indexed."""
    engine = SQLITE if isinstance(db, pw.SqliteDatabase) else POSTGRESQL
    for statement in (*engine, *BOTH):
        db.execute_sql(statement)
