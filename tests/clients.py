"""A person's HTTP client and its streams of events."""

import json
import queue
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Self

import httpx
import httpx_sse

BACKGROUND = {"heartbeat", "presence", "missed"}  # come at any moment, whatever one does
WAIT_S = 20.0  # how long anything may take before a test gives up


class Client:
    """A person's HTTP client: cookies, JSON bodies, streams."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=WAIT_S, trust_env=False, **options)
        self.name = ""
        self.me: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def let_go(self) -> None:
        """Close the connections; a request after that makes a new one."""
        self.http._transport.close()  # the client's own close() would be for good

    @property
    def cookies(self) -> str:
        """For a client of another kind: the Cookie header's value."""
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(path, params=params or None)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.http.post(path, **({} if body is None else {"json": body}), **options)

    def patch(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.patch(path, json=body)

    def put(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.put(path, **({} if body is None else {"json": body}))

    def delete(self, path: str, body: Any = None) -> httpx.Response:
        return self.http.request("DELETE", path, **({} if body is None else {"json": body}))

    def room(self, name: str = "room", **fields: Any) -> dict[str, Any]:
        """A new room, under a name that is not taken."""
        answer = self.post("/api/chat/rooms", {"name": f"{name} {secrets.token_hex(4)}"} | fields)
        assert answer.status_code == 201, answer.text
        room: dict[str, Any] = answer.json()
        return room

    def join(self, room: Mapping[str, Any]) -> None:
        answer = self.post(f"/api/chat/rooms/{room['id']}/join")
        assert answer.status_code == 200, answer.text

    def say(self, room: Mapping[str, Any], body: str, **fields: Any) -> dict[str, Any]:
        """Post a message; return it as it was answered."""
        path = f"/api/chat/rooms/{room['id']}/messages"
        answer = self.post(path, {"body": body} | fields)
        assert answer.status_code in {200, 201}, answer.text
        message: dict[str, Any] = answer.json()
        return message

    @contextmanager
    def stream(self, path: str, last_event_id: str | int | None = None) -> Iterator["Stream"]:
        """Open a stream of events; it must be one."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        # A connection pool of its own: the client's may be in use by another thread.
        with (
            httpx.Client(
                base_url=self.url,
                cookies=self.http.cookies,
                headers=self.http.headers,
                timeout=httpx.Timeout(WAIT_S, read=None),
                trust_env=False,
            ) as http,
            http.stream("GET", path, headers=headers) as response,
        ):
            if response.status_code != 200:
                response.read()
            assert response.status_code == 200, response.text
            stream = Stream(response)
            try:
                yield stream
            finally:
                stream.close()


class Stream:
    """A thread reads the events; the test takes them out one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.seen: list[httpx_sse.ServerSentEvent] = []  # every event that was taken out
        self._events: queue.SimpleQueue[httpx_sse.ServerSentEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, name="stream", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(httpx.TransportError, httpx.StreamError, OSError):
            for event in httpx_sse.EventSource(self.response).iter_sse():
                if event.data:  # the standard: a block without data, like `retry:`, is no event
                    self._events.put(event)
        self._events.put(None)

    def take(self, timeout_s: float = WAIT_S) -> httpx_sse.ServerSentEvent | None:
        """The next event of any kind; None where the stream has ended."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError(f"no event within {timeout_s} s") from None
        if event is None:
            self._events.put(None)  # it stays ended
        else:
            self.seen.append(event)
        return event

    def next_event(self, *kinds: str, timeout_s: float = WAIT_S) -> httpx_sse.ServerSentEvent:
        """The next event of one of these kinds, or of any but those of `BACKGROUND`."""
        deadline = time.monotonic() + timeout_s
        while True:
            event = self.take(max(deadline - time.monotonic(), 0.001))
            assert event is not None, f"the stream ended before {kinds}"
            if event.event in kinds or (not kinds and event.event not in BACKGROUND):
                return event

    def next(self, *kinds: str, timeout_s: float = WAIT_S) -> Any:
        """The data of the next event of one of these kinds, or of any but those of `BACKGROUND`."""
        return json.loads(self.next_event(*kinds, timeout_s=timeout_s).data)

    def messages(self, count: int, timeout_s: float = WAIT_S) -> list[dict[str, Any]]:
        return [self.next("message", timeout_s=timeout_s) for _ in range(count)]

    def silent(self, for_s: float = 0.3) -> bool:
        """Whether nothing but `BACKGROUND` comes for a while."""
        with suppress(AssertionError):
            self.next_event(timeout_s=for_s)
            return False
        return True

    def ended(self, within_s: float = WAIT_S) -> bool:
        """Whether the server ends the stream; what still comes is taken out."""
        deadline = time.monotonic() + within_s
        with suppress(AssertionError):
            while self.take(max(deadline - time.monotonic(), 0.001)) is not None:
                pass
            return True
        return False

    def close(self) -> None:
        # Closing does not wake a thread that reads, a shutdown does.
        connection = self.response.extensions["network_stream"].get_extra_info("socket")
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
