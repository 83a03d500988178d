"""HTTP/1.1 over plain sockets: one connection, one request at a time, and streams of events."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

CONNECT_S = 5.0  # a stopped process still accepts, so this is seldom reached
NARROW, SEGMENT = 4096, 536  # bytes
CLOSED = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


class Connection:
    """Keeps its socket between requests and opens another where it was cut."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self.port, self.cookie = port, cookie
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the JSON of the answer. Raises one of `CLOSED`."""
        try:
            reader, writer = self._streams = self._streams or await _open(self.port)
            payload = b"" if body is None else json.dumps(body).encode()
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {self.cookie}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
                + payload
            )
            status, headers = await _head(reader)
            content = await reader.readexactly(int(headers.get("content-length", 0)))
        except BaseException:
            self.close()
            raise
        if "set-cookie" in headers:
            self.cookie = headers["set-cookie"].partition(";")[0]
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, json.loads(content) if content else None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def events(
    port: int, path: str, cookie: str, cursor: str | None, silence_s: float, *, narrow: bool = False
) -> AsyncGenerator[tuple[str, Any, str | None], None]:
    """Yield (event, data, id) until the stream ends, first `status`. Raises one of `CLOSED`.

    As in a browser, an event counts once its blank line is there. A server that says nothing
    for `silence_s`, not even a heartbeat, has gone. A `narrow` socket is soon full.
    """
    reader, writer = await (open_narrow(port) if narrow else _open(port))
    try:
        resume = "" if cursor is None else f"Last-Event-ID: {cursor}\r\n"
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n{resume}\r\n"
        writer.write(request.encode())
        async with asyncio.timeout(silence_s * 3):
            status, headers = await _head(reader)
        yield "status", status, None
        if status != 200 or "chunked" not in headers.get("transfer-encoding", ""):
            return
        rest = b""
        while True:
            async with asyncio.timeout(silence_s):
                size = int(await reader.readuntil(b"\r\n"), 16)
                rest += (await reader.readexactly(size + 2))[:-2]
            if not size:
                return
            *blocks, rest = rest.split(b"\n\n")
            for block in blocks:
                fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n"))
                if "data" in fields:
                    kind = fields.get("event", "message")
                    yield kind, json.loads(fields["data"]), fields.get("id")
    finally:
        writer.transport.abort()


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(CONNECT_S):
        return await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)


async def open_narrow(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect by a socket that is soon full."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    # The server's side grows with the segments, and those of the loopback have 64 KiB.
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    try:
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            return await asyncio.open_connection(sock=client, limit=NARROW)
    except BaseException:
        client.close()
        raise


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.partition(": ")[::2] for line in lines if line)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}
