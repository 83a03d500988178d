"""What people do in a room, in a real Chromium, two at once."""

import re
from collections.abc import Callable
from itertools import pairwise

import harness
import pytest
from hands import TARGET_PX
from playwright.sync_api import FloatRect, Locator, Page, Position, Route, expect
from test_page import (
    PHONE,
    Open,
    Room,
    address,
    articles,
    browser,
    complaints,
    eventually,
    field,
    hold,
    open_page,
    rooms,
    say,
    shared_room,
    status,
)

__all__ = ["browser", "complaints", "open_page"]  # fixtures


@pytest.fixture
def ann(server: harness.Server) -> harness.Client:
    return server.user("ann", display_name="Ann")


@pytest.fixture
def bob(server: harness.Server) -> harness.Client:
    return server.user("bob", display_name="Bob")


@pytest.fixture
def room(ann: harness.Client, bob: harness.Client) -> Room:
    return shared_room(ann, bob)


def act(page: Page, text: str, what: str) -> None:
    """Do something to a message by mouse."""
    article = articles(page, text).last
    expect(article).not_to_contain_text("Sending")  # or it moves once that is gone
    article.hover()
    article.get_by_role("button", name=what, exact=True).click()


def box(locator: Locator) -> FloatRect:
    found = locator.bounding_box()
    assert found is not None
    return found


def reactions(page: Page, text: str) -> Locator:
    return articles(page, text).get_by_role("group", name="Reactions").get_by_role("button")


def messages(person: harness.Client, room: Room) -> list[dict[str, object]]:
    found: list[dict[str, object]] = person.get(
        f"/api/chat/rooms/{room['id']}/messages", limit=200
    ).json()["messages"]
    return found


# Edit and delete


def test_an_edit_is_seen_by_everybody_with_its_mark(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    status(bobs)
    say(anns, "helo")
    expect(articles(bobs, "helo")).to_be_visible()
    act(anns, "helo", "Edit")
    expect(field(anns)).to_have_value("helo")
    say(anns, "hello")
    for page in (anns, bobs):
        expect(articles(page).locator(".text")).to_have_text("hello")
        expect(articles(page)).to_contain_text("Edited")
        expect(articles(page)).to_have_count(1)
    expect(field(anns)).to_have_value("")


def test_up_in_an_empty_field_edits_the_last_own_message_and_escape_leaves_it(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    ann.say(room, "mine")
    bob.say(room, "bob's")
    page = open_page(address(room), ann)
    expect(articles(page)).to_have_count(2)
    field(page).press("ArrowUp")
    expect(field(page)).to_have_value("mine")
    expect(page.get_by_text("Editing")).to_be_visible()
    field(page).press("Escape")
    expect(field(page)).to_have_value("")
    expect(page.get_by_text("Editing")).to_be_hidden()
    field(page).fill("a draft")
    field(page).press("ArrowUp")
    expect(field(page)).to_have_value("a draft")


def test_an_edit_that_fails_is_undone_and_what_was_written_is_not_lost(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "before")
    page = open_page(address(room), ann)
    expect(articles(page, "before")).to_be_visible()
    page.route("**/messages/*", lambda route: route.fulfill(status=503, json={}), times=1)
    field(page).press("ArrowUp")
    say(page, "after")
    expect(page.get_by_text("Not saved.")).to_be_visible()
    expect(articles(page).locator(".text")).to_have_text("before")
    expect(field(page)).to_have_value("after")
    field(page).press("Enter")
    expect(articles(page).locator(".text")).to_have_text("after")


def test_an_edit_whose_answer_is_lost_shows_what_the_stream_says(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    ann.say(room, "before")
    page = open_page(address(room), ann)
    expect(articles(page, "before")).to_be_visible()
    status(page)

    def lose(route: Route) -> None:
        route.fetch()
        bob.say(room, "next")
        expect(articles(page, "next")).to_be_visible()  # and what the stream said before that
        route.abort()

    page.route("**/messages/*", lose, times=1)
    field(page).press("ArrowUp")
    say(page, "after")
    expect(page.get_by_text("Not saved.")).to_be_visible()
    expect(articles(page).first.locator(".text")).to_have_text("after")
    expect(articles(page).first).to_contain_text("Edited")


def test_who_deletes_is_asked_and_everybody_sees_that_something_was_there(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    bob.say(room, "oops")
    bobs, anns = open_page(address(room), bob), open_page(address(room), ann)
    expect(articles(anns, "oops")).to_be_visible()
    status(anns)
    act(bobs, "oops", "Delete")
    bobs.get_by_role("button", name="Keep").click()
    expect(articles(bobs, "oops")).to_be_visible()
    act(bobs, "oops", "Delete")
    bobs.get_by_role("dialog").get_by_role("button", name="Delete").click()
    for page in (anns, bobs):
        expect(articles(page, "This message was deleted.")).to_have_count(1)
        expect(articles(page, "oops")).to_have_count(0)


def test_a_moderator_deletes_what_others_wrote_and_a_member_does_not(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    """Ann made the room."""
    ann.say(room, "by ann")
    bob.say(room, "by bob")
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    articles(bobs, "by ann").hover()
    expect(articles(bobs, "by ann").get_by_role("button", name="Reply")).to_be_visible()
    for forbidden in ("Edit", "Delete"):
        expect(articles(bobs, "by ann").get_by_role("button", name=forbidden)).to_have_count(0)
    articles(anns, "by bob").hover()
    expect(articles(anns, "by bob").get_by_role("button", name="Edit")).to_have_count(0)
    act(anns, "by bob", "Delete")
    anns.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(articles(bobs, "by bob")).to_have_count(0)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_what_can_be_done_to_a_message_is_offered_where_the_reader_waits_for_it_to_be_sent(
    open_page: Open, ann: harness.Client, room: Room, by: str
) -> None:
    page = open_page(address(room), ann)
    status(page)
    held = hold(page, "**/messages")
    say(page, "on its way")
    article = articles(page, "on its way")
    expect(article).to_contain_text("Sending")
    if by == "mouse":
        article.locator(".text").hover()
    else:
        field(page).press("Shift+Tab")
        page.keyboard.press("ArrowUp")
        expect(article).to_be_focused()
    expect(article.get_by_role("button", name="Edit")).to_be_hidden()
    eventually(page, lambda: len(held) == 1)
    held.pop().continue_()
    expect(article.get_by_role("button", name="Edit")).to_be_visible()


def test_the_buttons_of_a_send_that_failed_stay_while_somebody_gets_another_name(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    page = open_page(address(room), ann)
    status(page)
    bob.say(room, "by bob")
    page.route("**/messages", lambda route: route.fulfill(status=400, json={"title": "No."}))
    say(page, "refused")
    again = articles(page, "refused").get_by_role("button", name="Try again")
    again.focus()
    assert bob.patch("/api/me", {"display_name": "Robert"}).status_code == 200
    expect(articles(page, "by bob")).to_contain_text("Robert")
    expect(again).to_be_focused()


# Reactions


def test_a_reaction_is_counted_for_everybody_and_taken_back(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    ann.say(room, "lunch?")
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    status(anns)
    status(bobs)
    act(bobs, "lunch?", "React")
    bobs.get_by_role("dialog", name="Choose an emoji").get_by_role("button", name="👍").click()
    expect(reactions(anns, "lunch?")).to_have_accessible_name("👍 1, Bob")
    expect(reactions(anns, "lunch?")).to_have_attribute("aria-pressed", "false")
    reactions(anns, "lunch?").click()
    expect(reactions(anns, "lunch?")).to_have_attribute("aria-pressed", "true")
    expect(reactions(bobs, "lunch?")).to_have_accessible_name("👍 2, you and Ann")
    reactions(bobs, "lunch?").click()
    expect(reactions(anns, "lunch?")).to_have_accessible_name("👍 1, you")
    bobs.reload()
    expect(reactions(bobs, "lunch?")).to_have_accessible_name("👍 1, Ann")


def test_any_emoji_can_be_typed_and_no_text(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "hm")
    page = open_page(address(room), ann)
    act(page, "hm", "React")
    page.get_by_label("Any emoji").fill("x")
    page.get_by_label("Any emoji").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="One emoji")).to_be_visible()
    page.get_by_label("Any emoji").fill("🦩")
    page.get_by_label("Any emoji").press("Enter")
    expect(reactions(page, "hm")).to_have_accessible_name("🦩 1, you")
    act(page, "hm", "React")
    expect(page.locator("#picker-grid button").first).to_have_text("🦩")


def test_a_reaction_that_is_refused_is_taken_back_and_said(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "hm")
    page = open_page(address(room), ann)
    refusal = {"status": 422, "title": "No", "detail": "Too many.", "code": "x"}
    page.route("**/reactions/*", lambda route: route.fulfill(status=422, json=refusal))
    act(page, "hm", "React")
    page.locator("#picker-grid button").first.click()
    expect(page.get_by_text("Too many.")).to_be_visible()
    expect(reactions(page, "hm")).to_have_count(0)


# Replies


def test_a_reply_quotes_and_its_quote_leads_to_the_original_however_old(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    question = ann.say(room, "the **old** question")
    for n in range(120):
        ann.say(room, f"filler {n}")
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    bob.post(f"/api/chat/rooms/{room['id']}/messages", {"body": "yes", "reply_to": question["id"]})
    for page in (anns, bobs):
        expect(articles(page, "yes").locator(".quote")).to_contain_text("Ann the old question")
    articles(anns, "yes").locator(".quote").click()
    original = articles(anns, "the old question").first
    expect(original).to_be_in_viewport()
    expect(original).to_be_focused()
    expect(articles(anns, "yes")).to_have_count(0)
    bob.say(room, "news")
    anns.get_by_role("button", name="1 new message").click()
    expect(articles(anns, "news")).to_be_in_viewport()
    expect(anns.get_by_role("button", name="Jump to latest")).to_be_hidden()


def test_messages_of_one_author_are_farther_apart_than_the_parts_of_one(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "first part\n\nsecond part")
    ann.say(room, "next message")
    page = open_page(address(room), ann)
    next_message = page.get_by_text("next message")
    expect(next_message).to_be_visible()
    tops = [box(page.get_by_text(text)) for text in ("first part", "second part", "next message")]
    within, between = (lower["y"] - upper["y"] - upper["height"] for upper, lower in pairwise(tops))
    assert between >= 1.5 * within


def test_the_time_of_a_message_under_the_pointer_fits_below_the_avatar(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "first")
    ann.say(room, "second")
    page = open_page(address(room), ann, locale="en-US")
    article = articles(page, "second")
    article.hover()
    time = article.locator("time")
    expect(time).to_have_text(re.compile(r"\d.[AP]M$"))
    column = box(articles(page, "first").locator(".avatar"))
    assert box(time)["x"] >= column["x"]
    assert time.evaluate("time => time.scrollWidth <= time.clientWidth")


def test_a_quote_on_a_phone_is_a_big_target_and_leaves_no_hole(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    question = ann.say(room, "what is it?")
    path = f"/api/chat/rooms/{room['id']}/messages"
    bob.post(path, {"body": "an answer", "reply_to": question["id"]})
    page = open_page(address(room), ann, viewport=PHONE, has_touch=True, is_mobile=True)
    article = articles(page, "an answer")
    expect(article.locator(".quote")).to_contain_text("what is it?")
    name, text = box(article.locator(".byline")), box(article.locator(".text"))
    assert text["y"] - name["y"] - name["height"] <= 1.5 * name["height"]
    assert box(article.locator(".quote"))["height"] >= TARGET_PX


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_of_an_empty_field_is_idle_under_the_pointer_too(
    open_page: Open, ann: harness.Client, room: Room, scheme: str
) -> None:
    page = open_page(address(room), ann, color_scheme=scheme, reduced_motion="reduce")
    send = page.get_by_role("button", name="Send")
    expect(field(page)).to_have_attribute("placeholder", re.compile("Message"))
    idle = send.evaluate("button => getComputedStyle(button).backgroundColor")
    field(page).fill("hello")
    send.click()
    expect(articles(page, "hello")).to_be_visible()
    expect(send).to_have_css("background-color", idle)


def test_a_reply_is_written_under_what_it_answers_and_can_be_given_up(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    bob.say(room, "who is in?")
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    act(anns, "who is in?", "Reply")
    expect(anns.get_by_text("Replying to Bob")).to_be_visible()
    expect(field(anns)).to_be_focused()
    field(anns).press("Escape")
    expect(anns.get_by_text("Replying to Bob")).to_be_hidden()
    act(anns, "who is in?", "Reply")
    anns.reload()  # it is part of the draft
    expect(anns.get_by_text("Replying to Bob")).to_be_visible()
    say(anns, "count me in")
    expect(anns.get_by_text("Replying to Bob")).to_be_hidden()
    expect(articles(bobs, "count me in").locator(".quote")).to_contain_text("Bob who is in?")
    bob.delete(f"/api/chat/rooms/{room['id']}/messages/{messages(bob, room)[0]['id']}")
    for page in (anns, bobs):
        expect(articles(page, "count me in").locator(".quote")).to_contain_text("A deleted message")


# Mentions


def test_a_name_is_completed_and_stands_out_for_the_one_who_is_meant(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    status(bobs)
    field(anns).press_sequentially("hi @bo")
    option = anns.get_by_role("listbox", name="People").get_by_role("option", name="Bob")
    expect(option).to_have_attribute("aria-selected", "true")
    field(anns).press("Enter")
    expect(field(anns)).to_have_value(f"hi @{bob.name} ")
    field(anns).press_sequentially("!")
    field(anns).press("Enter")
    expect(articles(bobs, "hi").locator(".mention.mine")).to_have_text(f"@{bob.name}")
    expect(articles(bobs, "hi")).to_have_class(re.compile("for-me"))
    expect(articles(anns, "hi").locator(".mention")).to_have_text(f"@{bob.name}")
    expect(articles(anns, "hi").locator(".mention.mine")).to_have_count(0)


def test_the_name_that_is_chosen_stays_so_when_somebody_comes_who_may_be_meant_too(
    open_page: Open, ann: harness.Client, server: harness.Server, room: Room
) -> None:
    dan = server.user("dan", display_name="Dan")
    dan.join(room)
    page = open_page(address(room), ann)
    status(page)
    field(page).press_sequentially("@")
    people = page.get_by_role("listbox", name="People")
    chosen = people.get_by_role("option", selected=True)
    expect(people.get_by_role("option", name="Dan")).to_be_visible()
    field(page).press("ArrowUp")  # from the first to the last
    expect(chosen).to_contain_text("Dan")
    server.user("cyd", display_name="Cyd").join(room)
    expect(people.get_by_role("option", name="Cyd")).to_be_visible()
    expect(chosen).to_contain_text("Dan")
    field(page).press("Enter")
    expect(field(page)).to_have_value(f"@{dan.name} ")


def test_a_whole_name_is_sent_with_enter_and_escape_closes_the_list(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    page = open_page(address(room), ann)
    status(page)
    field(page).press_sequentially("@")
    people = page.get_by_role("listbox", name="People")
    expect(people).to_be_visible()
    field(page).press("Escape")
    expect(people).to_be_hidden()
    say(page, f"hi @{bob.name}")
    expect(articles(page, f"hi @{bob.name}")).to_be_visible()


# Drafts, sends, typing


def test_a_draft_waits_in_its_room_and_survives_a_reload(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    other = ann.room("other")
    page = open_page(address(room), ann)
    status(page)
    field(page).fill("to be continued")
    rooms(page).get_by_role("link", name=other["name"]).click()
    expect(field(page)).to_have_value("")
    page.reload()
    expect(field(page)).to_have_value("")
    rooms(page).get_by_role("link", name=room["name"]).click()
    expect(field(page)).to_have_value("to be continued")
    page.reload()
    expect(field(page)).to_have_value("to be continued")


def test_a_send_that_nobody_answered_survives_the_tab_and_goes_out_from_the_next(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    page = open_page(address(room), ann)
    status(page)
    page.route("**/messages", lambda route: route.abort())
    say(page, "from beyond")
    expect(articles(page, "from beyond")).to_contain_text("Sending")
    context = page.context
    page.close()
    page = context.new_page()
    page.goto(address(room))
    expect(articles(page, "from beyond")).to_have_count(1)
    expect(page.get_by_text("Sending")).to_have_count(0)
    assert [message["body"] for message in messages(ann, room)] == ["from beyond"]


def test_who_types_is_named_until_the_message_comes(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = open_page(address(room), ann), open_page(address(room), bob)
    status(anns)
    status(bobs)
    field(bobs).press_sequentially("hel")
    expect(anns.get_by_text("Bob is typing…")).to_be_visible()
    expect(bobs.get_by_text("typing…")).to_have_count(0)
    field(bobs).press("Enter")
    expect(articles(anns, "hel")).to_be_visible()
    expect(anns.get_by_text("Bob is typing…")).to_have_count(0)


def test_two_who_write_while_the_server_is_killed_and_comes_back_lose_and_double_nothing(
    open_page: Open, start_server: Callable[..., harness.Server]
) -> None:
    server = start_server()
    ann, bob = server.user("ann"), server.user("bob")
    room = shared_room(ann, bob)
    pages = {who.name: open_page(address(room), who, at=server.url) for who in (ann, bob)}
    for name, page in pages.items():
        status(page)
        say(page, f"{name} before")
    for page in pages.values():
        expect(articles(page, "before")).to_have_count(2)
        expect(page.get_by_text("Sending")).to_have_count(0)
    server.web.kill()
    for name, page in pages.items():
        status(page, "Reconnecting")
        say(page, f"{name} meanwhile 1")
        say(page, f"{name} meanwhile 2")
    server.web.start()
    server.wait_until_ready()
    for page in pages.values():
        status(page)
        expect(page.get_by_text("Sending")).to_have_count(0, timeout=30_000)
        expect(articles(page)).to_have_count(6, timeout=30_000)
    said = [str(message["body"]) for message in messages(ann, room)]
    assert sorted(said) == sorted(
        f"{name} {when}" for name in pages for when in ("before", "meanwhile 1", "meanwhile 2")
    )
    for page in pages.values():
        assert articles(page).locator(".text").all_inner_texts() == said


# The log


def test_the_reader_goes_to_the_first_unread_message_and_back_to_the_latest(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    for n in range(30):
        bob.say(room, f"read {n}")
    ann.post(f"/api/chat/rooms/{room['id']}/read", {"id": bob.say(room, "the last read")["id"]})
    for n in range(100):
        bob.say(room, f"unread {n}")
    page = open_page(address(room), ann)
    expect(articles(page, "unread 99")).to_be_in_viewport()
    page.get_by_role("button", name="Jump to first unread").click()
    expect(page.get_by_text("New", exact=True)).to_be_in_viewport()
    expect(articles(page, "unread 0")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Jump to first unread")).to_be_hidden()
    page.get_by_role("button", name="Jump to latest").click()
    expect(articles(page, "unread 99")).to_be_in_viewport()


def test_the_log_is_walked_and_a_message_changed_by_keyboard_alone(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    bob.say(room, "one")
    ann.say(room, "two")
    page = open_page(address(room), ann)
    expect(articles(page)).to_have_count(2)
    page.get_by_role("log").focus()
    page.keyboard.press("ArrowUp")
    expect(articles(page, "two")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(articles(page, "one")).to_be_focused()
    page.keyboard.press("Tab")
    expect(articles(page, "one").get_by_role("button", name="React")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(reactions(page, "one")).to_have_count(1)
    expect(articles(page, "one").get_by_role("button", name="React")).to_be_focused()
    page.keyboard.press("r")
    expect(page.get_by_text("Replying to Bob")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("log").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    expect(field(page)).to_be_focused()


def test_a_phone_shows_what_can_be_done_to_a_message_on_a_tap(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    ann.say(room, "tap me")
    page = open_page(address(room), ann, viewport=PHONE, has_touch=True, is_mobile=True)
    articles(page, "tap me").tap()
    articles(page, "tap me").get_by_role("button", name="React").tap()
    page.get_by_role("dialog", name="Choose an emoji").get_by_role("button", name="❤️").tap()
    expect(reactions(page, "tap me")).to_have_count(1)
    articles(page, "tap me").get_by_role("button", name="Edit").tap()
    expect(field(page)).to_have_value("tap me")
    say(page, "tapped")
    expect(articles(page).locator(".text")).to_have_text("tapped")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


LEFT: Position = {"x": 60, "y": 12}  # where no other message's buttons are
BETWEEN = """article => {
  // How far the buttons are above the text of their message, or below it, in px.
  const box = selector => article.querySelector(selector).getBoundingClientRect();
  const [text, buttons] = [box('.text'), box('.actions')];
  return Math.max(text.top - buttons.bottom, buttons.top - text.bottom);
}"""


def test_on_a_phone_the_buttons_of_a_message_cover_nothing_of_its_text(
    open_page: Open, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    for who in (bob, ann):
        for number in range(12):
            who.say(room, f"{number}: could you try that again, in another browser?")
    page = open_page(address(room), ann, viewport=PHONE, has_touch=True, is_mobile=True)
    last = articles(page).last
    expect(last).to_be_in_viewport()
    for article in (articles(page).nth(12), articles(page).nth(13), last):  # 12: with a byline
        article.tap(position=LEFT)
        expect(article.get_by_role("button", name="Reply")).to_be_in_viewport()
        assert article.evaluate(BETWEEN) > -1
    topmost = articles(page).nth(5)
    topmost.evaluate("article => { article.parentElement.scrollTop = article.offsetTop }")
    topmost.tap(position=LEFT)
    expect(topmost.get_by_role("button", name="Reply")).to_be_in_viewport()
    assert topmost.evaluate(BETWEEN) > -1


SCROLL = """
async log => {
  // Up by steps, with whatever is loaded meanwhile: what is in view must move by the steps alone.
  const top = article => article.getBoundingClientRect().top;
  const frame = () => new Promise(requestAnimationFrame);
  const first = () => log.querySelector('article .text').textContent;
  const jumps = [];
  let most = 0;
  const deadline = Date.now() + 60_000;  // ms; how fast the older ones come is not the promise
  for (let still = 0; still < 30 && Date.now() < deadline;) {
    const middle = log.getBoundingClientRect().top + log.clientHeight / 2;
    const seen = [...log.querySelectorAll('article')].find(article => top(article) > middle);
    const before = { top: top(seen), at: log.scrollTop };
    log.scrollTop -= 300;
    const moved = before.at - log.scrollTop;
    still = moved || first() !== 'message 0' ? 0 : still + 1;
    await frame();
    await new Promise(resolve => setTimeout(resolve, 10));
    most = Math.max(most, log.querySelectorAll('article').length);
    const jump = Math.abs(top(seen) - before.top - moved);
    if (!seen.isConnected || jump > 1) jumps.push(jump);
  }
  return { jumps, most, first: first() };
}
"""


def test_a_long_past_is_scrolled_through_without_a_jump_and_with_few_elements(
    open_page: Open, ann: harness.Client, room: Room
) -> None:
    for n in range(1_000):
        ann.say(room, f"message {n}" + "\n\nof two" * (n % 3))
    page = open_page(address(room), ann)
    expect(articles(page, "message 999")).to_be_in_viewport()
    found = page.get_by_role("log").evaluate(SCROLL)
    assert found["first"] == "message 0"
    assert found["jumps"] == []
    assert found["most"] <= 450
    page.get_by_role("button", name="Jump to latest").click()
    expect(articles(page, "message 999")).to_be_in_viewport()
