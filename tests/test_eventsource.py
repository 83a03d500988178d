"""A client that others wrote, npm's `eventsource` in Node, on real streams."""

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import harness
import pytest

StartServer = Callable[..., harness.Server]

PACKAGE = "eventsource@^4.1.1"  # the last that runs on Node 20
NODE = 20
SCRIPT = Path(__file__).with_name("eventsource.mjs")
# Ends of lines for some reader or other, and what looks like events.
ODD = ["a\u2028b\u2029c\x85d", "1\r\n2\r3\n4", "x\n\ndata: {}\nid: 9\n\n", "\ufeff👍 é", ": :"]


@pytest.fixture(scope="module")
def packages() -> Path:
    """A directory with the package, which is installed once."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("no Node here")
    version = subprocess.run(["node", "--version"], capture_output=True, check=True).stdout
    if int(version.decode().lstrip("v").partition(".")[0]) < NODE:
        pytest.skip(f"Node is older than {NODE}")
    directory = harness.ROOT / "var" / "node"
    installed = directory / "node_modules" / "eventsource" / "package.json"
    if not installed.exists():
        directory.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(directory), PACKAGE]
        subprocess.run(install, check=True, timeout=120)
    return directory


class Node:
    """The lines that the script prints, by stream."""

    def __init__(self, process: subprocess.Popen[str], streams: int) -> None:
        self.lines: list[list[dict[str, Any]]] = [[] for _ in range(streams)]
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = process
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(line)

    def wait(self, check: Callable[[list[dict[str, Any]]], bool], within_s: float = 30) -> None:
        """Read until it is so for each stream."""
        deadline = time.monotonic() + within_s
        while not all(check(lines) for lines in self.lines):
            line = json.loads(self._queue.get(timeout=max(0.001, deadline - time.monotonic())))
            self.lines[line["stream"]].append(line)


@contextmanager
def follow(packages: Path, client: harness.Client, paths: list[str]) -> Iterator[Node]:
    urls = [client.url + path for path in paths]
    with subprocess.Popen(
        ["node", SCRIPT, packages, client.cookies, *urls], stdout=subprocess.PIPE, text=True
    ) as process:
        node = Node(process, len(urls))
        try:
            yield node
        finally:
            process.kill()
            node.thread.join()


def number(line: dict[str, Any]) -> int | None:
    found: int | None = json.loads(line.get("data", "{}")).get("id")
    return found


def opened(times: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda lines: sum(line["kind"] == "open" for line in lines) >= times


@pytest.mark.parametrize("cut", ["by its lifetime", "by a kill"])
def test_node_follows_streams_through_cuts_and_sees_everything_once_in_order(
    start_server: StartServer, packages: Path, cut: str
) -> None:
    lifetime_s = "2" if cut == "by its lifetime" else "0"
    server = start_server(QUARTCHAT_STREAM_LIFETIME_S=lifetime_s)
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room()
    for body in ODD:
        ann.say(room, body)
    of_room = f"/api/chat/rooms/{room['id']}/events?last_event_id=0"
    of_all = "/api/chat/events?last_event_id=0"
    with follow(packages, ann, [of_room, of_all, of_room, of_all]) as node:
        node.wait(opened(1))
        bob.join(room)
        if cut == "by a kill":
            node.wait(lambda lines: any(line["kind"] == "member.join" for line in lines))
            server.web.kill()
            server.web.start()
            server.wait_until_ready()
        for body in ODD:
            bob.say(room, body)
        node.wait(opened(2))
        last = ann.say(room, "the end")["id"]
        node.wait(lambda lines: any(number(line) == last for line in lines))
    messages = ann.get(f"/api/chat/rooms/{room['id']}/messages", limit=200).json()["messages"]
    assert [each["body"] for each in messages] == [*ODD, *ODD, "the end"]
    for lines in node.lines:
        events = [line for line in lines if line["kind"] not in {"open", "ready", "missed"}]
        assert [json.loads(event["data"])["id"] for event in events] == list(range(1, last + 1))
        found = [json.loads(e["data"]) for e in events if e["kind"] == "message"]
        assert found == messages
        assert len({event["id"] for event in events}) == last
