"""How long a post takes under each promise: `PYTHONPATH=.:tests python -m engines.latency`.

One writer, one post after the other, over HTTP; docs/engines.md has the figures.
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import harness

from engines import nodes, postgres

POSTS = 400
WARM = 50


def measure(server: harness.Server) -> str:
    ann = server.user("ann")
    path = f"/api/chat/rooms/{ann.room()['id']}/messages"
    took = []
    for number in range(WARM + POSTS):
        started = time.perf_counter()
        answer = ann.post(path, {"body": f"{number}"})
        assert answer.status_code == 201, answer.text
        took.append(time.perf_counter() - started)
    took = sorted(took[WARM:])
    return f"{took[POSTS // 2] * 1e3:6.2f} {took[POSTS * 99 // 100] * 1e3:6.2f}"


def main() -> None:
    everysec, always = ("save ''", "appendonly yes"), ("appendfsync always",)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)

        def run(what: str, url: str, **env: Any) -> None:
            directory = place / f"server {what}".replace(" ", "-").replace(",", "")
            with harness.Server(url, directory, **env) as server:
                sys.stdout.write(f"{what:50}{measure(server)}\n")
                sys.stdout.flush()

        one = stack.enter_context(nodes.Node(place / "one", *everysec))
        run("one, fsync each second", f"redis://{one.address}")
        run("one, archived, SQLite", f"redis://{one.address}/1", QUARTCHAT_ACK="archived")
        sql = stack.enter_context(postgres.Postgres(durable=True))
        harness.postgres = sql
        run("one, archived, PostgreSQL", f"redis://{one.address}/2", QUARTCHAT_ACK="archived")
        harness.postgres = None
        careful = stack.enter_context(nodes.Node(place / "careful", *everysec, *always))
        run("one, fsync always", f"redis://{careful.address}")
        pair = stack.enter_context(nodes.Sentinels(place / "pair"))
        run("master and replica, Sentinel", pair.url())
        run("master and replica, replicated", pair.url(), QUARTCHAT_ACK="replicated")
        cluster = stack.enter_context(nodes.Cluster(place / "cluster", replicas=1))
        run("cluster of three, 16 partitions", cluster.url())
        run("cluster of three, replicated", cluster.url(), QUARTCHAT_ACK="replicated")


if __name__ == "__main__":
    main()
