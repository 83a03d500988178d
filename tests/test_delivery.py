"""The promise: nothing lost, doubled or reordered, whatever happens to the connections."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import crowd
import harness

StartServer = Callable[..., harness.Server]


def seen(count: int) -> Callable[[crowd.Reader], bool]:
    return lambda reader: bool(reader.ids) and reader.ids[-1] >= count


async def beset(readers: list[crowd.Reader], work: Any, *, every_s: float = 0.01) -> None:
    """Do the work while readers' connections are cut at random."""
    trouble = asyncio.create_task(crowd.trouble(readers, every_s, seed=1))
    try:
        await work
    finally:
        trouble.cancel()


def test_fifty_readers_whose_sockets_drop_each_get_every_message_once_and_in_order(
    server: harness.Server,
) -> None:
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}/events"
    total, each = 2000, 250

    async def run() -> list[crowd.Reader]:
        readers = [crowd.Reader(ann, path) for _ in range(50)]
        writers = [crowd.Writer(_same(server, ann), room) for _ in range(8)]
        following = [asyncio.create_task(reader.follow(seen(total))) for reader in readers]
        await asyncio.gather(*(reader.ready.wait() for reader in readers))
        sending = [writer.send(each, f"w{n}") for n, writer in enumerate(writers)]
        await beset(readers, crowd.finish(*sending, asyncio.wait(following)))
        return readers

    readers = asyncio.run(run())
    assert sum(reader.connections for reader in readers) > len(readers), "nobody was cut off"
    for reader in readers:
        assert reader.ids == list(range(1, total + 1))
        assert {event for event, _ in reader.events} == {"message", "ready"}


def test_the_stream_of_all_rooms_gives_each_rooms_events_once_and_in_order(
    server: harness.Server,
) -> None:
    ann = server.user("ann")
    rooms = [ann.room() for _ in range(4)]
    other = server.user("bob").room()
    each = 150

    def complete(reader: crowd.Reader) -> bool:
        return len(reader.ids) >= each * len(rooms)

    async def run() -> list[crowd.Reader]:
        readers = [crowd.Reader(ann, "/api/chat/events") for _ in range(10)]
        following = [asyncio.create_task(reader.follow(complete)) for reader in readers]
        await asyncio.gather(*(reader.ready.wait() for reader in readers))
        sending = [crowd.Writer(_same(server, ann), room).send(each, "w") for room in rooms]
        await beset(readers, crowd.finish(*sending, asyncio.wait(following)))
        return readers

    for reader in asyncio.run(run()):
        for room in rooms:
            got = [
                d["id"] for e, d in reader.events if e == "message" and d["room_id"] == room["id"]
            ]
            assert got == list(range(1, each + 1))
        assert other["id"] not in {d.get("room_id") for _, d in reader.events}


def test_a_cursor_older_than_the_window_is_served_from_sql_without_a_reset(
    start_server: StartServer,
) -> None:
    server = start_server(QUARTCHAT_ROOM_WINDOW="100")
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}"
    total = 3000

    async def run() -> tuple[crowd.Reader, crowd.Reader]:
        writers = [crowd.Writer(_same(server, ann), room) for _ in range(10)]
        await crowd.finish(*(w.send(total // 10, f"w{n}") for n, w in enumerate(writers)))
        await asyncio.to_thread(harness.eventually, lambda: _entries(server, room) == 100)
        late = crowd.Reader(ann, f"{path}/events", cursor="5")
        feed = crowd.Reader(ann, "/api/chat/events", cursor="0")
        await crowd.finish(late.follow(seen(total)), feed.follow(seen(total)))
        return late, feed

    late, feed = asyncio.run(run())
    assert late.ids == list(range(6, total + 1))
    assert {event for event, _ in late.events} == {"message", "ready"}
    assert feed.ids == list(range(1, total + 1))


def test_what_is_posted_during_a_replay_comes_after_it_once(start_server: StartServer) -> None:
    server = start_server(QUARTCHAT_ROOM_WINDOW="50")
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}/events"

    async def run() -> list[crowd.Reader]:
        await crowd.finish(
            *(crowd.Writer(_same(server, ann), room).send(100, "a") for _ in "12345")
        )
        readers = [crowd.Reader(ann, path, cursor=str(n)) for n in range(0, 500, 25)]
        writers = [crowd.Writer(_same(server, ann), room) for _ in range(4)]
        sending = [writer.send(100, "b") for writer in writers]
        await crowd.finish(*sending, *(reader.follow(seen(900)) for reader in readers))
        return readers

    for number, reader in enumerate(asyncio.run(run())):
        assert reader.ids == list(range(25 * number + 1, 901))


def test_a_web_process_killed_under_load_loses_nothing_that_it_answered(
    start_server: StartServer,
) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}"
    writers = [crowd.Writer(_same(server, ann), room) for _ in range(4)]
    readers = [crowd.Reader(ann, f"{path}/events") for _ in range(10)]

    async def kill() -> None:
        for _ in range(2):
            await asyncio.sleep(0.4)
            server.web.kill(signal.SIGKILL)
            server.web.start()
            await asyncio.to_thread(server.wait_until_ready)

    async def run() -> None:
        following = [asyncio.create_task(reader.follow(seen(600))) for reader in readers]
        await asyncio.gather(*(reader.ready.wait() for reader in readers))
        sending = [writer.send(150, f"w{n}") for n, writer in enumerate(writers)]
        await crowd.finish(*sending, kill(), asyncio.wait(following))

    asyncio.run(run())
    answered = {m["id"]: m["body"] for writer in writers for m in writer.answered}
    assert sorted(answered) == list(range(1, 601))
    assert {m["id"]: m["body"] for m in _history(ann, path)} == answered
    for reader in readers:
        assert reader.ids == list(range(1, 601))


def test_a_redis_that_goes_away_is_a_503_and_streams_go_on_by_themselves(
    start_server: StartServer, own_valkey: harness.Valkey
) -> None:
    server = start_server(REDIS_URL=own_valkey.url())
    ann = server.user("ann")
    room = ann.room()
    path = f"/api/chat/rooms/{room['id']}"
    with ann.stream(f"{path}/events") as stream:
        stream.next("ready")
        ann.say(room, "before")
        own_valkey.server.stop()
        answer = ann.post(f"{path}/messages", {"body": "during"})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert server.client().get("/healthz/ready").status_code == 503
        assert server.client().get("/healthz/live").status_code == 200
        own_valkey.server.start()
        server.wait_until_ready()
        ann.say(room, "after")
        assert [m["body"] for m in stream.messages(2)] == ["before", "after"]


def test_who_was_told_of_an_emptied_redis_is_not_told_again_by_what_is_quiet(
    start_server: StartServer, own_valkey: harness.Valkey
) -> None:
    server = start_server(REDIS_URL=own_valkey.url(), QUARTCHAT_PARTITIONS="4")
    ann = server.user("ann")
    rooms = [ann.room() for _ in range(4)]
    for room in rooms:
        ann.say(room, "before")
    with ann.stream("/api/chat/events") as stream:
        stream.next("ready")
        with harness.inside(server.redis_url) as inside:
            inside.flushall()
        ann.say(rooms[0], "after")  # the other partitions stay quiet
        cursor = stream.next_event("message").id

    def is_reset() -> bool:
        """Go on from the cursor to the next message; say whether that was to begin anew."""
        nonlocal cursor
        with ann.stream("/api/chat/events", last_event_id=cursor) as stream:
            ann.say(rooms[0], "more")
            event = stream.next_event("reset", "message")
            found = event.event == "reset"
            cursor = stream.next_event("message").id if found else event.id
        return found

    assert is_reset()
    harness.eventually(lambda: not is_reset(), 5)


def _same(server: harness.Server, client: harness.Client) -> harness.Client:
    """Another connection of the same session; a client of httpx is one thread's."""
    twin = server.client()
    twin.http.cookies.update(client.http.cookies)
    return twin


def _entries(server: harness.Server, room: dict[str, Any]) -> int:
    """How many events of a room are left in Redis."""
    with harness.inside(server.redis_url) as client:
        return int(client.xlen(harness.room_key(server, "room", room["id"])))


def _history(client: harness.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with suppress(StopIteration):
        while True:
            last = found[-1]["id"] if found else 0
            page = client.get(f"{path}/messages", after=last, limit=200).json()
            found += page["messages"]
            if not page["has_more_after"]:
                break
    return found
