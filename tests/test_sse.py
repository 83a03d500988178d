"""The wire format, read back by a client that others wrote."""

import httpx
import httpx_sse
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import sse

LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40)
few = settings(max_examples=100, deadline=None)


def read(stream: bytes) -> list[httpx_sse.ServerSentEvent]:
    response = httpx.Response(200, headers=sse.HEADERS, content=stream)
    return list(httpx_sse.EventSource(response).iter_sse())


def test_a_frame_carries_one_line_of_json_with_its_type_and_id() -> None:
    stream = sse.frame("message", b'{"id":42}', "42")
    assert stream == b'id: 42\nevent: message\ndata: {"id":42}\n\n'
    assert sse.frame("ready", b"{}") == b"event: ready\ndata: {}\n\n"


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
