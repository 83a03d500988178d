"""Messages that were there before search was: the worker indexes them, a few at a time.

A million take some minutes, and a start that waited for them would be killed by the platform.
How far it has come is in SQL, so that any worker goes on where another one ended.
"""

import asyncio
from time import monotonic

import structlog

from quartchat import store, tasks
from quartchat.store import documents

STEP = 300  # events of one transaction, some 20 ms, which the archive may have to wait for
REST = 2.0  # times as long as a step took, so that the archive always has its turn
# A worker of the version before knows no index, and may go on beside a new one for a while.
PATIENCE_S = 60.0

log = structlog.get_logger()


async def run(patience_s: float = PATIENCE_S) -> None:
    """Index until all older messages are in; where none are missing, return at once."""
    tries = 0
    while True:
        try:
            if not await store.run(documents.behind):
                return
            await asyncio.sleep(patience_s)
            log.info("indexing", what="older messages, for search")
            await _index()
            log.info("indexed")
        except store.AWAY as error:
            tries += 1
            log.warning("indexing_unavailable", error=str(error), tries=tries)
            await tasks.back_off(tries)
        except Exception:
            tries += 1
            log.exception("indexing_failed", tries=tries)
            await tasks.back_off(tries)
        else:
            return


async def _index() -> None:
    more = True
    while more:
        began = monotonic()
        more = await store.run(documents.index_older, STEP)
        await asyncio.sleep(REST * (monotonic() - began))
