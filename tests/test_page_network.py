"""The page on a network as people have it: asleep, slow, silent, lossy, away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import harness
import pytest
from network import Network
from playwright.sync_api import BrowserContext, Page, Request, Route, expect
from test_page import (
    STREAM,
    Open,
    Room,
    address,
    articles,
    bodies,
    browser,
    complaints,
    eventually,
    hold,
    open_page,
    refuse,
    rooms,
    say,
    shared_room,
    status,
    watch_streams,
)

__all__ = ["browser", "complaints", "open_page"]  # fixtures

SLOW = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
NO_ANSWER_MS = 25_000  # within which a request that hangs (15 s) is given up, and told
BACKOFF_MS = 50_000  # within which a page that was refused often tries again
PUT_OFF_S = "60"
GO = "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }"
MEANWHILE = [f"meanwhile {number}" for number in range(3)]
# How many articles with the same text were ever there at once, at most.
WATCH = """
() => {
  const log = document.querySelector('[role=log]');
  const count = () => {
    const texts = [...log.querySelectorAll('article .text')].map(text => text.textContent.trim());
    for (const text of texts) {
      window.most = Math.max(window.most, texts.filter(other => other === text).length);
    }
  };
  window.most = 0;
  new MutationObserver(count).observe(log, { childList: true, subtree: true, characterData: true });
}
"""


@pytest.fixture
def network(server: harness.Server) -> Iterator[Network]:
    with Network(server.port) as network:
        yield network


@pytest.fixture
def ann(server: harness.Server) -> harness.Client:
    return server.user("ann")


@pytest.fixture
def bob(server: harness.Server) -> harness.Client:
    return server.user("bob")


@pytest.fixture
def room(ann: harness.Client, bob: harness.Client) -> Room:
    return shared_room(ann, bob)


def texts(page: Page) -> list[str]:
    return articles(page).locator(".text").all_inner_texts()


def with_clock(page: Page) -> None:
    """Give the page a clock that the test can move."""
    page.clock.install()
    page.reload()
    status(page)
    page.evaluate("window.stays = true")


def not_reloaded(page: Page) -> bool:
    return page.evaluate("window.stays") is True


@contextmanager
def frozen(page: Page) -> Iterator[None]:
    """Hold everything that runs in a page, as browsers do with tabs in the background.

    A Chromium without a window freezes no page when it is told to; its debugger does.
    """
    debugger = page.context.new_cdp_session(page)
    held: list[object] = []

    def note(event: object) -> None:
        held.append(event)

    debugger.on("Debugger.paused", note)
    debugger.send("Debugger.enable")
    page.evaluate("setTimeout(() => { debugger; })")
    eventually(page, lambda: len(held) > 0)
    yield
    debugger.send("Debugger.disable")


def watch_posts(context: BrowserContext) -> list[dict[str, Any]]:
    """The bodies of the sends from now on."""
    found: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/messages"):
            found.append(request.post_data_json or {})

    context.on("request", note)
    return found


def put_off(route: Route) -> None:
    route.fulfill(status=503, headers={"Retry-After": PUT_OFF_S})


# Wake


@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "awake"])
def test_a_stream_that_fell_silent_is_told_and_made_anew_where_it_was(
    open_page: Open, network: Network, ann: harness.Client, bob: harness.Client, room: Room,
    *, asleep: bool,
) -> None:  # fmt: skip
    page = open_page(address(room), ann, at=network.url)
    with_clock(page)
    loaded = ann.get("/api/chat/rooms").json()["cursor"]
    bob.say(room, "before")
    expect(articles(page, "before")).to_be_visible()
    network.silence()
    for text in MEANWHILE:
        bob.say(room, text)
    status(page)  # nobody can know yet
    streams = watch_streams(page.context)
    if asleep:
        page.clock.fast_forward("10:00")  # as if the lid was closed: each timer is late, and once
    else:
        page.clock.run_for("01:00")
    status(page, "Reconnecting")
    assert texts(page) == ["before"]
    network.speak()
    status(page)
    bob.say(room, "after")
    expect(articles(page, "after")).to_be_visible()
    assert texts(page) == ["before", *MEANWHILE, "after"]
    (cursor,) = parse_qs(urlsplit(streams[0]).query)["last_event_id"]
    assert cursor != loaded
    assert not_reloaded(page)


def test_a_page_that_was_frozen_has_what_was_said_once_it_wakes(
    open_page: Open, network: Network, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    page = open_page(address(room), ann, at=network.url)
    with_clock(page)
    with frozen(page):
        network.silence()
        for text in MEANWHILE:
            bob.say(room, text)
        network.speak()
    page.clock.fast_forward("10:00")
    expect(articles(page)).to_have_count(len(MEANWHILE))
    status(page)
    assert texts(page) == MEANWHILE
    assert not_reloaded(page)


def test_a_leading_tab_that_passes_nothing_on_is_replaced_and_neither_misses_anything(
    open_page: Open, network: Network, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    leading = open_page(address(room), ann, at=network.url)
    status(leading)
    leading.evaluate("window.stays = true")
    other = leading.context.new_page()
    other.goto(address(room))
    with_clock(other)
    bob.say(room, "before")
    for page in (leading, other):
        expect(articles(page, "before")).to_be_visible()
    network.silence()
    for text in MEANWHILE:
        bob.say(room, text)
    network.speak()
    streams = watch_streams(other.context)
    other.clock.fast_forward("01:10")  # no heartbeat was passed on
    eventually(other, lambda: len(streams) == 1)
    for page in (leading, other):
        expect(articles(page)).to_have_count(1 + len(MEANWHILE))
        status(page)
        assert texts(page) == ["before", *MEANWHILE]
        assert not_reloaded(page)


# Slow


def test_a_slow_network_shows_what_it_waits_for_and_what_is_on_its_way_and_doubles_nothing(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    for number in range(30):
        bob.say(room, f"old {number}")
    page = open_page("/healthz/live", ann)  # nothing of the page is in the cache yet
    slow = page.context.new_cdp_session(page)
    slow.send("Network.enable")
    slow.send("Network.emulateNetworkConditions", SLOW)
    held = hold(page, "**/api/chat/rooms?*", times=1)
    page.goto(address(room), wait_until="commit")
    expect(page.get_by_role("heading", name="One moment…")).to_be_visible()
    expect(rooms(page).get_by_text("Loading…")).to_be_visible()
    eventually(page, lambda: len(held) == 1)
    held.pop().continue_()
    expect(articles(page, "old 29")).to_be_in_viewport(timeout=20_000)
    status(page)
    page.evaluate(WATCH)
    held = hold(page, "**/messages", times=1)
    for number in range(3):
        say(page, f"new {number}")
    expect(page.get_by_text("Sending…")).to_have_count(3)
    eventually(page, lambda: len(held) == 1)
    held.pop().continue_()
    bob.say(room, "bob's")
    expect(page.get_by_text("Sending…")).to_have_count(0, timeout=20_000)
    expect(articles(page, "bob's")).to_be_visible()
    assert page.evaluate("window.most") == 1
    said = bodies(ann, room)[30:]
    assert texts(page)[30:] == said
    assert sorted(said) == ["bob's", "new 0", "new 1", "new 2"]


def test_a_send_that_hangs_is_tried_again_under_its_name_and_arrives_once(
    open_page: Open, network: Network, ann: harness.Client, room: Room
) -> None:
    page = open_page(address(room), ann, at=network.url)
    status(page)
    posts = watch_posts(page.context)
    network.silence()
    say(page, "patience")
    expect(articles(page, "patience")).to_contain_text("Sending…")
    eventually(page, lambda: len(posts) == 2, 2 * NO_ANSWER_MS / 1000)
    expect(articles(page, "patience")).to_contain_text("Sending…")
    network.speak()
    expect(page.get_by_text("Sending…")).to_have_count(0, timeout=NO_ANSWER_MS)
    assert len({post["client_id"] for post in posts}) == 1
    assert texts(page) == bodies(ann, room) == ["patience"]


def test_a_page_whose_first_request_hangs_says_so_and_opens_by_itself(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "here")
    page = open_page("/healthz/live", ann)
    held = hold(page, "**/api/me")
    page.goto(address(room), wait_until="commit")
    expect(page.get_by_role("heading", name="One moment…")).to_be_visible()
    heading = page.get_by_role("heading", name="quartchat cannot be reached")
    expect(heading).to_be_visible(timeout=NO_ANSWER_MS)
    expect(page.get_by_text("Trying again…")).to_be_visible()
    eventually(page, lambda: len(held) == 2)
    held.pop().continue_()
    expect(articles(page, "here")).to_be_visible()
    status(page)


# Gaps


def test_an_event_that_the_stream_lost_is_missed_by_its_number_and_read_from_the_history(
    open_page: Open, network: Network, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    page = open_page(address(room), ann, at=network.url)
    status(page)
    bob.say(room, "before")
    expect(articles(page, "before")).to_be_visible()
    network.lose('"body":"lost"')
    bob.say(room, "lost")
    bob.say(room, "after")
    expect(articles(page)).to_have_count(3)
    assert texts(page) == ["before", "lost", "after"]
    assert len(network.lost) == 1


def test_an_event_that_was_lost_is_counted_in_a_room_that_is_not_open_and_there_when_it_opens(
    open_page: Open, network: Network, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    elsewhere = ann.room("elsewhere")
    page = open_page(address(room), ann, at=network.url)
    status(page)
    rooms(page).get_by_role("link", name=elsewhere["name"]).click()
    network.lose('"body":"lost"')
    for text in ("before", "lost", "after"):
        bob.say(room, text)
    unread = rooms(page).get_by_role("link", name=f"{room['name']}, 3 unread")
    expect(unread).to_be_visible()
    assert len(network.lost) == 1
    unread.click()
    expect(articles(page)).to_have_count(3)
    assert texts(page) == ["before", "lost", "after"]


# Away


def test_a_page_that_is_opened_without_a_network_comes_by_itself_when_there_is_one(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "here")
    page = open_page("/", ann)
    status(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    page.goto(address(room))
    expect(page.get_by_role("heading", name="quartchat cannot be reached")).to_be_visible()
    page.context.set_offline(False)
    expect(articles(page, "here")).to_be_visible()
    status(page)


def test_a_page_that_is_opened_while_the_server_is_away_comes_by_itself_when_it_is_back(
    open_page: Open, start_server: Callable[..., harness.Server]
) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    ann.say(room, "here")
    page = open_page("/", ann, at=server.url)
    status(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.web.kill()
    page.goto(address(room))
    expect(page.get_by_role("heading", name="quartchat cannot be reached")).to_be_visible()
    server.web.start()
    server.wait_until_ready()
    expect(articles(page, "here")).to_be_visible()
    status(page)


def test_a_room_that_could_not_be_loaded_is_there_as_soon_as_the_page_is_connected_again(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    other = bob.room("other")
    ann.say(room, "here")
    page = open_page("/", ann)
    status(page)
    page.context.route(f"**{STREAM}*", refuse)
    page.context.route("**/api/chat/rooms/**", put_off)
    with page.expect_request(f"**{STREAM}*"):
        page.evaluate("dispatchEvent(new Event('online'))")  # the stream is made anew
    status(page, "Reconnecting")
    page.get_by_role("link", name=room["name"]).click()
    expect(page.get_by_role("button", name="Load again")).to_be_visible()
    page.context.unroute_all()
    expect(page.get_by_role("status")).to_have_text("Connected", timeout=BACKOFF_MS)
    expect(articles(page, "here")).to_be_visible()

    page.context.route("**/api/chat/rooms/**", put_off)
    page.evaluate(GO, address(other))
    expect(page.get_by_role("heading", name="The room did not load")).to_be_visible()
    page.context.unroute_all()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_role("heading", name=other["name"])).to_be_visible()
