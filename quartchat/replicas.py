"""What a replica has too, so that no failover can take it back (QUARTCHAT_ACK=replicated)."""

from collections.abc import Mapping, Sequence
from typing import Any

from quartchat.cluster import Cluster
from quartchat.redis_client import FULL, Call, Command, Pipelined, RefusedError, refusal, round_trip

REPLICATE_MS = 1000  # what a replica gets to confirm a batch
# How many entries of an id a stream has, which is one or none.
HELD = "return #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])"


class UnconfirmedError(RefusedError):
    """Redis answers, and no replica has confirmed what was written."""


class Replicated(Pipelined):
    """Shared calls of a script, of which each succeeds only once a replica has it too."""

    async def _pipeline(self, batch: list[Call]) -> list[Any]:
        return await confirmed(self._redis, batch[0][0][0], self._commands(batch))


async def confirmed(client: Any, key: str, commands: Sequence[Command]) -> list[Any]:
    """Do a round trip; succeed only once a replica has what was written, and all before it.

    Raises `UnconfirmedError` if none has, and what `round_trip` raises. WAIT speaks of this
    connection's last write, so there is always one.
    """
    tag = key.partition("{")[2].partition("}")[0]
    *replies, written, replicas = await round_trip(
        client, [*commands, ("SET", f"ack:{{{tag}}}", 1), ("WAIT", 1, REPLICATE_MS)]
    )
    for outcome in (written, replicas):
        if isinstance(outcome, Exception):
            error = refusal(outcome)
            raise UnconfirmedError(str(error)) if isinstance(error, FULL) else error
    if replicas < 1:
        await part(client)
        raise UnconfirmedError("no replica has confirmed the write")
    return replies


async def part(client: Any) -> None:
    """Let go of idle connections: Sentinels may name another master by now. A Cluster says so."""
    if not isinstance(client, Cluster):
        await client.connection_pool.disconnect(inuse_connections=False)


async def have(client: Any, ends: Mapping[str, str]) -> set[str]:
    """Wait until a replica has streams up to the given ids; return those that have them at all.

    What was read of a master that was cut off is gone. The streams must be on one node.
    Raises one of `AWAY`.
    """
    commands: list[Command] = [("EVAL", HELD, 1, key, id_) for key, id_ in ends.items()]
    key = next(iter(ends))

    async def ask(one: Any) -> set[str]:
        replies = await confirmed(one, key, commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return {key for key, reply in zip(ends, replies, strict=True) if reply}

    if isinstance(client, Cluster):
        found: set[str] = await client.routed(key, lambda node: ask(client.client(node)))
        return found
    return await ask(client)
