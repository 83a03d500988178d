"""Two people through every flow of the page, once by keyboard alone and once by touch at 360 px."""

import re
import secrets
from collections.abc import Callable

import harness
import pytest
from hands import Hands, Keyboard, Touch
from playwright.sync_api import Locator, Page, expect
from test_page import (
    Open,
    Room,
    address,
    articles,
    bodies,
    browser,
    complaints,
    field,
    open_page,
    rooms,
    status,
)

__all__ = ["browser", "complaints", "open_page"]  # fixtures

Sit = Callable[..., Hands]
NEW_PASSWORD = "another correct horse"


@pytest.fixture(params=[Keyboard, Touch], ids=["keyboard", "touch"])
def sit(request: pytest.FixtureRequest, open_page: Open) -> Sit:
    """`sit(path, ann)`: ann before a page of her own, with the test's kind of hands."""
    kind: type[Hands] = request.param

    def sit(path: str, person: harness.Client | None = None) -> Hands:
        return kind(open_page(path, person, **kind.options))

    return sit


@pytest.fixture
def ann(server: harness.Server) -> harness.Client:
    return server.user("ann", display_name="Ann Lee")


@pytest.fixture
def bob(server: harness.Server) -> harness.Client:
    return server.user("bob", display_name="Bob Stone")


@pytest.fixture
def room(ann: harness.Client, bob: harness.Client) -> Room:
    room = ann.room("lobby")
    bob.join(room)
    return room


def button(where: Page | Locator, name: str) -> Locator:
    return where.get_by_role("button", name=name, exact=True)


def dialog(page: Page, name: str) -> Locator:
    return page.get_by_role("dialog", name=name)


def say(hands: Hands, text: str) -> None:
    hands.write(field(hands.page), text)
    hands.submit(button(hands.page, "Send"))


def act(hands: Hands, text: str, what: str) -> None:
    article = articles(hands.page, text).last
    hands.turn_to(article)
    hands.use(button(article, what))


def details(hands: Hands) -> Locator:
    panel = hands.page.get_by_role("complementary", name="Room details")
    if panel.is_hidden():
        hands.use(button(hands.page, "Room details"))
    expect(panel).to_be_visible()
    return panel


def member(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name)


def account(hands: Hands) -> Locator:
    hands.use(hands.page.get_by_role("button", name="your account"))
    return dialog(hands.page, "Your account")


# Coming and going


def test_registering_logging_out_and_in(sit: Sit) -> None:
    hands = sit("/login")
    page = hands.page
    name = f"ann.{secrets.token_hex(4)}"
    hands.use(page.get_by_role("link", name="Create an account"))
    expect(page).to_have_url(re.compile(r"/register$"))
    hands.write(page.get_by_label("Username"), name)
    hands.write(page.get_by_label("Password"), harness.PASSWORD)
    hands.submit(button(page, "Create account"))
    status(page)
    hands.use(button(page, "Log out"))
    expect(page).to_have_url(re.compile(r"/login$"))
    hands.write(page.get_by_label("Username"), name)
    hands.write(page.get_by_label("Password"), "wrong horse")
    hands.submit(button(page, "Log in"))
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    hands.write(page.get_by_label("Password"), harness.PASSWORD)
    hands.submit(button(page, "Log in"))
    status(page)


# Rooms


def test_a_room_is_made_found_talked_in_and_left(
    sit: Sit, ann: harness.Client, bob: harness.Client
) -> None:
    name = f"tea {ann.name}"
    anns, bobs = sit("/", ann), sit("/", bob)
    anns.use(button(anns.page, "New room"))
    making = dialog(anns.page, "New room")
    anns.write(making.get_by_label("Room name"), name)
    anns.submit(button(making, "Create"))
    expect(anns.page.get_by_role("heading", name=name)).to_be_visible()

    bobs.use(button(bobs.page, "Browse rooms"))
    browse = dialog(bobs.page, "Browse rooms")
    bobs.write(browse.get_by_label("Search"), name)
    bobs.use(button(browse.get_by_role("row", name=name), "Join"))
    say(bobs, "Tea?")
    say(anns, "With milk.")
    expect(articles(bobs.page, "With milk.")).to_contain_text("Ann Lee")
    expect(articles(anns.page)).to_have_count(2)

    bobs.use(button(details(bobs), "Leave room"))
    expect(rooms(bobs.page).get_by_role("link", name=name)).to_have_count(0)
    expect(anns.page.get_by_text("1 member")).to_be_visible()


def test_a_private_room_is_opened_by_invitation_and_by_link(
    sit: Sit, ann: harness.Client, bob: harness.Client, server: harness.Server
) -> None:
    cyd = server.user("cyd", display_name="Cyd Moss")
    anns, bobs = sit("/", ann), sit("/", bob)
    status(bobs.page)
    name = f"secret {ann.name}"
    anns.use(button(anns.page, "New room"))
    making = dialog(anns.page, "New room")
    anns.write(making.get_by_label("Room name"), name)
    anns.use(making.get_by_label("Private"))
    anns.use(button(making, "Create"))

    anns.use(button(details(anns), "Invite people"))
    invite = dialog(anns.page, "Invite people")
    for person in (bob, cyd):
        anns.write(invite.get_by_label("Find people"), person.name)
        shown = person.me["display_name"]
        anns.use(invite.get_by_role("list", name="People").get_by_role("button", name=shown))
        expect(invite.get_by_text(f"{shown} is invited.")).to_be_visible()
    waiting = invite.get_by_role("list", name="Waiting for an answer")
    anns.use(waiting.get_by_role("button", name="Cyd Moss"))
    expect(invite.get_by_text("Cyd Moss is no longer invited.")).to_be_visible()
    bobs.use(button(bobs.page, f"Accept invitation to {name}"))
    say(bobs, "here I am")

    anns.use(button(invite, "Make a link"))
    url = invite.get_by_role("textbox", name="Join link").input_value()
    cyds = sit(url, cyd)
    cyds.use(button(cyds.page, "Join room"))
    say(cyds, "through the link")
    anns.use(button(invite, "Turn it off"))
    expect(invite.get_by_text("The link is dead.")).to_be_visible()
    anns.leave(invite)
    anns.leave(details(anns))
    expect(articles(anns.page, "through the link")).to_be_visible()

    cyds.use(button(details(cyds), "Leave room"))
    cyds.use(button(dialog(cyds.page, "Leave this private room?"), "Leave"))
    expect(rooms(cyds.page).get_by_role("link")).to_have_count(0)


def test_an_invitation_is_declined(sit: Sit, ann: harness.Client, bob: harness.Client) -> None:
    room = ann.room("secret", visibility="private")
    path = f"/api/chat/rooms/{room['id']}/invitations"
    assert ann.post(path, {"user_id": bob.me["id"]}).status_code == 201
    bobs = sit("/", bob)
    bobs.use(button(bobs.page, f"Decline invitation to {room['name']}"))
    expect(bobs.page.get_by_role("heading", name="Invitations")).to_be_hidden()
    assert bob.get("/api/chat/invitations").json()["invitations"] == []


def test_two_people_talk_directly(sit: Sit, ann: harness.Client, bob: harness.Client) -> None:
    anns, bobs = sit("/", ann), sit("/", bob)
    status(bobs.page)
    anns.use(button(anns.page, "New message"))
    choice = dialog(anns.page, "New message")
    anns.write(choice.get_by_label("Find people"), bob.name)
    anns.use(choice.get_by_role("button", name="Bob Stone"))
    say(anns, "just between us")
    bobs.enter(rooms(bobs.page).get_by_role("link", name="Ann Lee"))
    say(bobs, "sure")
    expect(articles(anns.page, "sure")).to_be_visible()


def test_one_goes_from_room_to_room_and_to_a_person(
    sit: Sit, ann: harness.Client, bob: harness.Client
) -> None:
    tea, milk = ann.room("tea"), ann.room("milk")
    hands = sit("/", ann)
    page = hands.page
    hands.enter(rooms(page).get_by_role("link", name=tea["name"]))
    expect(page.get_by_role("heading", name=tea["name"])).to_be_visible()
    hands.enter(rooms(page).get_by_role("link", name=milk["name"]))
    expect(page.get_by_role("heading", name=milk["name"])).to_be_visible()
    for text, place in ((tea["name"], tea["name"]), (bob.name, "Bob Stone")):
        if isinstance(hands, Touch):
            hands.use(page.get_by_role("link", name="Back to rooms"))
            hands.use(page.get_by_role("button", name="Go to…"))
        else:
            page.keyboard.press("Control+k")
        box = page.get_by_role("dialog", name="Go to a room or a person")
        hands.write(box.get_by_role("combobox"), text)
        hands.take(box.get_by_role("option", name=place).first)
        expect(page.get_by_role("heading", name=place)).to_be_visible()


# Messages


def test_what_was_said_is_edited_and_deleted(
    sit: Sit, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = sit(address(room), ann), sit(address(room), bob)
    say(anns, "helo")
    say(bobs, "nonsense")
    act(anns, "helo", "Edit")
    expect(field(anns.page)).to_have_value("helo")
    anns.write(field(anns.page), "hello")
    anns.submit(button(anns.page, "Save"))
    expect(articles(bobs.page, "hello")).to_contain_text("Edited")
    act(bobs, "nonsense", "Delete")
    bobs.use(button(dialog(bobs.page, "Delete this message?"), "Keep"))
    act(bobs, "nonsense", "Delete")
    bobs.use(button(dialog(bobs.page, "Delete this message?"), "Delete"))
    expect(articles(anns.page, "nonsense")).to_have_count(0)
    say(bobs, "sorry")
    act(anns, "sorry", "Delete")  # as the owner
    anns.use(button(dialog(anns.page, "Delete this message?"), "Delete"))
    expect(articles(bobs.page, "sorry")).to_have_count(0)
    assert bodies(ann, room) == ["hello", "", ""]


def test_an_edit_is_given_up(sit: Sit, ann: harness.Client, room: Room) -> None:
    hands = sit(address(room), ann)
    say(hands, "as it was")
    act(hands, "as it was", "Edit")
    hands.use(button(hands.page, "Cancel"))
    expect(field(hands.page)).to_have_value("")
    expect(articles(hands.page)).not_to_contain_text("Edited")


def test_what_was_said_is_reacted_to(
    sit: Sit, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = sit(address(room), ann), sit(address(room), bob)
    say(anns, "it works")
    act(bobs, "it works", "React")
    picker = dialog(bobs.page, "Choose an emoji")
    bobs.choose(button(picker, "🎉"))
    theirs = articles(anns.page, "it works").get_by_role("group", name="Reactions")
    expect(theirs.get_by_role("button")).to_have_count(1)
    act(bobs, "it works", "React")
    bobs.write(picker.get_by_label("Any emoji"), "🦊")
    bobs.submit(button(picker, "Add"))
    expect(theirs.get_by_role("button")).to_have_count(2)
    anns.turn_to(articles(anns.page, "it works"))
    anns.use(theirs.get_by_role("button").first)
    mine = articles(bobs.page, "it works").get_by_role("group", name="Reactions")
    expect(mine.get_by_role("button").first).to_contain_text("2")
    anns.use(theirs.get_by_role("button").first)
    expect(mine.get_by_role("button").first).to_contain_text("1")


def test_a_reply_leads_to_what_it_answers(
    sit: Sit, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    bob.say(room, "the question")
    for n in range(60):
        bob.say(room, f"aside {n}\n\nof two lines")
    hands = sit(address(room), ann)
    page = hands.page
    first = articles(page, "the question").first
    hands.use(button(page, "Jump to first unread"))
    expect(first).to_be_in_viewport()
    act(hands, "the question", "Reply")
    expect(page.get_by_text("Replying to Bob Stone")).to_be_visible()
    say(hands, "the answer")
    answer = articles(page, "the answer")
    expect(answer).to_be_in_viewport()
    hands.turn_to(answer)
    hands.use(answer.get_by_role("button", name="In reply to"))
    expect(first).to_be_in_viewport()
    hands.use(button(page, "Jump to latest"))
    expect(answer).to_be_in_viewport()


def test_somebody_is_mentioned(
    sit: Sit, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    hands = sit(address(room), ann)
    hands.write(field(hands.page), f"hello @{bob.name[:3]}")
    hands.take(hands.page.get_by_role("option", name="Bob Stone").first)
    expect(field(hands.page)).to_have_value(f"hello @{bob.name} ")
    hands.submit(button(hands.page, "Send"))
    bobs = sit(address(room), bob)
    expect(articles(bobs.page).locator(".mention")).to_have_text(f"@{bob.name}")


def test_a_send_that_failed_is_tried_again_or_dropped(
    sit: Sit, ann: harness.Client, room: Room
) -> None:
    hands = sit(address(room), ann)
    page = hands.page
    status(page)
    posts = re.compile(r"/messages$")
    page.route(
        posts,
        lambda route: (
            route.fulfill(status=400, json={"error": "invalid", "message": "No."})
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    say(hands, "one")
    say(hands, "two")
    expect(button(page, "Try again")).to_have_count(2)
    hands.turn_to(articles(page, "two"))
    hands.use(button(articles(page, "two"), "Discard"))
    expect(articles(page, "two")).to_have_count(0)
    page.unroute(posts)
    hands.turn_to(articles(page, "one"))
    hands.use(button(articles(page, "one"), "Try again"))
    expect(button(page, "Try again")).to_have_count(0)
    harness.eventually(lambda: bodies(ann, room) == ["one"])


def test_what_was_said_is_searched(sit: Sit, ann: harness.Client, room: Room) -> None:
    ann.say(room, f"where the {ann.name} grows")
    for n in range(60):
        ann.say(room, f"aside {n}")
    hands = sit(address(room), ann)
    page = hands.page
    hands.use(button(page, "Search messages"))
    panel = page.get_by_role("complementary", name="Search messages")
    found = panel.get_by_role("list").get_by_role("button")
    hands.write(panel.get_by_label("Words"), f"where {ann.name}")
    page.keyboard.press("Enter")  # a phone's keyboard has "Search" there
    expect(found).to_have_count(1)
    hands.use(found.first)
    expect(articles(page, f"where the {ann.name} grows")).to_be_in_viewport()


# People and settings


def test_a_member_is_made_moderator_removed_banned_and_let_in_again(
    sit: Sit, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = sit(address(room), ann), sit(address(room), bob)
    status(bobs.page)
    panel = details(anns)
    anns.use(member(panel, "Bob Stone"))
    card = dialog(anns.page, "Bob Stone")
    anns.pick(card.get_by_label("Role"), "Moderator")
    expect(member(panel, "Bob Stone")).to_contain_text("Moderator")
    anns.use(button(card, "Remove from room"))
    anns.use(button(dialog(anns.page, "Remove Bob Stone?"), "Remove"))
    expect(bobs.page.get_by_role("heading", name="You are no longer in")).to_be_visible()
    expect(member(panel, "Bob Stone")).to_have_count(0)
    bob.join(room)
    anns.use(member(panel, "Bob Stone"))
    anns.use(button(card, "Ban from room…"))
    anns.write(card.get_by_label("Reason for the ban"), "spam")
    anns.submit(button(card, "Ban from room"))
    banned = panel.get_by_role("list", name="Banned")
    anns.use(banned.get_by_role("button", name="Bob Stone"))
    expect(banned).to_be_hidden()
    bob.join(room)


def test_a_room_is_renamed_archived_and_deleted(
    sit: Sit, ann: harness.Client, bob: harness.Client, room: Room
) -> None:
    anns, bobs = sit(address(room), ann), sit(address(room), bob)
    status(bobs.page)
    panel = details(anns)
    anns.use(button(panel, "Room settings"))
    box = dialog(anns.page, "Room settings")
    anns.write(box.get_by_label("Room name"), f"den {ann.name}")
    anns.write(box.get_by_label("Topic"), "what we talk about")
    anns.submit(button(box, "Save"))
    expect(box).to_be_hidden()
    expect(bobs.page.get_by_role("heading", name=f"den {ann.name}")).to_be_visible()
    expect(bobs.page.get_by_text(f"This is the beginning of den {ann.name}")).to_be_visible()
    anns.use(button(panel, "Room settings"))
    anns.use(button(box, "Archive room"))
    expect(field(bobs.page)).to_be_disabled()
    anns.use(button(box, "Reopen room"))
    expect(field(bobs.page)).to_be_enabled()
    anns.use(button(box, "Delete room"))
    anns.use(button(dialog(anns.page, f"Delete den {ann.name}?"), "Delete room"))
    expect(rooms(bobs.page).get_by_role("link")).to_have_count(0)


def test_an_account_has_another_name_password_and_token_and_is_closed(
    sit: Sit, ann: harness.Client, server: harness.Server
) -> None:
    hands = sit("/", ann)
    page = hands.page
    status(page)
    elsewhere = server.client()
    credentials = {"username": ann.name, "password": harness.PASSWORD}
    assert elsewhere.post("/api/login", credentials).status_code == 200
    box = account(hands)
    hands.write(box.get_by_label("Display name"), "Ann Moss")
    hands.submit(button(box, "Save name"))
    expect(page.get_by_role("button", name="Ann Moss, your account")).to_be_attached()
    hands.use(box.get_by_label("Notify me"))
    hands.use(box.get_by_role("button", name="Sign out"))
    expect(box.get_by_role("button", name="Sign out")).to_have_count(0)
    assert elsewhere.http.get("/api/me").status_code == 401

    hands.use(box.get_by_text("API tokens", exact=True).first)
    hands.write(box.get_by_label("Name of a new token"), "bot")
    hands.submit(button(box, "Make token"))
    expect(box.get_by_label("Your new token")).to_have_value(re.compile("^qct_"))
    hands.use(button(box, "Copy token"))
    hands.use(button(box, "Revoke bot"))
    hands.use(button(dialog(page, "Revoke bot?"), "Revoke"))
    expect(box.get_by_text("bot is revoked.")).to_be_visible()
    expect(button(box, "Revoke bot")).to_have_count(0)

    hands.use(box.get_by_text("Change password", exact=True).first)
    hands.write(box.get_by_label("Current password"), harness.PASSWORD)
    hands.write(box.get_by_label("New password"), NEW_PASSWORD)
    hands.submit(button(box, "Change password"))
    expect(box.get_by_text("Your password is changed")).to_be_visible()
    hands.leave(box)

    box = account(hands)
    hands.use(box.get_by_text("Delete account", exact=True))
    hands.write(box.get_by_label("Password", exact=True), NEW_PASSWORD)
    hands.submit(button(box, "Delete my account"))
    expect(page).to_have_url(re.compile(r"/login|/register"))
