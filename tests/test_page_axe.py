"""The page against the rules of axe-core, in its main states, light and dark."""

import os
import shutil
import subprocess
from typing import Any, Literal

import harness
import pytest
from playwright.sync_api import Page, expect
from test_page import PHONE, Open, address, articles, browser, complaints, open_page, status
from test_page_people import details, dialog, picture

__all__ = ["browser", "complaints", "open_page"]  # fixtures

NPM = harness.ROOT / "var" / "npm"
AXE = NPM / "node_modules" / "axe-core" / "axe.min.js"
INSTALL_S = 120
FETCHED: dict[str, Literal["row", "listitem"]] = {  # into dialogs
    "Browse rooms": "row",
    "your account": "listitem",
}


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, which npm brings; CI may not do without."""
    if not AXE.exists():
        _install()
    return AXE.read_text()


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None and os.environ.get("CI") != "true":
        pytest.skip("no npm: `apt-get install npm` brings it, and npm brings axe-core")
    NPM.mkdir(parents=True, exist_ok=True)
    command = [npm or "npm", "install", "--prefix", str(NPM), "--no-audit", "--no-fund"]
    done = subprocess.run(
        [*command, "axe-core@4"], capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"npm could not bring axe-core: {done.stderr}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Checker:
    """Runs axe on a page, and keeps what it finds in each state."""

    def __init__(self, axe: str) -> None:
        self._axe = axe
        self.found: list[str] = []

    def check(self, page: Page, state: str) -> None:
        picture(page, state)
        page.evaluate(self._axe)
        result: dict[str, Any] = page.evaluate("axe.run({ resultTypes: ['violations'] })")
        self.found += [
            f"{state}: {violation['id']}: {node['html'][:200]}\n  {node['failureSummary']}"
            for violation in result["violations"]
            for node in violation["nodes"]
        ]


def test_axe_finds_nothing_before_the_login(open_page: Open, axe: str, scheme: str) -> None:
    checker = Checker(axe)
    for path in ("/login", "/register", "/nothing", "/static/offline.html"):
        page = open_page(path, color_scheme=scheme, reduced_motion="reduce")
        checker.check(page, f"{path.rpartition('/')[2]}-{scheme}")
    assert not checker.found, "\n".join(checker.found)


def test_axe_finds_nothing_in_a_room_and_around_it(
    open_page: Open, server: harness.Server, axe: str, scheme: str
) -> None:
    ann = server.user("ann", display_name="Ann Lee")
    bob = server.user("bob", display_name="Bob Stone")
    room = ann.room("garden", topic="What grows, and what does not")
    bob.join(room)
    direct = ann.post("/api/chat/direct", {"user_id": bob.me["id"]}).json()
    bob.say(direct, "are you there?")
    first = bob.say(room, "The beans are **up**, see https://example.org/beans")
    ann.say(room, "Lovely!", reply_to=first["id"])
    bob.say(
        room,
        f"@{ann.name} `this` is what waters them:\n\n```python\nfor bed in beds: water(bed)\n```",
    )
    heart = f"/api/chat/rooms/{room['id']}/messages/{first['id']}/reactions/❤️"
    assert ann.put(heart).status_code == 200
    gone = bob.say(room, "wrong room")
    bob.delete(f"/api/chat/rooms/{room['id']}/messages/{gone['id']}")
    secret = bob.room("secret", visibility="private")
    bob.post(f"/api/chat/rooms/{secret['id']}/invitations", {"user_id": ann.me["id"]})

    checker = Checker(axe)
    page = open_page("/", ann, color_scheme=scheme, reduced_motion="reduce")
    status(page)
    expect(page.get_by_role("heading", name="Invitations")).to_be_visible()
    checker.check(page, f"list-{scheme}")
    page.goto(address(room))
    status(page)
    expect(articles(page, "wrong room")).to_have_count(0)
    articles(page, "Lovely").hover()
    checker.check(page, f"room-{scheme}")
    for button in ("New room", "Browse rooms", "New message", "your account", "Go to"):
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        if button in FETCHED:
            expect(page.get_by_role("dialog").get_by_role(FETCHED[button]).first).to_be_visible()
        checker.check(page, f"{button.lower().replace(' ', '-')}-{scheme}")
        page.keyboard.press("Escape")
    panel = details(page)
    expect(panel.get_by_role("button", name="Bob Stone")).to_be_visible()
    checker.check(page, f"panel-{scheme}")
    panel.get_by_role("button", name="Bob Stone").click()
    checker.check(page, f"person-{scheme}")
    page.keyboard.press("Escape")
    for button, name in (("Invite people", "Invite people"), ("Room settings", "Room settings")):
        panel.get_by_role("button", name=button).click()
        expect(dialog(page, name)).to_be_visible()
        checker.check(page, f"{button.lower().replace(' ', '-')}-{scheme}")
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Search messages").click()
    search = page.get_by_role("complementary", name="Search messages")
    search.get_by_label("Words").fill("beans")
    expect(search.locator("mark").first).to_be_visible()
    checker.check(page, f"search-{scheme}")
    phone = open_page(
        address(room),
        ann,
        color_scheme=scheme,
        reduced_motion="reduce",
        viewport=PHONE,
        has_touch=True,
    )
    status(phone)
    checker.check(phone, f"phone-{scheme}")
    assert not checker.found, "\n".join(checker.found)


def test_axe_finds_nothing_in_lists_of_tokens_and_of_invitations(
    open_page: Open, server: harness.Server, axe: str, scheme: str
) -> None:
    ann, cyd = server.user("ann"), server.user("cyd", display_name="Cyd Moss")
    room = ann.room("garden")
    ann.post(f"/api/chat/rooms/{room['id']}/invitations", {"user_id": cyd.me["id"]})
    checker = Checker(axe)
    page = open_page(address(room), ann, color_scheme=scheme, reduced_motion="reduce")
    status(page)
    page.get_by_role("button", name="your account").click()
    account = dialog(page, "Your account")
    account.get_by_text("API tokens").click()
    account.get_by_label("Name of a new token").fill("bot")
    account.get_by_role("button", name="Make token").click()
    expect(account.get_by_role("button", name="Revoke bot")).to_be_visible()
    checker.check(page, f"tokens-{scheme}")
    page.keyboard.press("Escape")
    details(page).get_by_role("button", name="Invite people").click()
    expect(dialog(page, "Invite people").get_by_text("Cyd Moss")).to_be_visible()
    checker.check(page, f"sent-invitations-{scheme}")
    assert not checker.found, "\n".join(checker.found)
