"""The bench's checks can fail: a lost, a doubled, a reordered event is reported."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "scripts"))

from benchmarks import checks, messages
from benchmarks.framing import Parser, Tally
from benchmarks.load import Generator

# Processes are started the way that Python 3.12 warns of where there are threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

READY = b"event: ready\ndata: {}\n\n"
HEAD = b"HTTP/1.1 200 OK\r\n\r\n" + READY
Sent = list[tuple[int, int, int]]  # the server's number, the writer, the writer's place


def good(count: int, writers: int) -> Sent:
    """What a server without fault sends: the writers in turn."""
    return [(n + 1, n % writers, n // writers) for n in range(count)]


def event(number: int, writer: int, place: int) -> bytes:
    data = json.dumps({"body": messages.body(writer, place, 1, 0)}, separators=(",", ":"))
    return f"id: {number}\nevent: message\ndata: {data}\n\n".encode()


def received(sent: Sent, *, numbered: bool = True) -> Tally:
    """What a reader makes of it, who has had a message of each writer before."""
    parser = Parser(b"event: ready\n", numbered=numbered)
    return parser.step(parser.start(), HEAD + b"".join(event(*one) for one in sent)).state.tally


def faults(*readers: Tally, due: int) -> dict[str, int]:
    summary = checks.summary([(1, tally) for tally in readers], {1: due})
    return checks.faults(summary, complete=True)


LOGS = st.tuples(st.integers(5, 24), st.integers(1, 4)).map(lambda two: good(*two))
numbered_or_not = pytest.mark.parametrize("numbered", [True, False])


@numbered_or_not
@given(sent=LOGS)
def test_a_faultless_stream_has_no_faults(sent: Sent, *, numbered: bool) -> None:
    tally = received(sent, numbered=numbered)
    assert faults(tally, tally, due=len(sent)) == {}


@numbered_or_not
@given(sent=LOGS, data=st.data())
def test_a_lost_event_is_reported(sent: Sent, data: st.DataObject, *, numbered: bool) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    tally = received(sent[:lost] + sent[lost + 1 :], numbered=numbered)
    found = faults(tally, received(sent, numbered=numbered), due=len(sent))
    assert found["short"] == 1
    assert found["orders"] == 1
    if numbered and 0 < lost < len(sent) - 1:
        assert found["holes"] == 1


@numbered_or_not
@given(sent=LOGS, data=st.data())
def test_a_doubled_event_is_reported(sent: Sent, data: st.DataObject, *, numbered: bool) -> None:
    doubled = data.draw(st.integers(0, len(sent) - 1))
    later = data.draw(st.integers(doubled + 1, len(sent)))
    tally = received([*sent[:later], sent[doubled], *sent[later:]], numbered=numbered)
    assert faults(tally, due=len(sent))["repeated"] == 1


@numbered_or_not
@given(sent=LOGS, data=st.data())
def test_a_writers_events_in_another_order_are_reported(
    sent: Sent, data: st.DataObject, *, numbered: bool
) -> None:
    writers = 1 + max(writer for _, writer, _ in sent)
    first = data.draw(st.integers(0, len(sent) - 1 - writers))
    swapped = list(sent)
    swapped[first], swapped[first + writers] = swapped[first + writers], swapped[first]
    found = faults(received(swapped, numbered=numbered), due=len(sent))
    assert found
    assert {"repeated", "short"} & found.keys() or numbered


def test_two_writers_in_another_order_are_seen_by_number_and_by_comparison() -> None:
    sent = good(8, 2)
    swapped = [*sent[:2], sent[3], sent[2], *sent[4:]]
    assert faults(received(swapped), due=8)["holes"] == 3
    one, other = received(sent, numbered=False), received(swapped, numbered=False)
    assert faults(one, other, due=8) == {"orders": 1}


def test_readers_of_different_rooms_are_not_compared() -> None:
    one, other = received(good(4, 1)), received(good(4, 2))
    summary = checks.summary([(1, one), (2, other)], {1: 4, 2: 4})
    assert checks.faults(summary, complete=True) == {}
    assert summary["messages"] == 8


def test_a_reader_who_has_too_much_is_reported_too() -> None:
    assert faults(received(good(5, 1)), due=4) == {"short": 1}


def test_who_fell_behind_is_not_compared_but_what_is_wrong_counts() -> None:
    parted = [(1, received(good(5, 1))), (1, received(good(3, 1)))]
    assert checks.faults(checks.summary(parted, {1: 5}), complete=False) == {}
    torn = [(1, received([*good(5, 1)[:2], *good(5, 1)[3:]]))]
    assert checks.faults(checks.summary(torn, {1: 5}), complete=False) == {"missing": 1, "holes": 1}


def test_exactly_once_is_all_of_it_and_nothing_more() -> None:
    whole = {"done": True, "delivered": 8, **checks.summary([(1, received(good(8, 2)))], {1: 8})}
    assert checks.exactly_once(whole, 8)
    assert not checks.exactly_once(whole, 9)
    assert not checks.exactly_once({**whole, "done": False}, 8)
    for name in checks.ALWAYS + checks.IN_THE_END:
        assert not checks.exactly_once({**whole, name: 1}, 8), name


# -- the process of readers, against servers that err


@contextmanager
def crowd(tmp_path: Path) -> Iterator[tuple[Generator, socket.socket]]:
    """A process of readers, and where they will connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        setting = {"port": listener.getsockname()[1], "ready": "event: ready\n", "numbered": True}
        with Generator("readers", setting, tmp_path / "readers.log") as readers:
            yield readers, listener


def told(tmp_path: Path, *streams: Sent, due: int, patience_s: float = 20.0) -> dict[str, Any]:
    """What the readers say when each gets its own stream; what is due is the same for all."""
    with crowd(tmp_path) as (readers, listener):
        request = "GET /events HTTP/1.1\r\n\r\n"
        readers.begin(
            "connect", readers=[(1, request)] * len(streams), at_once=8, first_address=0,
            timeout_s=20,
        )  # fmt: skip
        connections = [listener.accept()[0] for _ in streams]
        try:
            for connection in connections:
                connection.sendall(HEAD)
            assert readers.answer()["open"] == len(streams)
            for connection, sent in zip(connections, streams, strict=True):
                connection.sendall(b"".join(event(*one) for one in sent))
            return readers.ask(
                "expect", goal={"1": due}, deliveries=due * len(streams), timeout_s=patience_s
            )
        finally:
            for connection in connections:
                connection.close()


def test_readers_who_get_all_say_so(tmp_path: Path) -> None:
    got = told(tmp_path, good(9, 2), good(9, 2), due=9)
    assert checks.exactly_once(got, 18), got


def test_readers_tell_of_a_lost_event(tmp_path: Path) -> None:
    sent = good(9, 1)
    got = told(tmp_path, sent, [*sent[:4], *sent[5:]], due=9, patience_s=1.0)
    assert (got["done"], got["delivered"]) == (False, 17)
    assert (got["missing"], got["holes"], got["short"]) == (1, 1, 1)
    assert not checks.exactly_once(got, 18)


def test_readers_tell_of_a_doubled_event(tmp_path: Path) -> None:
    sent = good(9, 1)
    got = told(tmp_path, sent, [*sent[:5], sent[4], *sent[5:]], due=9)
    assert (got["done"], got["delivered"], got["repeated"]) == (True, 18, 1)
    assert not checks.exactly_once(got, 18)


def test_readers_tell_of_another_order(tmp_path: Path) -> None:
    sent = good(8, 2)
    got = told(tmp_path, sent, [*sent[:2], sent[3], sent[2], *sent[4:]], due=8)
    assert (got["done"], got["orders"], got["holes"]) == (True, 1, 3)
    assert not checks.exactly_once(got, 16)
