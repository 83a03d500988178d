"""The wire format, read back by a client that others wrote."""

import httpx
import httpx_sse
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import sse

TEXT = st.text(max_size=40) | st.text(alphabet="a:\r\n\0 \u2028\x85\x0b\ufeff", max_size=40)
LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40)
few = settings(max_examples=100, deadline=None)


def read(stream: bytes) -> list[httpx_sse.ServerSentEvent]:
    response = httpx.Response(200, headers=sse.HEADERS, content=stream)
    return list(httpx_sse.EventSource(response).iter_sse())


def test_a_frame_carries_one_line_of_json_with_its_type_and_id() -> None:
    stream = sse.frame("message", b'{"id":42}', "42")
    assert stream == b'id: 42\nevent: message\ndata: {"id":42}\n\n'
    assert sse.frame("ready", b"{}") == b"event: ready\ndata: {}\n\n"


def test_a_text_of_several_lines_is_one_event() -> None:
    assert (
        sse.encode("a\r\nb\rc\n", event="x") == b"event: x\ndata: a\ndata: b\ndata: c\ndata: \n\n"
    )


@few
@given(TEXT, st.none() | TEXT, st.none() | TEXT)
def test_whatever_is_encoded_is_read_as_one_event(
    data: str, event: str | None, id_: str | None
) -> None:
    [found] = read(sse.encode(data, event=event, id_=id_))
    assert found.data == data.replace("\r\n", "\n").replace("\r", "\n")
    assert found.event == (plain(event) or "message")
    assert found.id == plain(id_)


@few
@given(st.lists(st.tuples(LINE, LINE, LINE), max_size=5))
def test_frames_may_be_joined_without_anything_between(frames: list[tuple[str, str, str]]) -> None:
    stream = b"".join(sse.frame(event, data.encode(), id_) for event, data, id_ in frames)
    found = [(each.event, each.data, each.id) for each in read(stream)]
    assert found == [(event or "message", data, id_) for event, data, id_ in frames]


def test_the_prelude_says_when_to_come_back() -> None:
    [found] = read(sse.prelude(1500) + sse.HEARTBEAT)[-1:]
    assert (found.event, found.data) == ("heartbeat", "{}")
    assert sse.prelude(1500).startswith(b"retry: 1500\n")


def plain(text: str | None) -> str:
    """What is left of a name or an id: a line that no reader refuses."""
    return (text or "").translate(dict.fromkeys(map(ord, "\r\n\0")))
