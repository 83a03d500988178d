"""The servers that tests run on: Valkey in its three forms, and PostgreSQL.

`--redis cluster --database postgres` (or QUARTCHAT_TEST_REDIS, QUARTCHAT_TEST_DATABASE) runs
the ordinary suite on another pair than a Valkey alone and SQLite.
"""
