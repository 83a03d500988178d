"""People and rooms on the page: two at once, in a real Chromium."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import harness
import pytest
from playwright.sync_api import Locator, Page, Route, expect
from test_page import (
    FRAMES,
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
    status,
)

__all__ = ["browser", "complaints", "open_page"]  # fixtures

PICTURES = os.environ.get("QUARTCHAT_TEST_PICTURES")  # a folder, to look at what the tests see


@pytest.fixture
def ann(server: harness.Server) -> harness.Client:
    return server.user("ann", display_name="Ann Lee")


@pytest.fixture
def bob(server: harness.Server) -> harness.Client:
    return server.user("bob", display_name="Bob Stone")


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(250)
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def dialog(page: Page, name: str) -> Locator:
    return page.get_by_role("dialog", name=name)


def details(page: Page) -> Locator:
    page.get_by_role("button", name="Room details").click()
    return page.get_by_role("complementary", name="Room details")


def account(page: Page) -> Locator:
    page.get_by_role("button", name="your account").click()
    return dialog(page, "Your account")


def come_late(page: Page, url: str, held: list[Route], answer: dict[str, Any]) -> None:
    """Answer now what was held, as it would have been answered then."""
    with page.expect_response(url):
        held.pop().fulfill(json=answer)
    page.evaluate(FRAMES)


def both_in(ann: harness.Client, bob: harness.Client, **fields: str) -> Room:
    room = ann.room("lobby", **fields)
    bob.join(room)
    return room


def role(ann: harness.Client, room: Room, bob: harness.Client, role: str) -> None:
    path = f"/api/chat/rooms/{room['id']}/members/{bob.me['id']}"
    assert ann.put(path, {"role": role}).status_code == 200


def ban(ann: harness.Client, room: Room, person: harness.Client) -> None:
    path = f"/api/chat/rooms/{room['id']}/bans/{person.me['id']}"
    assert ann.put(path, {"reason": "spam"}).status_code in {200, 201, 204}


# Direct messages


def test_two_people_talk_directly_and_each_sees_the_others_name(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    there = open_page("/", bob)
    status(there)
    here = open_page("/", ann)
    here.get_by_role("button", name="New message").click()
    choice = dialog(here, "New message")
    choice.get_by_label("Find people").fill(bob.name)
    picture(here, "new-message")
    choice.get_by_role("button", name="Bob Stone").click()
    expect(here.get_by_role("heading", name="Bob Stone")).to_be_visible()
    say(here, "just between us")
    link = rooms(there).get_by_role("link", name="Ann Lee")
    expect(link).to_have_accessible_name("Ann Lee, online, 1 unread")
    picture(there, "direct-unread")
    link.click()
    say(there, "sure")
    expect(articles(here, "sure")).to_be_visible()
    expect(rooms(here).get_by_role("link", name="Bob Stone, online")).to_be_visible()
    picture(here, "direct")


# Invitations and links


def test_who_is_invited_sees_it_at_once_and_accepts(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = ann.room("secret", visibility="private")
    there = open_page("/", bob)
    status(there)
    here = open_page(address(room), ann)
    details(here).get_by_role("button", name="Invite people").click()
    box = dialog(here, "Invite people")
    box.get_by_label("Find people").fill(bob.name)
    box.get_by_role("button", name="Bob Stone").click()
    expect(box.get_by_text("Bob Stone is invited.")).to_be_visible()
    picture(here, "invite")
    picture(there, "invitation")
    there.get_by_role("button", name=f"Accept invitation to {room['name']}").click()
    say(there, "here I am")
    expect(there.get_by_role("heading", name="Invitations")).to_be_hidden()
    here.keyboard.press("Escape")
    expect(articles(here, "here I am")).to_be_visible()


def test_an_invitation_that_waits_is_seen_by_moderators_and_taken_back_by_keyboard(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = ann.room("secret", visibility="private")
    path = f"/api/chat/rooms/{room['id']}/invitations"
    assert ann.post(path, {"user_id": bob.me["id"]}).status_code == 201
    page = open_page(address(room), ann)
    status(page)
    details(page).get_by_role("button", name="Invite people").click()
    box = dialog(page, "Invite people")
    waiting = box.get_by_role("list", name="Waiting for an answer")
    expect(waiting.get_by_role("button", name="Bob Stone")).to_contain_text("by Ann Lee")
    box.get_by_label("Find people").fill(bob.name)
    found = box.get_by_role("list", name="People").get_by_role("button", name="Bob Stone")
    expect(found).to_contain_text("Invited")
    expect(found).to_be_disabled()
    picture(page, "invited")
    waiting.get_by_role("button", name="Bob Stone").press("Enter")
    expect(box.get_by_text("Bob Stone is no longer invited.")).to_be_visible()
    expect(waiting).to_be_hidden()
    expect(box.get_by_label("Find people")).to_be_focused()
    assert bob.get("/api/chat/invitations").json()["invitations"] == []
    found.click()
    expect(waiting.get_by_role("button", name="Bob Stone")).to_be_visible()


def test_who_is_no_moderator_does_not_see_who_is_invited(
    open_page: Open, ann: harness.Client, bob: harness.Client, server: harness.Server
) -> None:
    room, cyd = both_in(ann, bob), server.user("cyd", display_name="Cyd Moss")
    path = f"/api/chat/rooms/{room['id']}/invitations"
    assert ann.post(path, {"user_id": cyd.me["id"]}).status_code == 201
    page = open_page(address(room), bob)
    status(page)
    details(page).get_by_role("button", name="Invite people").click()
    expect(dialog(page, "Invite people").get_by_label("Find people")).to_be_focused()
    expect(page.get_by_text("Waiting for an answer")).to_be_hidden()
    expect(page.get_by_role("alert")).to_have_text([""] * page.get_by_role("alert").count())


def test_an_invitation_that_is_taken_back_or_answered_elsewhere_goes_from_the_page_at_once(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    here, there = open_page("/", bob), open_page("/", bob)  # a browser each
    lobby, den = ann.room("lobby"), ann.room("den", visibility="private")
    for page in (here, there):
        status(page)
    made = [
        ann.post(f"/api/chat/rooms/{room['id']}/invitations", {"user_id": bob.me["id"]}).json()
        for room in (lobby, den)
    ]
    for page in (here, there):
        expect(page.get_by_role("button", name="Accept invitation")).to_have_count(2)
    assert ann.delete(f"/api/chat/invitations/{made[0]['id']}").status_code == 204
    for page in (here, there):
        expect(page.get_by_role("button", name="Accept invitation")).to_have_count(1)
    here.get_by_role("button", name=f"Accept invitation to {den['name']}").click()
    expect(field(here)).to_be_visible()
    for page in (here, there):
        expect(page.get_by_role("heading", name="Invitations")).to_be_hidden()
        expect(rooms(page).get_by_role("link", name=den["name"])).to_be_visible()


def test_an_invitation_can_be_declined(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = ann.room("secret", visibility="private")
    path = f"/api/chat/rooms/{room['id']}/invitations"
    assert ann.post(path, {"user_id": bob.me["id"]}).status_code == 201
    page = open_page("/", bob)
    page.get_by_role("button", name=f"Decline invitation to {room['name']}").click()
    expect(page.get_by_role("heading", name="Invitations")).to_be_hidden()
    assert bob.get("/api/chat/invitations").json()["invitations"] == []


def test_a_join_link_opens_a_private_room_also_to_who_must_sign_in_until_it_is_turned_off(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = ann.room("secret", visibility="private")
    here = open_page(address(room), ann)
    details(here).get_by_role("button", name="Invite people").click()
    box = dialog(here, "Invite people")
    box.get_by_role("button", name="Make a link").click()
    url = box.get_by_role("textbox", name="Join link").input_value()
    there = open_page(url)
    there.get_by_label("Username").fill(bob.name)
    there.get_by_label("Password").fill(harness.PASSWORD)
    there.get_by_role("button", name="Log in").click()
    expect(there.get_by_role("heading", name=f"You are invited to {room['name']}")).to_be_visible()
    picture(there, "join-link")
    there.get_by_role("button", name="Join room").click()
    say(there, "through the link")
    box.get_by_role("button", name="Turn it off").click()
    expect(box.get_by_text("The link is dead.")).to_be_visible()
    there.goto(url)
    expect(there.get_by_role("heading", name="This link opens nothing")).to_be_visible()


def test_inviting_from_beginning_to_end_logs_no_error_in_the_console(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = ann.room("secret", visibility="private")
    here, there = open_page(address(room), ann), open_page("/", bob)
    errors: list[str] = []
    for page in (here, there):
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    details(here).get_by_role("button", name="Invite people").click()
    box = dialog(here, "Invite people")
    box.get_by_label("Find people").fill(bob.name)
    box.get_by_role("list", name="People").get_by_role("button", name="Bob Stone").click()
    expect(box.get_by_text("Bob Stone is invited.")).to_be_visible()
    for press in ("Make a link", "Replace it", "Turn it off"):
        box.get_by_role("button", name=press).click()
    expect(box.get_by_text("The link is dead.")).to_be_visible()
    box.get_by_role("button", name="Close").click()
    there.get_by_role("button", name=f"Accept invitation to {room['name']}").click()
    say(there, "here I am")
    expect(articles(here, "here I am")).to_be_visible()
    assert errors == []


def test_a_link_that_is_made_before_the_server_said_that_there_is_none_stays(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page(address(ann.room()), ann)
    held = hold(page, "**/link", times=1)
    details(page).get_by_role("button", name="Invite people").click()
    box = dialog(page, "Invite people")
    eventually(page, lambda: len(held) == 1)
    box.get_by_role("button", name="Make a link").click()
    expect(box.get_by_role("button", name="Replace it")).to_be_visible()
    come_late(page, "**/link", held, {"link": None})
    box.get_by_role("button", name="Turn it off").click()
    expect(box.get_by_text("The link is dead.")).to_be_visible()


def test_who_was_invited_before_the_list_of_the_invited_had_come_stays_in_it(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    page = open_page(address(ann.room()), ann)
    held = hold(page, "**/rooms/*/invitations", times=1)
    details(page).get_by_role("button", name="Invite people").click()
    box = dialog(page, "Invite people")
    eventually(page, lambda: len(held) == 1)
    box.get_by_label("Find people").fill(bob.name)
    box.get_by_role("list", name="People").get_by_role("button", name="Bob Stone").click()
    expect(box.get_by_role("button", name="Take back")).to_be_visible()
    come_late(page, "**/rooms/*/invitations", held, {"invitations": []})
    box.get_by_role("button", name="Take back").click()
    expect(box.get_by_text("Bob Stone is no longer invited.")).to_be_visible()


# Members


def test_who_was_banned_before_the_list_of_the_banned_had_come_stays_in_it(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    page = open_page(address(room), ann)
    status(page)
    held = hold(page, "**/bans?*", times=1)
    banned = details(page).get_by_role("list", name="Banned")
    eventually(page, lambda: len(held) == 1)
    ban(ann, room, bob)
    expect(banned.get_by_role("button", name="Bob Stone")).to_be_visible()
    come_late(page, "**/bans?*", held, {"bans": []})
    expect(banned.get_by_role("button", name="Bob Stone")).to_be_visible()


def test_a_row_that_is_still_there_when_its_list_comes_anew_keeps_the_focus(
    open_page: Open, ann: harness.Client, bob: harness.Client, server: harness.Server
) -> None:
    room = both_in(ann, bob)
    cyd = server.user("cyd", display_name="Cyd Moss")
    cyd.join(room)
    ban(ann, room, bob)
    page = open_page(address(room), ann)
    status(page)
    banned = details(page).get_by_role("list", name="Banned")
    row = banned.get_by_role("button", name="Bob Stone")
    row.focus()
    ban(ann, room, cyd)
    expect(banned.get_by_role("button")).to_have_count(2)
    expect(row).to_be_focused()

    page.get_by_role("button", name="Browse rooms").click()
    browse = dialog(page, "Browse rooms")
    browse.get_by_label("Search").fill(room["name"][:-1])
    join = browse.get_by_role("row", name=room["name"]).get_by_role("button")
    expect(browse.get_by_role("row")).to_have_count(1)
    browse.get_by_label("Search").press_sequentially(room["name"][-1])
    with page.expect_response(lambda response: parse_qs(response.url).get("q") == [room["name"]]):
        join.focus()
    expect(join).to_be_focused()
    join.press("Enter")
    expect(browse).to_be_hidden()


def test_an_owner_makes_a_moderator_who_then_may_change_the_topic(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    there = open_page(address(room), bob)
    theirs = details(there)
    expect(theirs.get_by_role("button", name="Room settings")).to_be_hidden()
    here = open_page(address(room), ann)
    mine = details(here)
    mine.get_by_role("button", name="Bob Stone").click()
    picture(here, "person")
    dialog(here, "Bob Stone").get_by_label("Role").select_option("Moderator")
    expect(mine.get_by_role("button", name="Bob Stone")).to_contain_text("Moderator")
    here.keyboard.press("Escape")
    picture(here, "details")
    theirs.get_by_role("button", name="Room settings").click()
    box = dialog(there, "Room settings")
    expect(box.get_by_role("button", name="Delete room")).to_be_hidden()
    box.get_by_label("Topic").fill("what we talk about")
    box.get_by_role("button", name="Save").click()
    expect(box).to_be_hidden()
    expect(mine.get_by_text("what we talk about")).to_be_visible()


def test_the_last_owner_cannot_step_down_and_is_told_why(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page(address(ann.room()), ann)
    details(page).get_by_role("button", name="Ann Lee").click()
    box = dialog(page, "Ann Lee")
    box.get_by_label("Role").select_option("Member")
    expect(box.get_by_role("alert").first).to_contain_text("needs an owner")
    expect(box.get_by_label("Role")).to_have_value("owner")


def test_a_member_who_is_removed_sees_it_at_once(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    there = open_page(address(room), bob)
    status(there)
    here = open_page(address(room), ann)
    members = details(here)
    members.get_by_role("button", name="Bob Stone").click()
    dialog(here, "Bob Stone").get_by_role("button", name="Remove from room").click()
    dialog(here, "Remove Bob Stone?").get_by_role("button", name="Remove").click()
    expect(there.get_by_role("heading", name="You are no longer in")).to_be_visible()
    expect(there.get_by_text("were removed from it")).to_be_visible()
    expect(members.get_by_role("button", name="Bob Stone")).to_have_count(0)
    expect(rooms(there).get_by_role("link")).to_have_count(0)


def test_who_is_banned_cannot_join_until_let_in_again(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    there = open_page(address(room), bob)
    status(there)
    here = open_page(address(room), ann)
    members = details(here)
    members.get_by_role("button", name="Bob Stone").click()
    box = dialog(here, "Bob Stone")
    box.get_by_role("button", name="Ban from room…").click()
    box.get_by_label("Reason for the ban").fill("spam")
    box.get_by_role("button", name="Ban from room").click()
    expect(there.get_by_role("heading", name="You are no longer in")).to_be_visible()
    there.goto(address(room))
    there.get_by_role("button", name="Join room").click()
    expect(there.get_by_text("You are banned")).to_be_visible()
    banned = members.get_by_role("list", name="Banned")
    expect(banned.get_by_text("spam")).to_be_visible()
    picture(here, "banned")
    banned.get_by_role("button", name="Bob Stone").click()
    expect(banned).to_be_hidden()
    there.get_by_role("button", name="Join room").click()
    expect(field(there)).to_be_visible()


def test_the_keyboard_alone_gives_a_role_and_the_focus_is_never_lost(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    page = open_page(address(room), ann)
    status(page)
    button = page.get_by_role("button", name="Room details")
    button.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Room details")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    row = panel.get_by_role("button", name="Bob Stone")
    expect(row).to_be_visible()
    for _ in range(10):
        page.keyboard.press("Tab")
        if row.evaluate("row => row === document.activeElement"):
            break
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    dialog(page, "Bob Stone").get_by_label("Role").focus()
    page.keyboard.press("ArrowDown")
    expect(row).to_contain_text("Moderator")
    page.keyboard.press("Escape")
    expect(row).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()


# Settings


def test_a_room_is_archived_for_everybody_and_opened_again(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    ann.say(room, "before")
    there = open_page(address(room), bob)
    status(there)
    here = open_page(address(room), ann)
    details(here).get_by_role("button", name="Room settings").click()
    box = dialog(here, "Room settings")
    picture(here, "settings")
    box.get_by_role("button", name="Archive room").click()
    expect(there.get_by_text("This room is archived")).to_be_visible()
    expect(field(there)).to_be_disabled()
    expect(articles(there, "before")).to_be_visible()
    picture(there, "archived")
    box.get_by_role("button", name="Reopen room").click()
    expect(field(there)).to_be_enabled()


def test_a_room_is_deleted_for_everybody_after_a_question(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    there = open_page(address(room), bob)
    status(there)
    here = open_page(address(room), ann)
    details(here).get_by_role("button", name="Room settings").click()
    dialog(here, "Room settings").get_by_role("button", name="Delete room").click()
    question = dialog(here, f"Delete {room['name']}?")
    picture(here, "delete-room")
    question.get_by_role("button", name="Delete room").click()
    for page in (here, there):
        expect(page.get_by_role("heading", name="You are no longer in")).to_be_visible()
        expect(rooms(page).get_by_role("link")).to_have_count(0)


# One's own account


def test_a_new_display_name_is_seen_everywhere_at_once_and_after_a_reload(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    first = ann.say(room, "before")
    bob.say(room, "an answer", reply_to=first["id"])
    assert ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).status_code == 201
    there = open_page(address(room), bob)
    status(there)
    expect(rooms(there).get_by_role("link", name="Ann Lee")).to_be_visible()
    members = details(there)
    members.get_by_role("button", name="Ann Lee").click()
    expect(dialog(there, "Ann Lee")).to_be_visible()
    here = open_page(address(room), ann)
    box = account(here)
    box.get_by_label("Display name").fill("Ann of Green Gables")
    box.get_by_role("button", name="Save name").click()
    expect(box.get_by_text("Your name is saved.")).to_be_visible()
    picture(here, "account")
    expect(dialog(there, "Ann of Green Gables")).to_be_visible()
    there.keyboard.press("Escape")
    expect(members.get_by_role("button", name="Ann of Green Gables")).to_be_focused()
    for page in (there, here):
        expect(articles(page, "before").locator(".author").first).to_have_text(
            "Ann of Green Gables"
        )
        expect(articles(page, "an answer").locator(".quote")).to_contain_text("Green Gables")
    expect(here.get_by_role("button", name="Ann of Green Gables, your account")).to_be_attached()
    rooms(there).get_by_role("link", name="Ann of Green Gables").click()
    expect(there.get_by_role("heading", name="Ann of Green Gables")).to_be_visible()
    there.goto(address(room))
    expect(articles(there, "before").locator(".author").first).to_have_text("Ann of Green Gables")


def test_a_new_password_ends_the_other_sessions_and_a_wrong_old_one_is_told(
    open_page: Open, ann: harness.Client, server: harness.Server
) -> None:
    other = server.client()
    credentials = {"username": ann.name, "password": harness.PASSWORD}
    assert other.post("/api/login", credentials).status_code == 200
    there = open_page("/", other)
    status(there)
    here = open_page("/", ann)
    box = account(here)
    box.get_by_text("Change password").first.click()
    box.get_by_label("Current password").fill("wrong horse")
    box.get_by_label("New password").fill("x" * 80)
    box.get_by_role("button", name="Change password").click()
    expect(box.get_by_role("alert").filter(has_text="At most 72")).to_be_visible()
    expect(box.get_by_label("New password")).to_be_focused()
    box.get_by_label("New password").fill("a new password")
    box.get_by_role("button", name="Change password").click()
    expect(box.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    expect(box.get_by_label("Current password")).to_be_focused()
    box.get_by_label("Current password").fill(harness.PASSWORD)
    box.get_by_role("button", name="Change password").click()
    expect(box.get_by_text("Your password is changed.")).to_be_visible()
    expect(there).to_have_url("/login")
    status(here)


def test_the_way_out_of_the_accounts_dialog_stays_in_sight(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page("/", ann, viewport=PHONE)
    box = account(page)
    for section in ("API tokens", "Change password", "Delete account"):
        box.locator("summary", has_text=section).click()
    box.get_by_role("button", name="Delete my account").focus()
    expect(box.get_by_role("button", name="Delete my account")).to_be_in_viewport()
    expect(box.get_by_role("button", name="Close")).to_be_in_viewport()
    box.get_by_role("button", name="Close").click()
    expect(box).to_be_hidden()


def test_a_session_elsewhere_is_ended_from_the_list(
    open_page: Open, ann: harness.Client, server: harness.Server
) -> None:
    other = server.client()
    credentials = {"username": ann.name, "password": harness.PASSWORD}
    assert other.post("/api/login", credentials).status_code == 200
    there = open_page("/", other)
    status(there)
    here = open_page("/", ann)
    box = account(here)
    expect(box.get_by_role("listitem")).to_have_count(2)
    box.get_by_role("button", name="Sign out").click()
    expect(there).to_have_url("/login")
    expect(box.get_by_role("listitem")).to_have_count(1)


def test_who_goes_on_while_a_session_is_being_ended_keeps_the_focus(
    open_page: Open, ann: harness.Client, server: harness.Server
) -> None:
    credentials = {"username": ann.name, "password": harness.PASSWORD}
    assert server.client().post("/api/login", credentials).status_code == 200
    page = open_page("/", ann)
    box = account(page)
    expect(box.get_by_role("listitem")).to_have_count(2)
    held = hold(page, "**/api/sessions", times=1)
    box.get_by_role("button", name="Sign out").click()
    eventually(page, lambda: len(held) == 1)
    box.get_by_label("Display name").focus()
    held.pop().continue_()
    expect(box.get_by_role("listitem")).to_have_count(1)
    page.evaluate(FRAMES)
    expect(box.get_by_label("Display name")).to_be_focused()


def test_a_token_is_shown_once_copied_used_and_revoked(
    open_page: Open, ann: harness.Client, server: harness.Server
) -> None:
    page = open_page("/", ann, permissions=["clipboard-read", "clipboard-write"])
    box = account(page)
    box.get_by_text("API tokens").click()
    expect(box.get_by_text("You have no tokens.")).to_be_visible()
    box.get_by_role("button", name="Make token").click()
    expect(box.get_by_text("Name of a new token: It must not be empty.")).to_be_visible()
    expect(box.get_by_label("Name of a new token")).to_be_focused()
    page.keyboard.type("weather bot")
    page.keyboard.press("Enter")
    secret = box.get_by_role("textbox", name="Your new token")
    expect(secret).to_be_focused()
    picture(page, "token")
    box.get_by_role("button", name="Copy token").click()
    expect(box.get_by_text("The token is copied.")).to_be_visible()
    token = page.evaluate("navigator.clipboard.readText()")
    assert token == secret.input_value()
    program = server.client(headers={"Authorization": f"Bearer {token}"})
    assert program.get("/api/me").json()["user"] == ann.me
    box.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="your account").click()
    box.get_by_text("API tokens").click()
    expect(secret).to_be_hidden()
    tokens = box.get_by_role("list", name="API tokens")
    expect(tokens.get_by_role("listitem")).to_contain_text("weather bot")
    tokens.get_by_role("button", name="Revoke weather bot").press("Enter")
    dialog(page, "Revoke weather bot?").get_by_role("button", name="Revoke").press("Enter")
    expect(box.get_by_text("weather bot is revoked.")).to_be_visible()
    expect(tokens.get_by_role("listitem")).to_have_count(0)
    assert program.get("/api/me").status_code == 401


def test_an_account_is_deleted_with_its_password_and_its_messages_stay(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    bob.say(room, "I was here")
    before = open_page(address(room), ann)
    expect(articles(before, "I was here")).to_contain_text("Bob Stone")
    status(before)
    page = open_page("/", bob)
    box = account(page)
    box.get_by_text("Delete account").click()
    box.get_by_label("Password", exact=True).fill(harness.PASSWORD)
    box.get_by_role("button", name="Delete my account").click()
    expect(page).to_have_url("/login")
    after = open_page(address(room), ann)
    for each in (before, after):
        expect(articles(each, "I was here")).to_contain_text(
            "Deleted account", timeout=1000 * harness.WAIT_S
        )


# Going anywhere


def test_ctrl_k_leads_to_a_room_by_a_few_letters_and_to_a_person(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    first, second = ann.room("alpha"), ann.room("beta")
    page = open_page(address(first), ann)
    status(page)
    page.keyboard.press("Control+k")
    box = dialog(page, "Go to a room or a person")
    go = box.get_by_role("combobox", name="Go to")
    expect(go).to_be_focused()
    page.keyboard.type(second["name"][-6:])
    expect(box.get_by_role("option", selected=True)).to_have_text(second["name"])
    picture(page, "switcher")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=second["name"])).to_be_visible()
    expect(field(page)).to_be_focused()
    page.keyboard.press("Control+k")
    expect(go).to_be_focused()
    page.keyboard.type(bob.name)
    expect(box.get_by_role("option", name="Bob Stone")).to_be_visible()
    picture(page, "switcher-person")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bob Stone")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(box.get_by_role("option").first).to_have_text(second["name"])  # where they came from
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()


# What is meant for the reader


RECORDED = """
window.shown = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (this.permission = "granted"); }
  constructor(title, { body }) { window.shown.push(this); Object.assign(this, { title, body }); }
  close() {}
};
"""


def notified(page: Page) -> Page:
    """Let the browser notify the reader, and note in `shown` of what."""
    page.add_init_script(RECORDED)
    page.reload()
    status(page)
    box = account(page)
    box.get_by_label("Notify me").check()
    expect(box.get_by_label("Notify me")).to_be_checked()
    box.get_by_role("button", name="Close").click()
    return page


def test_a_mention_is_counted_apart_and_the_browser_tells_of_it(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room, other = both_in(ann, bob), ann.room("other")
    page = notified(open_page(address(other), ann))
    bob.say(room, "to nobody")
    bob.say(room, f"look, @{ann.name}")
    link = rooms(page).get_by_role("link", name=f"{room['name']}, 2 unread, 1 mention")
    expect(link).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("dot"))
    picture(page, "mention")
    eventually(page, lambda: page.evaluate("shown.length > 0"))
    assert page.evaluate("shown.map(({ title, body }) => [title, body])") == [
        [f"Bob Stone in {room['name']}", f"look, @{ann.name}"]
    ]
    page.evaluate("shown[0].onclick()")
    expect(articles(page, "look,")).to_be_visible()
    expect(rooms(page).get_by_role("link", name=room["name"], exact=True)).to_be_visible()
    expect(page.locator("link[rel=icon]")).not_to_have_attribute("href", re.compile("dot"))


def test_the_browser_tells_of_the_first_message_of_somebody_who_never_wrote_before(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    page = notified(open_page("/", ann))
    held = hold(page, "**/api/chat/rooms/*", times=1)
    direct = bob.post("/api/chat/direct", {"user_id": ann.me["id"]}).json()
    eventually(page, lambda: len(held) == 1)
    bob.say(direct, "hello, Ann")
    bob.say(room, "afterwards")
    expect(rooms(page).get_by_role("link", name=f"{room['name']}, 1 unread")).to_be_visible()
    held.pop().continue_()
    eventually(page, lambda: page.evaluate("shown.length > 0"))
    assert page.evaluate("shown.map(({ title, body }) => [title, body])") == [
        ["Bob Stone", "hello, Ann"]
    ]
    page.evaluate("shown[0].onclick()")
    expect(articles(page, "hello, Ann")).to_be_visible()


def test_a_dot_goes_out_when_the_other_one_closes_the_page(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    assert ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).status_code == 201
    here = open_page("/", ann)
    status(here)
    link = rooms(here).get_by_role("link", name="Bob Stone")
    expect(link).to_have_accessible_name("Bob Stone")
    there = open_page("/", bob)
    status(there)
    expect(link).to_have_accessible_name("Bob Stone, online")
    there.close()
    expect(link).to_have_accessible_name("Bob Stone", timeout=30_000)


# Search


def test_a_search_leads_to_the_message_in_its_place(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room, other = both_in(ann, bob), ann.room("other")
    bob.say(room, "the heron stands in the <b>water</b>")
    for number in range(120):
        bob.say(room, f"something else {number}")
    ann.say(other, "a heron, elsewhere")
    page = open_page(address(room), ann)
    status(page)
    page.get_by_role("button", name="Search messages").click()
    panel = page.get_by_role("complementary", name="Search messages")
    panel.get_by_label("Words").fill("heron")
    found = panel.get_by_role("list", name="Search messages").get_by_role("listitem")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("the heron stands in the <b>water</b>")
    expect(found.locator("mark")).to_have_text("heron")
    panel.get_by_label("Room").select_option("All rooms")
    expect(found).to_have_count(2)
    picture(page, "search")
    panel.get_by_label("From").fill(bob.name)
    expect(found).to_have_count(1)
    found.get_by_role("button").click()
    expect(articles(page, "the heron stands")).to_be_in_viewport()
    picture(page, "search-found")


def test_what_was_chosen_in_the_switcher_stays_chosen_when_people_come(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    page = open_page(address(ann.room()), ann)
    status(page)
    held = hold(page, "**/api/users?*")
    rooms_named = [ann.room(bob.name) for _ in range(2)]
    expect(rooms(page).get_by_role("link", name=bob.name)).to_have_count(2)
    page.keyboard.press("Control+k")
    box = dialog(page, "Go to a room or a person")
    box.get_by_role("combobox").fill(bob.name)
    options = box.get_by_role("option")
    expect(options).to_have_count(len(rooms_named) + 1)
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    eventually(page, lambda: len(held) == 1)
    held.pop().continue_()
    expect(options).to_have_count(len(rooms_named) + 2)
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(box.get_by_role("combobox")).to_have_attribute("aria-activedescendant", "place-1")


def test_a_search_begins_from_the_switcher_and_what_is_not_there_is_said(
    open_page: Open, ann: harness.Client
) -> None:
    page = open_page(address(ann.room()), ann)
    status(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Go to")).to_be_focused()
    page.keyboard.type("zebra")
    page.get_by_role("option", name="Search messages for").click()
    panel = page.get_by_role("complementary", name="Search messages")
    expect(panel.get_by_text("Nothing was found for “zebra”.")).to_be_visible()
    panel.get_by_label("Words").press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="Search messages")).to_be_focused()


def test_a_search_follows_to_another_room_unless_words_are_looked_for(
    open_page: Open, ann: harness.Client
) -> None:
    room, other = ann.room("here"), ann.room("other")
    ann.say(room, "a heron")
    page = open_page(address(room), ann)
    status(page)
    page.get_by_role("button", name="Search messages").click()
    panel = page.get_by_role("complementary", name="Search messages")
    within = panel.get_by_label("Room")
    expect(within).to_have_value(str(room["id"]))
    rooms(page).get_by_role("link", name=other["name"]).click()
    expect(within).to_have_value(str(other["id"]))
    panel.get_by_role("button", name="Close").click()
    rooms(page).get_by_role("link", name=room["name"]).click()
    page.get_by_role("button", name="Search messages").click()
    expect(within).to_have_value(str(room["id"]))

    panel.get_by_label("Words").fill("heron")
    found = panel.get_by_role("list", name="Search messages").get_by_role("listitem")
    expect(found).to_have_count(1)
    rooms(page).get_by_role("link", name=other["name"]).click()
    expect(page.get_by_role("heading", name=other["name"])).to_be_visible()
    expect(within).to_have_value(str(room["id"]))
    within.select_option("All rooms")
    panel.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Search messages").click()
    expect(within).to_have_value("")
    expect(found).to_have_count(1)


# Away


def test_a_page_that_cannot_be_loaded_says_so_and_comes_back(
    open_page: Open, start_server: Callable[..., harness.Server]
) -> None:
    server = start_server()
    ann = server.user("ann")
    room = ann.room()
    page = open_page(address(room), ann, at=server.url)
    status(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.context.route("**/healthz/live", lambda route: route.abort())  # or it comes by itself
    server.web.kill()
    page.goto(f"{server.url}{address(room)}")
    expect(page.get_by_role("heading", name="quartchat cannot be reached")).to_be_visible()
    picture(page, "offline")
    server.web.restart()
    server.wait_until_ready()
    page.get_by_role("button", name="Try again").click()
    status(page)


# A phone


def test_on_a_phone_the_panel_fills_the_screen_and_leads_back(
    open_page: Open, ann: harness.Client, bob: harness.Client
) -> None:
    room = both_in(ann, bob)
    page = open_page(address(room), ann, viewport=PHONE, has_touch=True)
    status(page)
    panel = details(page)
    expect(panel.get_by_role("button", name="Bob Stone")).to_be_visible()
    picture(page, "phone-details")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    panel.get_by_role("button", name="Close").click()
    expect(field(page)).to_be_visible()
    expect(page.get_by_role("button", name="Room details")).to_be_focused()
    picture(page, "phone-room")
    page.get_by_role("link", name="Back to rooms").click()
    picture(page, "phone-list")
    page.get_by_role("button", name="your account").click()
    picture(page, "phone-account")
