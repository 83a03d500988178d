"""The writing end of a stream: at once where it can, and no longer than it must."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from quartchat import outlet
from quartchat.outlet import Outlet


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "STALL_S", 0.2)
    monkeypatch.setattr(outlet, "HURRY_S", 0.02)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class Socket:
    """The far end of an ASGI `send`: it holds a lock while it writes, as a server does."""

    def __init__(self, *, full: bool = False) -> None:
        self.room = asyncio.Event()
        if not full:
            self.room.set()
        self.lock = asyncio.Lock()
        self.written: list[bytes] = []
        self.error: Exception | None = None
        self.closed = 0
        self.ended = False

    async def send(self, message: dict[str, Any]) -> None:
        try:
            async with self.lock:
                await self.room.wait()
                if self.error is not None:
                    raise self.error
                assert message["type"] == "http.response.body"
                self.written.append(message["body"])
                self.ended = not message["more_body"]
        finally:
            self.closed += 1


def test_a_write_is_out_at_once_where_the_socket_has_room() -> None:
    socket = Socket()
    out = Outlet(socket.send)  # and no loop runs
    assert out.write(b"a")
    assert out.write(b"b")
    assert not socket.ended
    assert out.write(b"c", last=True)
    assert (socket.written, socket.ended) == ([b"a", b"b", b"c"], True)


def test_a_write_that_must_wait_is_finished_by_another_task(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        out = Outlet(socket.send)
        assert not out.write(b"a")
        finishing = asyncio.create_task(out.finish())
        await asyncio.sleep(0)
        assert socket.written == []
        socket.room.set()
        await finishing
        assert socket.written == [b"a"]
        assert out.write(b"b")
        await out.finish()  # nothing is left to do

    loop.run(scenario())


def test_room_that_came_before_anybody_waits_is_seen(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        out = Outlet(socket.send)
        assert not out.write(b"a")
        socket.room.set()
        await asyncio.sleep(0)
        await out.finish()
        await out.put(b"b")
        assert socket.written == [b"a", b"b"]

    loop.run(scenario())


def test_a_write_may_wait_several_times(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        steps = []

        async def send(_: object) -> None:
            for step in range(3):
                await asyncio.sleep(0.001 * step)
                steps.append(step)

        await Outlet(send).put(b"a")
        assert steps == [0, 1, 2]

    loop.run(scenario())


def test_a_cancelled_write_lets_go_of_its_lock(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        putting = asyncio.create_task(Outlet(socket.send).put(b"a"))
        await asyncio.sleep(0)
        assert socket.lock.locked()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert not socket.lock.locked()
        assert (socket.written, socket.closed) == ([], 1)

    loop.run(scenario())


def test_a_write_that_is_cancelled_before_it_is_waited_for_lets_go_too(
    loop: asyncio.Runner,
) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        out = Outlet(socket.send)
        assert not out.write(b"a")
        finishing = asyncio.create_task(out.finish())
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        out.abandon()
        assert not socket.lock.locked()
        assert socket.closed == 1

    loop.run(scenario())


def test_a_reader_that_takes_nothing_is_dropped(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        with pytest.raises(TimeoutError):
            await Outlet(socket.send).put(b"a")
        assert not socket.lock.locked()
        assert socket.closed == 1

    loop.run(scenario())


def test_a_stream_that_must_end_waits_for_its_reader_but_shortly(loop: asyncio.Runner) -> None:
    async def scenario(*, before: bool) -> float:
        socket = Socket(full=True)
        out = Outlet(socket.send)
        start = asyncio.get_running_loop().time()
        if before:
            out.hurry()
        putting = asyncio.create_task(out.put(b"a"))
        await asyncio.sleep(0)
        if not before:
            out.hurry()
        with pytest.raises(TimeoutError):
            await putting
        return asyncio.get_running_loop().time() - start

    assert loop.run(scenario(before=True)) < 0.15
    assert loop.run(scenario(before=False)) < 0.15


def test_who_reads_in_time_gets_the_last_words(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        out = Outlet(socket.send)
        assert not out.write(b"a")
        out.hurry()
        socket.room.set()
        await out.finish()
        out.hurry()
        await out.put(b"b")
        assert socket.written == [b"a", b"b"]

    loop.run(scenario())


@pytest.mark.parametrize("full", [False, True])
def test_an_error_of_the_socket_is_raised_where_it_is_waited_for(
    loop: asyncio.Runner, *, full: bool
) -> None:
    async def scenario() -> None:
        socket = Socket(full=full)
        socket.error = ConnectionResetError()
        out = Outlet(socket.send)
        assert not out.write(b"a")  # the hub, which writes to many, hears of no error
        socket.room.set()
        with pytest.raises(ConnectionResetError):
            await out.finish()
        assert not socket.lock.locked()

    loop.run(scenario())


def test_a_stream_that_failed_need_not_hurry(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        socket.error = ConnectionResetError()
        out = Outlet(socket.send)
        putting = asyncio.create_task(out.put(b"a"))
        await asyncio.sleep(0)
        socket.room.set()
        with pytest.raises(ConnectionResetError):
            await putting
        out.hurry()

    loop.run(scenario())


def test_what_is_abandoned_is_closed(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        out = Outlet(socket.send)
        out.abandon()
        assert not out.write(b"a")
        out.abandon()
        assert not socket.lock.locked()
        await out.finish()  # nothing is left
        assert (socket.written, socket.closed) == ([], 1)

    loop.run(scenario())


class Lane:
    """A shorter way to the socket, which takes a chunk in any case and then may be full."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    def write(self, chunk: bytes) -> bool:
        if self.socket.error is not None:
            raise self.socket.error
        self.socket.written.append(chunk)
        return self.socket.room.is_set()

    async def drain(self) -> None:
        await self.socket.room.wait()

    def abort(self) -> None:
        self.socket.closed += 1


def test_a_lane_takes_all_but_the_end_of_the_response(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket()
        out = Outlet(socket.send, Lane(socket))
        assert out.write(b"a")
        assert socket.closed == 0
        await out.put(b"", last=True)
        assert (socket.written, socket.ended) == ([b"a", b""], True)

    loop.run(scenario())


def test_a_full_lane_is_waited_for_but_not_for_ever(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket(full=True)
        out = Outlet(socket.send, Lane(socket))
        assert not out.write(b"a")
        with pytest.raises(TimeoutError):
            await out.finish()
        assert not out.write(b"b")
        out.abandon()
        socket.room.set()
        await out.put(b"c")
        assert socket.written == [b"a", b"b", b"c"]

    loop.run(scenario())


def test_what_a_lane_leads_to_can_be_cut_off() -> None:
    socket = Socket(full=True)
    Outlet(socket.send, Lane(socket)).cut()
    assert socket.closed == 1
    Outlet(socket.send).cut()  # ASGI knows no such thing
    assert socket.closed == 1


def test_an_error_of_a_lane_is_raised_where_it_is_waited_for(loop: asyncio.Runner) -> None:
    async def scenario() -> None:
        socket = Socket()
        socket.error = ConnectionResetError()
        out = Outlet(socket.send, Lane(socket))
        assert not out.write(b"a")
        with pytest.raises(ConnectionResetError):
            await out.finish()

    loop.run(scenario())
