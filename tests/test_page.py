"""The page in a real Chromium, by the roles and names that the contract gives."""

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import harness
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Route,
    expect,
    sync_playwright,
)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STREAM = "/api/chat/events"
PHONE = {"width": 360, "height": 740}
# Resolves once the browser has drawn, and told of scrolls before that.
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Chromium logs every refused or failed request by itself; those are the test's business. The
# second is of the service worker's script.
FAILED = ("Failed to load resource", "An unknown error occurred when fetching the script.")
SLOW = "was preloaded using link preload but not used within a few seconds"  # its remark on a wait

expect.set_options(timeout=harness.WAIT_S * 1000)

Open = Callable[..., Page]
Room = dict[str, Any]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Whatever any page of the test complained of, a violated CSP included: nothing, please."""
    complaints: list[str] = []
    yield complaints
    assert complaints == []


@pytest.fixture
def open_page(browser: Browser, server: harness.Server, complaints: list[str]) -> Iterator[Open]:
    """`open_page("/", ann)`: a browser of ann's own, or nobody's, at that address."""
    contexts: list[BrowserContext] = []

    def note(message: ConsoleMessage) -> None:
        known = message.text.startswith(FAILED) or SLOW in message.text
        if message.type in {"error", "warning"} and not known:
            complaints.append(message.text)

    def open_page(
        path: str, person: harness.Client | None = None, *, at: str = server.url, **options: object
    ) -> Page:
        context = browser.new_context(base_url=at, **options)  # type: ignore[arg-type]
        contexts.append(context)
        if person:
            context.add_cookies(
                [
                    {"name": cookie.name, "value": cookie.value or "", "url": at}
                    for cookie in person.http.cookies.jar
                ]
            )
        context.on("console", note)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def ann(server: harness.Server) -> harness.Client:
    return server.user("ann")


@pytest.fixture
def bob(server: harness.Server) -> harness.Client:
    return server.user("bob")


def status(page: Page, text: str = "Connected") -> None:
    expect(page.get_by_role("status")).to_have_text(text)


def field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message")


def articles(page: Page, text: str = "") -> Locator:
    return page.get_by_role("log", name="Messages").get_by_role("article").filter(has_text=text)


def rooms(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Rooms")


def say(page: Page, text: str) -> None:
    field(page).fill(text)
    field(page).press("Enter")


def paste(page: Page, text: str) -> None:
    """Put a text into the field as people do, in place of what is there."""
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    field(page).press("ControlOrMeta+a")
    field(page).press("ControlOrMeta+v")
    expect(field(page)).to_have_value(text)


def from_end(page: Page) -> float:
    """How far above its end the log is scrolled to, in px."""
    distance: float = page.get_by_role("log", name="Messages").evaluate(
        "log => log.scrollHeight - log.clientHeight - log.scrollTop"
    )
    return distance


def leave_room(page: Page) -> None:
    if page.get_by_role("button", name="Leave room").is_hidden():
        page.get_by_role("button", name="Room details").click()
    page.get_by_role("button", name="Leave room").click()


def refuse(route: Route) -> None:
    """After any status but 200 a browser gives its EventSource up, and the page makes a new one."""
    route.fulfill(status=503)


def hold(page: Page, url: str, times: int | None = None) -> list[Route]:
    """Keep requests of the page back: `.pop().continue_()` lets the last one go."""
    held: list[Route] = []
    page.route(url, lambda route: held.append(route), times=times)  # noqa: PLW0108 - playwright counts parameters
    return held


def eventually(page: Page, check: Callable[[], bool], within_s: float = harness.WAIT_S) -> None:
    """As the harness's, while the page's requests go on reaching the test."""

    def look() -> bool:
        page.wait_for_timeout(20)  # ms
        return check()

    harness.eventually(look, within_s)


def watch_streams(context: BrowserContext) -> list[str]:
    """The addresses of the streams that the browser opens from now on."""
    urls: list[str] = []

    def note(request: Request) -> None:
        if STREAM in request.url:
            urls.append(request.url)

    context.on("request", note)
    return urls


def address(room: Room) -> str:
    return f"/rooms/{room['id']}"


def bodies(person: harness.Client, room: Room) -> list[str]:
    history = person.get(f"/api/chat/rooms/{room['id']}/messages", limit=200).json()
    return [message["body"] for message in history["messages"]]


def shared_room(*people: harness.Client) -> Room:
    room = people[0].room("lobby")
    for person in people[1:]:
        person.join(room)
    return room


# Accounts


def test_a_newcomer_registers_and_is_in(open_page: Open) -> None:
    page = open_page("/login")
    page.get_by_role("link", name="Create an account").click()
    expect(page).to_have_url(re.compile(r"/register$"))
    page.get_by_label("Username").fill(f"ann.{secrets.token_hex(4)}")
    page.get_by_label("Password").fill(harness.PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page).to_have_url(re.compile(r"/$"))
    status(page)
    expect(page.get_by_text("Browse the rooms that are open")).to_be_visible()


def test_a_wrong_password_is_told_and_the_right_one_lets_in(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/login")
    page.get_by_label("Username").fill(ann.name)
    page.get_by_label("Password").fill("wrong horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Password").fill(harness.PASSWORD)
    page.get_by_label("Password").press("Enter")
    status(page)


def test_registering_tells_each_rule_that_is_broken_and_a_name_that_is_taken(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/register")
    page.get_by_label("Username").fill(ann.name)
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).to_contain_text("At least 8")
    page.get_by_label("Password").fill(harness.PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).to_contain_text("taken")
    page.get_by_label("Username").fill("a name")
    page.get_by_label("Password").fill("ä" * 40)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).to_contain_text("Username: It has a character")
    expect(page.get_by_role("alert")).to_contain_text("Password: At most 72 bytes")
    expect(page.get_by_label("Username")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_accessible_description(
        re.compile(r"At most 72 bytes.* At least 8 characters")
    )


@pytest.mark.parametrize("path", ["/", "/rooms/1"])
def test_who_is_signed_out_is_sent_to_the_login(open_page: Open, path: str) -> None:
    expect(open_page(path)).to_have_url(re.compile(r"/login$"))


def test_logging_out_leads_to_the_login_and_there_is_no_way_back(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/", ann)
    status(page)
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(r"/login$"))
    page.goto("/")
    expect(page).to_have_url(re.compile(r"/login$"))


def test_logging_out_in_one_tab_leads_every_tab_to_the_login(
    open_page: Open, ann: harness.Client
) -> None:
    first = open_page("/", ann)
    status(first)
    second = first.context.new_page()
    second.goto("/")
    status(second)
    first.get_by_role("button", name="Log out").click()
    expect(first).to_have_url(re.compile(r"/login$"))
    expect(second).to_have_url(re.compile(r"/login$"))


def test_a_session_that_ends_elsewhere_ends_on_the_page(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/", ann)
    status(page)
    ann.post("/api/logout")
    expect(page).to_have_url(re.compile(r"/login$"))


# Rooms


def test_ann_makes_a_room_and_bob_finds_it_and_they_talk(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    name = f"tea {ann.name}"
    anns, bobs = open_page("/", ann), open_page("/", bob)
    anns.get_by_role("button", name="New room").click()
    dialog = anns.get_by_role("dialog", name="New room")
    dialog.get_by_label("Room name").fill(name)
    dialog.get_by_role("button", name="Create").click()
    expect(anns.get_by_role("heading", name=name)).to_be_visible()

    bobs.get_by_role("button", name="Browse rooms").click()
    browse = bobs.get_by_role("dialog", name="Browse rooms")
    browse.get_by_label("Search").fill(name)
    browse.get_by_role("row", name=name).get_by_role("button", name="Join").click()
    expect(rooms(bobs).get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
    expect(anns.get_by_text("2 members")).to_be_visible()

    say(anns, "Tea?")
    expect(articles(bobs, "Tea?")).to_contain_text(ann.name)
    say(bobs, "With milk.")
    expect(articles(anns, "With milk.")).to_contain_text(bob.name)
    expect(articles(anns, "With milk.").locator("time")).to_have_attribute(
        "datetime", re.compile("Z$")
    )
    expect(articles(anns)).to_have_count(2)
    expect(articles(bobs)).to_have_count(2)


def test_a_room_with_a_wrong_name_is_refused_in_its_dialog(
    open_page: Open, ann: harness.Client
) -> None:
    taken = ann.room("taken")
    page = open_page("/", ann)
    page.get_by_role("button", name="New room").click()
    dialog = page.get_by_role("dialog", name="New room")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_have_text("Room name: It must not be empty.")
    dialog.get_by_label("Room name").fill(taken["name"])
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("exists")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_dialog_marks_each_field_that_is_wrong_and_leads_to_the_first(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/", ann)
    page.get_by_role("button", name="New room").click()
    dialog = page.get_by_role("dialog", name="New room")
    name, topic = dialog.get_by_label("Room name"), dialog.get_by_label("Topic")
    expect(topic).to_have_attribute("maxlength", "255")
    topic.evaluate("input => input.removeAttribute('maxlength')")
    name.fill("a room")
    topic.fill("x" * 300)
    topic.press("Enter")
    expect(topic).to_be_focused()
    expect(topic).to_have_attribute("aria-invalid", "true")
    expect(topic).to_have_accessible_description(re.compile("Topic: At most 255 characters. What"))
    expect(name).not_to_have_attribute("aria-invalid", "true")
    name.fill("")
    name.press("Enter")
    expect(name).to_be_focused()
    for field in (name, topic):
        expect(field).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_role("alert").locator("p")).to_have_count(2)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="New room").click()
    expect(dialog.get_by_role("alert")).to_be_empty()
    expect(dialog.locator("[aria-invalid]")).to_have_count(0)
    expect(topic).to_have_accessible_description("What is it about? Optional.")


def test_a_private_room_is_left_only_after_a_question(open_page: Open, ann: harness.Client) -> None:
    room = ann.room("secret", visibility="private")
    page = open_page(address(room), ann)
    leave_room(page)
    page.get_by_role("button", name="Stay").click()
    expect(field(page)).to_be_visible()
    leave_room(page)
    page.get_by_role("button", name="Leave", exact=True).click()
    expect(page).to_have_url(re.compile(r"/$"))
    expect(rooms(page).get_by_role("link")).to_have_count(0)


def test_a_room_joined_or_left_elsewhere_comes_and_goes(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = bob.room("elsewhere")
    page = open_page("/", ann)
    status(page)
    ann.join(room)
    rooms(page).get_by_role("link", name=room["name"]).click()
    expect(field(page)).to_be_visible()
    ann.post(f"/api/chat/rooms/{room['id']}/leave")
    expect(page.get_by_role("heading", name="You are no longer in")).to_be_visible()
    expect(rooms(page).get_by_role("link")).to_have_count(0)


def test_the_address_of_a_public_room_offers_to_join_and_of_no_room_says_so(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = bob.room("open")
    page = open_page(address(room), ann)
    page.get_by_role("button", name="Join room").click()
    expect(field(page)).to_be_visible()
    page.goto("/rooms/999999999")
    expect(page.get_by_role("heading", name="There is no such room")).to_be_visible()


# Messages


def test_enter_sends_and_shift_enter_breaks_the_line(open_page: Open, ann: harness.Client) -> None:
    room = ann.room()
    page = open_page(address(room), ann)
    field(page).press_sequentially("first")
    field(page).press("Shift+Enter")
    field(page).press_sequentially("second")
    expect(field(page)).to_have_value("first\nsecond")
    field(page).press("Enter")
    expect(field(page)).to_have_value("")
    expect(articles(page)).to_have_count(1)
    harness.eventually(lambda: bodies(ann, room) == ["first\nsecond"])


def test_each_room_keeps_what_was_begun_in_it(open_page: Open, ann: harness.Client) -> None:
    tea, milk = ann.room("tea"), ann.room("milk")
    page = open_page(address(tea), ann)
    field(page).fill("half a sente")
    rooms(page).get_by_role("link", name=milk["name"]).click()
    expect(field(page)).to_have_value("")
    page.go_back()
    expect(field(page)).to_have_value("half a sente")


def test_what_a_person_typed_is_never_run(open_page: Open, ann: harness.Client) -> None:
    page = open_page(address(ann.room("<b>room")), ann)
    say(page, "<img src=x onerror=\"document.title='ran'\"><script>1</script> **bold**")
    article = articles(page, "<script>")
    expect(article.locator("strong")).to_have_text("bold")
    expect(article.locator("img, script")).to_have_count(0)
    assert "<b>room" in page.title()


def test_the_past_comes_on_scrolling_up_and_the_readers_place_stays(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room()
    said = [f"message {n:03}" for n in range(130)]
    for body in said:
        ann.say(room, body)
    page = open_page(address(room), ann)
    log = page.get_by_role("log", name="Messages")
    expect(articles(page, "message 129")).to_be_in_viewport()
    expect(articles(page)).to_have_count(50)

    top = articles(page, "message 080")
    log.evaluate("log => { log.scrollTop = 0 }")
    expect(articles(page)).to_have_count(100)
    expect(top).to_be_in_viewport()  # and not pushed down by fifty others
    log.evaluate("log => { log.scrollTop = 0 }")
    expect(articles(page)).to_have_count(130)
    expect(page.get_by_text("This is the beginning of")).to_have_count(1)
    assert articles(page).locator(".text").all_inner_texts() == said


def test_a_message_that_comes_while_reading_the_past_is_offered_not_forced(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = shared_room(ann, bob)
    for n in range(40):
        ann.say(room, f"message {n}\n\nwith\n\nheight")
    page = open_page(address(room), ann)
    expect(articles(page, "message 39")).to_be_in_viewport()
    page.get_by_role("log").hover()
    page.mouse.wheel(0, -1500)
    expect(articles(page, "message 39")).not_to_be_in_viewport()
    bob.say(room, "news")
    page.get_by_role("button", name="1 new message").click()
    expect(articles(page, "news")).to_be_in_viewport()
    expect(rooms(page).get_by_role("link", name="unread")).to_have_count(0)


def test_the_end_of_the_log_stays_in_view_however_a_draft_below_grows_and_shrinks(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = shared_room(ann, bob)
    for n in range(40):
        ann.say(room, f"message {n}")
    page = open_page(address(room), ann, permissions=["clipboard-read", "clipboard-write"])
    to_latest = page.get_by_role("button", name="Jump to latest")
    expect(articles(page, "message 39")).to_be_in_viewport()
    for lines in (30, 31):
        paste(page, "line\n" * lines)
        expect(to_latest).to_be_hidden()
        eventually(page, lambda: from_end(page) == 0)
    field(page).press("ControlOrMeta+a")
    field(page).press("Delete")
    bob.say(room, "news")
    expect(articles(page, "news")).to_be_in_viewport()
    expect(to_latest).to_be_hidden()


def test_a_log_that_grows_down_to_its_end_is_read_along_again(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = shared_room(ann, bob)
    for n in range(40):
        ann.say(room, f"message {n}")
    page = open_page(address(room), ann)
    log = page.get_by_role("log", name="Messages")
    field(page).fill("line\n" * 30)
    log.evaluate("log => { log.scrollTop = 0 }")
    to_latest = page.get_by_role("button", name="Jump to latest")
    expect(to_latest).to_be_visible()
    tall = log.evaluate("log => log.clientHeight")
    field(page).fill("")
    eventually(page, lambda: log.evaluate("log => log.clientHeight") > tall)
    grown = log.evaluate("log => log.clientHeight") - tall
    field(page).fill("line\n" * 30)
    eventually(page, lambda: log.evaluate("log => log.clientHeight") == tall)
    log.evaluate("(log, px) => { log.scrollTop = log.scrollHeight - log.clientHeight - px }", grown)
    page.evaluate(FRAMES)  # the browser tells of the scroll
    expect(to_latest).to_be_visible()
    field(page).fill("")
    expect(to_latest).to_be_hidden()
    bob.say(room, "news")
    expect(articles(page, "news")).to_be_in_viewport()


def test_unread_messages_are_counted_in_the_rooms_name_until_they_are_seen(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room, other = shared_room(ann, bob), ann.room("other")
    bob.say(room, "one")
    page = open_page(address(other), ann)
    expect(rooms(page).get_by_role("link", name=f"{room['name']}, 1 unread")).to_be_visible()
    status(page)
    bob.say(room, "two")
    unread = rooms(page).get_by_role("link", name=f"{room['name']}, 2 unread")
    expect(unread).to_be_visible()
    assert page.title().startswith("(2)")
    unread.click()
    expect(rooms(page).get_by_role("link", name=room["name"], exact=True)).to_be_visible()
    harness.eventually(lambda: ann.get(f"/api/chat/rooms/{room['id']}").json()["unread"] == 0)


def test_who_writes_elsewhere_has_read(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = shared_room(ann, bob)
    bob.say(room, "one")
    page = open_page("/", ann)
    status(page)
    expect(rooms(page).get_by_role("link", name="1 unread")).to_be_visible()
    ann.say(room, "answer")
    expect(rooms(page).get_by_role("link", name=room["name"], exact=True)).to_be_visible()
    assert ann.get(f"/api/chat/rooms/{room['id']}").json()["unread"] == 0


def test_a_refused_message_stays_with_its_reason_and_can_be_tried_again(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room()
    page = open_page(address(room), ann)
    refusal = {"status": 403, "title": "No", "detail": "Not at this hour.", "code": "forbidden"}
    page.route("**/messages", lambda route: route.fulfill(status=403, json=refusal), times=1)
    say(page, "hello")
    expect(articles(page, "hello")).to_contain_text("Not at this hour.")
    page.reload()  # it survives that, too
    articles(page, "hello").get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    harness.eventually(lambda: bodies(ann, room) == ["hello"])


def test_a_message_whose_answer_is_lost_is_sent_again_and_is_there_once(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room()
    page = open_page(address(room), ann)
    status(page)
    names: list[str] = []
    held: list[Route] = []

    def lose(route: Route) -> None:
        names.append((route.request.post_data_json or {})["client_id"])
        if len(names) == 1:
            route.fetch()
            route.abort()
        else:
            held.append(route)

    page.route(STREAM + "**", lambda route: route.abort())  # nor does the stream tell
    page.context.set_offline(True)
    page.context.set_offline(False)
    status(page, "Reconnecting")
    page.route("**/messages", lose)
    say(page, "once")
    eventually(page, lambda: len(held) > 0)
    expect(articles(page, "once")).to_contain_text("Sending")
    held.pop().continue_()
    expect(articles(page, "once")).not_to_contain_text("Sending")
    expect(articles(page)).to_have_count(1)
    assert len(set(names)) == 1
    assert bodies(ann, room) == ["once"]


# The stream


@pytest.fixture
def two_servers(start_server: Callable[..., harness.Server]) -> Iterator[list[harness.Server]]:
    """Two web processes of one chat, so that bob can write while ann's is away."""
    first = start_server()
    with first.another() as second:
        yield [first, second]


def test_a_dead_stream_is_made_anew_with_its_cursor_and_nothing_is_doubled(
    open_page: Open, two_servers: list[harness.Server]
) -> None:
    anns, bobs = two_servers
    ann, bob = anns.user("ann"), bobs.user("bob")
    room = shared_room(bob, ann)
    loaded = ann.get("/api/chat/rooms", joined="true").json()["cursor"]
    page = open_page(address(room), ann, at=anns.url)
    status(page)
    bob.say(room, "before")
    expect(articles(page, "before")).to_be_visible()
    anns.web.terminate()
    status(page, "Reconnecting")
    bob.say(room, "meanwhile 1")
    page.route(f"{STREAM}**", refuse, times=1)
    streams = watch_streams(page.context)
    eventually(page, lambda: len(streams) > 0)
    bob.say(room, "meanwhile 2")
    anns.web.start()
    anns.wait_until_ready()
    status(page)
    bob.say(room, "after")
    expect(articles(page, "after")).to_be_visible()
    texts = articles(page).locator(".text").all_inner_texts()
    assert texts == ["before", "meanwhile 1", "meanwhile 2", "after"]
    assert parse_qs(urlsplit(streams[-1]).query)["last_event_id"] != [loaded]


def test_a_cursor_that_cannot_be_served_makes_the_page_read_everything_anew(
    open_page: Open, two_servers: list[harness.Server]
) -> None:
    anns, bobs = two_servers
    ann, bob = anns.user("ann"), bobs.user("bob")
    room, other = shared_room(bob, ann), shared_room(bob, ann)
    page = open_page(address(room), ann, at=anns.url)
    status(page)
    bob.say(room, "before")
    expect(articles(page, "before")).to_be_visible()
    anns.web.terminate()
    status(page, "Reconnecting")
    bob.say(room, "meanwhile")
    bob.say(other, "unread")
    nonsense = f"{anns.url}{STREAM}?last_event_id=nonsense"
    page.route(f"{STREAM}**", lambda route: route.continue_(url=nonsense))
    page.route(f"{STREAM}**", refuse, times=1)  # or a header with the true cursor would win
    anns.web.start()
    anns.wait_until_ready()
    status(page)
    expect(articles(page, "meanwhile")).to_be_visible()
    expect(rooms(page).get_by_role("link", name=f"{other['name']}, 1 unread")).to_be_visible()
    bob.say(room, "after")
    expect(articles(page)).to_have_count(3)


def test_a_network_that_goes_and_comes_back_is_told_and_used_at_once(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room()
    page = open_page(address(room), ann)
    status(page)
    page.context.set_offline(True)
    status(page, "Offline")
    expect(page.get_by_text("You are offline")).to_be_visible()
    say(page, "patience")
    streams = watch_streams(page.context)
    page.context.set_offline(False)
    status(page)
    expect(page.get_by_text("Sending")).to_have_count(0)
    assert len(streams) == 1
    assert bodies(ann, room) == ["patience"]


def test_a_server_that_goes_and_comes_back_loses_nothing_on_either_side(
    open_page: Open, start_server: Callable[..., harness.Server]
) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    page = open_page(address(room), ann, at=server.url)
    status(page)
    say(page, "before")
    expect(articles(page, "before")).not_to_contain_text("Sending")
    server.web.terminate()
    status(page, "Reconnecting")
    say(page, "while it is away 1")
    say(page, "while it is away 2")
    expect(articles(page, "while it is away 1")).to_contain_text("Sending")
    server.web.start()
    server.wait_until_ready()
    status(page)
    expect(page.get_by_text("Sending")).to_have_count(0, timeout=20_000)
    said = ["before", "while it is away 1", "while it is away 2"]
    assert articles(page).locator(".text").all_inner_texts() == said
    assert bodies(ann, room) == said


def test_the_tabs_of_a_browser_share_one_stream_and_the_next_tab_takes_it_over(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = shared_room(ann, bob)
    first = open_page(address(room), ann)
    status(first)
    streams = watch_streams(first.context)
    others = [first.context.new_page() for _ in range(7)]  # a seventh connection would hang
    for page in others:
        page.goto(address(room))
        status(page)
    assert streams == []
    bob.say(room, "to all")
    for page in [first, *others]:
        expect(articles(page, "to all")).to_have_count(1)
    first.close()
    bob.say(room, "to those who stay")
    for page in others:
        expect(articles(page, "to those who stay")).to_have_count(1)
        expect(articles(page)).to_have_count(2)
    assert len(streams) == 1


# Small screens


def test_a_phone_shows_the_rooms_or_one_room_and_a_way_back(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room("a very long name that has no place in a narrow head")
    ann.say(room, "`" + "x" * 200 + "`")
    page = open_page("/", ann, viewport=PHONE)
    rooms(page).get_by_role("link", name=room["name"]).click()
    expect(articles(page)).to_be_visible()
    expect(rooms(page)).to_be_hidden()
    status(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Back to rooms").click()
    expect(rooms(page).get_by_role("link", name=room["name"])).to_be_focused()
    expect(page.get_by_role("log")).to_be_hidden()
    page.go_back()
    expect(field(page)).to_be_visible()


def test_on_a_phone_the_way_back_says_what_waits_in_other_rooms(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room, other = shared_room(ann, bob), shared_room(ann, bob)
    page = open_page(address(room), ann, viewport=PHONE)
    status(page)
    back = page.get_by_role("link", name="Back to rooms")
    expect(back.locator(".badge")).to_be_hidden()
    bob.say(other, "to nobody")
    expect(back).to_have_accessible_name("Back to rooms, 1 unread")
    expect(back.locator(".badge")).to_have_attribute("data-count", "")
    for _ in range(2):
        bob.say(other, f"look, @{ann.name}")
    expect(back).to_have_accessible_name("Back to rooms, 2 mentions, 3 unread")
    direct = bob.post("/api/chat/direct", {"user_id": ann.me["id"]}).json()
    bob.say(direct, "are you there?")
    expect(back).to_have_accessible_name("Back to rooms, 2 mentions, 1 direct message, 4 unread")
    expect(back.locator(".badge")).to_have_attribute("data-count", "3")
    bob.say(room, f"and here, @{ann.name}")
    expect(articles(page, "and here")).to_be_visible()
    expect(back.locator(".badge")).to_have_attribute("data-count", "3")


ASKED = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => new URL(name).pathname.match(/^.api.(me|chat.rooms|.*messages)$/))
  .map(({ name, initiatorType }) => [new URL(name).pathname, initiatorType])"""


def test_what_the_page_needs_first_is_asked_for_once_and_before_its_scripts_run(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room()
    ann.say(room, "here")
    page = open_page("/", ann)
    for path in ("/", address(room), address({"id": f"0{room['id']}"})):
        page.goto(path)
        status(page)
        assert articles(page, "here").count() == (path != "/")
        assert sorted(page.evaluate(ASKED)) == [["/api/chat/rooms", "link"], ["/api/me", "link"]]


def test_a_room_of_others_is_asked_for_in_vain_and_without_a_complaint(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    page = open_page(address(bob.room()), ann)
    expect(page.get_by_role("button", name="Join room")).to_be_visible()
    status(page)
    assert sorted(page.evaluate(ASKED)) == [["/api/chat/rooms", "link"], ["/api/me", "link"]]


ROUTED = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => !name.endsWith("/sw.js"))
  .map((entry) => entry.workerMatchedRouterSource ?? entry.workerMatchedSourceType)"""


def test_the_service_worker_is_asked_for_pages_alone(open_page: Open, ann: harness.Client) -> None:
    page = open_page("/", ann)
    status(page)
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    page.reload()
    status(page)
    assert page.evaluate("Boolean(navigator.serviceWorker.controller)")
    assert "network" in (routed := set(page.evaluate(ROUTED)))
    assert routed <= {"network", ""}  # the latter from memory


FRAME = "**/js/frame.js"


def test_what_is_asked_for_before_its_code_is_here_is_done_once_it_is(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/login", ann)
    held = hold(page, FRAME)
    presses: list[Callable[[], None]] = [
        lambda: page.get_by_role("button", name="New room").click(),
        lambda: page.keyboard.press("Control+k"),
    ]
    for press in presses:
        page.goto("/", wait_until="commit")
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        eventually(page, lambda: len(held) == 1)
        press()
        status(page)
        assert page.get_by_role("dialog").count() == 0
        held.pop().continue_()
        expect(page.get_by_role("dialog")).to_be_visible()
        status(page)


def test_what_is_asked_for_before_the_page_knows_who_reads_is_done_once_it_does(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/login", ann)
    held = hold(page, "**/api/me")
    page.goto("/")
    eventually(page, lambda: len(held) == 1)
    page.get_by_role("button", name="New room").click()
    held.pop().continue_()
    expect(page.get_by_role("dialog", name="New room")).to_be_visible()
    page.goto("/")
    eventually(page, lambda: len(held) == 1)
    page.get_by_role("button", name="Log out").click()
    held.pop().continue_()
    expect(page).to_have_url(re.compile(r"/login$"))


def test_the_login_cannot_be_sent_before_its_code_is_here(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/docs")
    held = hold(page, "**/js/account.js")
    page.goto("/login", wait_until="commit")
    page.get_by_label("Username").fill(ann.name)
    page.get_by_label("Password").fill(harness.PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("button", name="Log in")).to_be_disabled()
    held.pop().continue_()
    page.get_by_role("button", name="Log in").click()
    status(page)


def test_a_part_of_the_page_that_hangs_keeps_nobody_from_talking(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = shared_room(ann, bob)
    page = open_page("/login", ann)
    page.route(FRAME, lambda _: None)
    page.goto(address(room), wait_until="commit")
    status(page)
    bob.say(room, "hello")
    expect(articles(page, "hello")).to_be_visible()
    say(page, "hi")
    expect(articles(page, "hi")).not_to_contain_text("Sending")


def test_a_part_of_the_page_that_does_not_come_is_loaded_again(
    open_page: Open, ann: harness.Client
) -> None:
    room = ann.room()
    ann.say(room, "hello")
    page = open_page("/login", ann)
    part = hold(page, FRAME, times=1)
    page.goto(address(room), wait_until="commit")
    expect(articles(page, "hello")).to_be_visible()
    eventually(page, lambda: len(part) == 1)
    anew = hold(page, "**/api/me", times=1)
    part.pop().abort()
    expect(page.get_by_role("alert").filter(has_text="could not be loaded")).to_be_visible()
    eventually(page, lambda: len(anew) == 1)
    with page.expect_event("load"):
        anew.pop().continue_()
    status(page)
    page.get_by_role("button", name="Room details").click()
    expect(page.get_by_role("complementary", name="Room details")).to_be_visible()


def test_the_page_keeps_its_own_content_policy(open_page: Open, ann: harness.Client) -> None:
    """`complaints` fails this test if any script, style or picture is refused."""
    page = open_page(address(ann.room()), ann)
    say(page, "# A head\n\n```\ncode\n```\n\n[link](https://example.org)")
    expect(articles(page).locator("a")).to_have_attribute("target", "_blank")
    page.get_by_role("button", name="Browse rooms").click()
    expect(page.get_by_role("row").first).to_be_visible()
    policy = page.request.get("/login").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
