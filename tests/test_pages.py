"""Pages are read once for all who wait, and none outlives what it was read from."""

import asyncio

from quartchat.events import Event, FeedId, RoomId
from quartchat.pages import EVENTS, Pages
from quartchat.stream import Seen

LOBBY, DEN = RoomId(1), RoomId(2)


class Played:
    """A Redis that is played: it has a full page of events, and answers when it is told to."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.text = b"old"
        self.reads = 0

    async def replay(self, room_id: RoomId, after: int, limit: int) -> Seen:
        self.reads += 1
        text = self.text
        await self.answers.wait()
        data = [b'{"id":%d,"body":"%s"}' % (n, text) for n in range(after + 1, after + limit + 1)]
        return b"", [Event(room_id, n, "message", each) for n, each in enumerate(data, after + 1)]


def test_a_page_is_read_once_for_all_and_says_how_old_it_may_be() -> None:
    async def scenario() -> None:
        redis = Played()
        pages = Pages(redis)  # type: ignore[arg-type]
        waiting = [asyncio.create_task(pages.after(LOBBY, n, FeedId(7))) for n in (0, 0, 254)]
        await asyncio.sleep(0.01)
        redis.answers.set()
        found = await asyncio.gather(*waiting)
        assert [len(events) for _, events in found] == [EVENTS, EVENTS, 2]
        later = await pages.after(LOBBY, 255, FeedId(8))
        assert [asked for asked, _ in (*found, later)] == [7, 7, 7, 7]
        assert redis.reads == 1

    asyncio.run(scenario())


def test_a_page_that_was_being_read_when_all_were_forgotten_is_read_again() -> None:
    async def scenario() -> None:
        redis = Played()
        pages = Pages(redis)  # type: ignore[arg-type]
        waiting = asyncio.create_task(pages.after(LOBBY, 0, FeedId(7)))
        await asyncio.sleep(0.01)
        redis.text = b"new"  # another master, which has lost the end of the room
        pages.clear()
        redis.answers.set()
        for _, events in (await waiting, await pages.after(LOBBY, 0, FeedId(8))):
            assert b"new" in events[0][1]
        assert redis.reads == 2

    asyncio.run(scenario())


def test_a_rooms_pages_are_read_again_once_a_message_is_deleted() -> None:
    async def scenario() -> None:
        redis = Played()
        redis.answers.set()
        pages = Pages(redis)  # type: ignore[arg-type]
        await pages.after(LOBBY, 0, FeedId(7))
        await pages.after(DEN, 0, FeedId(7))
        redis.answers.clear()
        late = asyncio.create_task(pages.after(LOBBY, EVENTS, FeedId(7)))
        await asyncio.sleep(0.01)
        pages.forget(LOBBY)
        redis.text = b"new"  # the same without the text
        redis.answers.set()
        await late  # who was there before gets what was there before, and nobody else
        for n in (0, EVENTS):
            _, events = await pages.after(LOBBY, n, FeedId(8))
            assert b"new" in events[0][1]
        assert redis.reads == 5
        assert b"old" in (await pages.after(DEN, 0, FeedId(8)))[1][0][1]
        assert redis.reads == 5
        assert pages._bytes == sum(len(f) for _, page in pages._kept.values() for _, f in page)

    asyncio.run(scenario())
