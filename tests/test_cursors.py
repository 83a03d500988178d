"""Whatever a client sends as its cursor: it resumes exactly there, or it is told `reset`.

A handful of streams is opened, one message is posted, and each stream must come to it.
"""

import asyncio
from binascii import crc32
from dataclasses import dataclass
from urllib.parse import quote

import h11
import harness
import httpx
import httpx_sse
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quartchat import events, sse

HANG_S = 10
NO_HTTP = {400, 431}  # a header that holds what no header may, or too much
few = settings(max_examples=40, deadline=None, derandomize=True)

# What looks like a cursor, and is one or not: digits of several scripts, signs, spaces, dots.
alike = st.text("0123456789abcdefABF.-+_ \t\u0661\u00b2x", max_size=20).map(str.encode)
numbers = st.integers(-3, 60).map(lambda n: b"%d" % n)
# One that the server gave: which it is, and what became of it on its way.
given_ones = st.tuples(
    st.integers(0, 60),
    st.sampled_from(["{}", "{}", " {}", "{}\t", "0{}", "00000000{}", "{}0", "{}.", ".{}", "{}-0"]),
)
anything = st.binary(max_size=60) | st.text(max_size=20).map(str.encode)
cursors = numbers | alike | given_ones | anything
Cursor = bytes | tuple[int, str]


@dataclass(frozen=True)
class Place:
    """An event of the history: its number, its `id:`, and where it is in the feed."""

    n: int
    id: str
    feed: int


class Stream:
    """One stream over a plain socket; HTTP and events are read by what others wrote."""

    def __init__(self, client: harness.Client, path: str) -> None:
        self.client, self.path = client, path
        self.status = 0
        self.body = b""
        self.head = b""  # the client's header, as it was sent

    async def open(self, header: bytes | None, query: bytes | None) -> None:
        port = int(self.client.url.rpartition(":")[2])
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        target = self.path + ("" if query is None else f"?last_event_id={quote(query, safe='')}")
        line = b"" if header is None else b"Last-Event-ID: " + header + b"\r\n"
        self._writer.write(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nCookie: {self.client.cookies}\r\n".encode()
            + line
            + b"\r\n"
        )
        self._http = h11.Connection(h11.CLIENT)
        self._http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        self._http.send(h11.EndOfMessage())
        await self.read_to(b"event: ready\n")

    async def read_to(self, mark: bytes) -> None:
        """Read until an event with these bytes is whole, or the response is over."""
        async with asyncio.timeout(HANG_S):
            while b"\n\n" not in self.body.partition(mark)[2]:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(65536))
                elif isinstance(event, h11.Response):
                    self.status = event.status_code
                elif isinstance(event, h11.Data):
                    self.body += event.data
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    return

    def events(self) -> list[httpx_sse.ServerSentEvent]:
        response = httpx.Response(200, headers=sse.HEADERS, content=self.body)
        return [each for each in httpx_sse.EventSource(response).iter_sse() if each.data]

    def close(self) -> None:
        self._writer.transport.abort()


class Room:
    """The one room of its owner, and her streams of it."""

    def __init__(self, server: harness.Server, which: str) -> None:
        self.ann = server.user("ann")
        self.room = self.ann.room()
        self.partitions = int(server.env.get("QUARTCHAT_PARTITIONS", "1"))
        self.of_all = which == "all rooms"
        self.path = f"/api/chat/rooms/{self.room['id']}/events"
        self.path = "/api/chat/events" if self.of_all else self.path

    async def say(self) -> bytes:
        """Post a message; return bytes that its event alone has."""
        said = await asyncio.to_thread(self.ann.say, self.room, "hello")
        return b'data: {"id":%d,' % said["id"]

    async def history(self, mark: bytes) -> list[Place]:
        """All events up to one, as a new reader gets them."""
        stream = Stream(self.ann, self.path)
        await stream.open(None, b"0")
        await stream.read_to(mark)
        stream.close()
        found = [event for event in stream.events() if event.event == "message"]
        return [Place(event.json()["id"], event.id, self.place(event.id)) for event in found]

    def place(self, id_: str) -> int:
        """Where a cursor is in the room's own partition, or in the room."""
        if not self.of_all:
            assert id_.isascii()
            return int(id_)
        position = events.parse_cursor(id_, self.partitions)
        assert position is not None
        return position[crc32(str(self.room["id"]).encode()) % self.partitions]

    def check(self, text: str, got: list[httpx_sse.ServerSentEvent], history: list[Place]) -> None:
        """A stream that was asked for `text`, up to the newest event."""
        kinds = [event.event for event in got]
        numbers = [event.json()["id"] for event in got if event.event == "message"]
        newest = history[-1].n
        if not text:
            assert (kinds, numbers) == (["ready", "message"], [newest])
        elif "reset" in kinds:
            assert (kinds, numbers) == (["ready", "reset", "message"], [newest])
            assert text not in {"0", *(place.id for place in history[:-1])}
        else:
            after = self.place(text)
            assert numbers == [place.n for place in history if place.feed > after]
            assert kinds == ["ready"] + ["message"] * len(numbers)


def sent(cursor: Cursor | None, history: list[Place]) -> bytes | None:
    if not isinstance(cursor, tuple):
        return cursor
    which, shape = cursor
    return shape.format(history[which % len(history)].id).encode()


def in_header(cursor: bytes | None) -> bytes | None:
    """A line's end would make another request of it."""
    return None if cursor is None else cursor.replace(b"\r", b"").replace(b"\n", b"")


def is_header(line: bytes | None) -> bool:
    """Whether HTTP allows it as a header's value, and everybody its length."""
    return line is None or (len(line) < 8000 and all(byte > 31 and byte != 127 for byte in line))


@pytest.mark.parametrize("which", ["room", "all rooms"])
def test_any_cursor_is_resumed_from_or_reset(server: harness.Server, which: str) -> None:
    room = Room(server, which)
    nothing = st.none()

    @few
    @given(st.lists(st.tuples(nothing | cursors, nothing | cursors), min_size=1, max_size=8))
    @example([(b"0", None), (None, b"0"), (b"0", b"x"), (b"x", b"0"), (b"", b"0"), (b" ", b"")])
    @example([(b"9" * 15_000, None), (b"\xff" * 9000, None), (None, b"\xff" * 4000)])
    def ask(asked: list[tuple[Cursor | None, Cursor | None]]) -> None:
        asyncio.run(scenario(asked))

    async def scenario(asked: list[tuple[Cursor | None, Cursor | None]]) -> None:
        history = await room.history(await room.say())
        streams = []
        for header, query in asked:
            line, value = in_header(sent(header, history)), sent(query, history)
            stream = Stream(room.ann, room.path)
            await stream.open(line, value)
            text = (line or b"").strip(b" \t").decode("latin-1")
            streams.append((stream, text or (value or b"").decode("utf-8", "replace")))
            assert stream.status == 200 or (stream.status in NO_HTTP and not is_header(line))
        mark = await room.say()
        history = await room.history(mark)
        for stream, text in streams:
            if stream.status == 200:
                await stream.read_to(mark)
                room.check(text, stream.events(), history)
            stream.close()

    ask()
