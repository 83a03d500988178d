"""Half a minute of clients that come, read and go; ten are `scripts/test --churn`."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import harness
import pytest
from churn import RATE, Churn

from quartchat import engines

SECONDS = 18.0
EVERY_S = 6.0  # by the first time the process has what it keeps
# In what remains. Python looks for cycles among what is old once in a while only, so that some
# MB come and go; a connection that were held would cost 20 KB, and thousands come meanwhile.
GROWTH_MB = 8.0


def test_clients_that_come_and_go_leave_nothing_behind(
    start_server: Callable[..., harness.Server],
) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    server = start_server()
    churn = Churn(server)
    notes = asyncio.run(churn.run(SECONDS, EVERY_S, print))
    assert not notes.failed
    assert notes.visits.total() == RATE * SECONDS
    first, *_, last = notes.samples
    assert last.rss_mb - first.rss_mb < GROWTH_MB, notes.samples
    # The pools may have taken a few more connections; a descriptor for each visit is no few.
    harness.eventually(lambda: churn.sample().files <= notes.before.files + engines.CONNECTIONS)
    assert "quartchat_streams 0.0" in server.client().get("/metrics").text
