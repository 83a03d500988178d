"""What the bench's readers make of bytes: cut anywhere, it comes to the same."""

import itertools
import sys

import pytest
from harness import ROOT
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "scripts"))

from benchmarks import messages
from benchmarks.framing import Parser, RefusedError, State, Tally, masked
from benchmarks.messages import MARK

READY = b"event: ready\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n"


def event(number: int, writer: int, place: int) -> bytes:
    body = messages.body(writer, place, 1000 + place, 7)
    return b'id: %d\nevent: message\ndata: {"body":"%b"}\n\n' % (number, body.encode())


def sse(count: int, writers: int = 3) -> bytes:
    events = [event(n + 1, n % writers, n // writers) for n in range(count)]
    return b"".join([READY + b"data: {}\n\n", *events, b"event: heartbeat\ndata: {}\n\n"])


def chunked(content: bytes, cuts: list[int]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in pieces(content, cuts))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(data) for cut in cuts} - {0}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def fed(parser: Parser, parts: list[bytes]) -> tuple[State, list[int], list[int], bytes]:
    """The place at the end, when the messages were due and sent, and what was replied."""
    state, reply = parser.start(), b""
    due: list[int] = []
    sent: list[int] = []
    for part in parts:
        step = parser.step(state, part)
        assert step.count == len(step.due) == len(step.sent)
        state = step.state
        due += step.due
        sent += step.sent
        reply += step.reply
    return state, due, sent, reply


def frame(payload: bytes) -> bytes:
    """As a WebSocket server writes it: without a mask."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return bytes((0x81, 126)) + size.to_bytes(2) + payload
    return bytes((0x81, 127)) + size.to_bytes(8) + payload


CUTS = st.lists(st.integers(0, 1 << 20), max_size=12)


@given(cuts=CUTS, chunks=CUTS, count=st.integers(0, 9), ends=st.sampled_from([b"\n", b"\r\n"]))
def test_chunks_and_lines_may_be_cut_anywhere(
    cuts: list[int], chunks: list[int], count: int, ends: bytes
) -> None:
    content = sse(count).replace(b"\n", ends)
    data = HEAD % b"Transfer-Encoding: chunked\r\n" + chunked(content, chunks)
    state, due, sent, _ = fed(Parser(READY, numbered=True), pieces(data, cuts))
    tally = state.tally
    assert (tally.messages, tally.heartbeats, tally.ready) == (count, 1, True)
    assert (tally.missing, tally.repeated, tally.holes, tally.resets) == (0, 0, 0, 0)
    assert tally.bytes == len(sse(count))
    assert due == [1000 + n // 3 for n in range(count)]
    assert sent == [1007 + n // 3 for n in range(count)]
    assert tally == fed(Parser(READY, numbered=True), [data])[0].tally


@given(cuts=CUTS, count=st.integers(0, 9))
def test_a_stream_without_chunks_may_be_cut_anywhere(cuts: list[int], count: int) -> None:
    state, due, *_ = fed(Parser(READY, numbered=True), pieces(HEAD % b"" + sse(count), cuts))
    assert (state.tally.messages, len(due), state.tally.holes) == (count, count, 0)


@given(cuts=CUTS, sizes=st.lists(st.sampled_from([0, 60, 200, 70_000]), max_size=4))
def test_websocket_frames_may_be_cut_anywhere(cuts: list[int], sizes: list[int]) -> None:
    payloads = [
        b'42["message",{"body":"%b","pad":"%b"}]'
        % (messages.body(1, place, 5, 0).encode(), b"x" * size)
        for place, size in enumerate(sizes)
    ]
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" + b"".join(
        frame(payload) for payload in [b'0{"sid":"a"}', b'40{"sid":"b"}', *payloads, b"2"]
    )
    state, due, _, reply = fed(Parser(b'40{"sid"', numbered=False), pieces(data, cuts))
    assert (state.tally.messages, len(due), state.tally.ready) == (len(sizes), len(sizes), True)
    assert (state.tally.missing, state.tally.repeated) == (0, 0)
    assert reply == masked(b"40") + masked(b"3")  # Socket.IO's CONNECT, Engine.IO's PONG


@given(cuts=CUTS, again=CUTS, count=st.integers(1, 9))
def test_what_one_reader_was_taught_is_true_for_the_next(
    cuts: list[int], again: list[int], count: int
) -> None:
    data = HEAD % b"Transfer-Encoding: chunked\r\n" + chunked(sse(count), [50, 90])
    parser = Parser(READY, numbered=True)
    _next = parser.start()  # a place is remembered while somebody stands there
    first = fed(parser, pieces(data, cuts))
    known = parser.parsed
    assert fed(parser, pieces(data, cuts)) == first
    assert parser.parsed == known, "the same pieces were parsed again"
    assert fed(parser, pieces(data, again))[0] is first[0]


def test_readers_of_other_messages_stand_elsewhere() -> None:
    parser, head = Parser(READY, numbered=False), HEAD % b""
    one = fed(parser, [head, READY + b"\n", event(1, 1, 0), event(2, 2, 0)])[0]
    other = fed(parser, [head, READY + b"\n", event(1, 2, 0), event(2, 1, 0)])[0]
    assert one.tally.messages == other.tally.messages
    assert one.tally.order != other.tally.order


def test_a_refusal_says_when_to_come_again() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n\r\n"
    parser = Parser(READY, numbered=True)
    half = parser.step(parser.start(), refusal[:20]).state
    with pytest.raises(RefusedError, match="503") as raised:
        parser.step(half, refusal[20:])
    assert raised.value.again_s == 2
    with pytest.raises(RefusedError) as raised:
        parser.step(parser.start(), b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    assert raised.value.again_s is None


def test_a_chunk_that_is_none_is_not_understood() -> None:
    parser = Parser(READY, numbered=True)
    with pytest.raises(ValueError, match="invalid literal"):
        parser.step(parser.start(), HEAD % b"Transfer-Encoding: chunked\r\n" + b"nonsense\r\n")


@given(writer=st.integers(0, 99_999), place=st.integers(0, 99_999), late_ns=st.integers(0, 10**10))
def test_a_message_carries_its_mark(writer: int, place: int, late_ns: int) -> None:
    due_ns = 10**14
    expected = [(writer, place, due_ns, late_ns)]
    for make in messages.MAKERS.values():
        found = MARK.findall(make(1, writer, place, due_ns, late_ns))
        assert [tuple(map(int, mark)) for mark in found] == expected


def test_nobody_has_had_anything_in_the_beginning() -> None:
    assert Parser(READY, numbered=True).start().tally == Tally()
    assert Parser(READY, numbered=True).start(7).tally.last_id == 7


def test_what_comes_after_a_head_is_taken_apart_once_for_all_whose_heads_differ() -> None:
    parser = Parser(READY, numbered=True)
    follows = sse(200)
    for reader in range(50):
        state, due, *_ = fed(parser, [HEAD % b"" + b"retry: %d\n\n" % (1000 + reader) + follows])
        assert len(due) == state.tally.messages == 200
    assert parser.parsed == 50 + 1
