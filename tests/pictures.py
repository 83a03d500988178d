"""Makes the pictures of the page in docs/: `python tests/pictures.py`, and look at them.

Not a test. It wants a font with emoji (fonts-noto-color-emoji). Two people talk on a server of
their own; what they say is always the same.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import harness
from playwright.sync_api import Browser, Page, sync_playwright

from quartchat.events import RoomId

DOCS = harness.ROOT / "docs"
DESK = {"width": 1180, "height": 720}
PHONE = {"width": 360, "height": 740}
SETTLE_MS = 600
CURL = """```sh
$ curl -N $chat/api/chat/rooms/1/events -H "Last-Event-ID: 41"
id: 42
event: message
```"""
CODE = """```python
async def resume(room, last_id):
    async for event in room.after(last_id):
        yield event  # none is missing, none comes twice
```"""


def main() -> None:
    path = harness.chromium()
    if path is None:
        sys.exit("no Chromium: `apt-get install chromium` brings it")
    with (
        tempfile.TemporaryDirectory() as directory,
        harness.Valkey(Path(directory) / "v") as valkey,
        harness.Server(valkey.url(), Path(directory) / "server") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        ann, bob = person(server, "ann", "Ann Lee"), person(server, "bob", "Bob Stone")
        lobby = talk(ann, bob)
        take(browser, server, ann, bob, lobby)
        browser.close()


def person(server: harness.Server, username: str, name: str) -> harness.Client:
    client = server.client()
    body = {"username": username, "password": harness.PASSWORD, "display_name": name}
    answer = client.post("/api/register", body)
    assert answer.status_code == 201, answer.text
    client.name, client.me = username, answer.json()["user"]
    return client


def room(owner: harness.Client, name: str, **fields: str) -> dict[str, RoomId]:
    answer = owner.post("/api/chat/rooms", {"name": name} | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, RoomId] = answer.json()
    return made


def talk(ann: harness.Client, bob: harness.Client) -> dict[str, RoomId]:
    """Fill the rooms with what the pictures show; return the one in the middle."""
    lobby = room(ann, "lobby", topic="Where everybody meets")
    rooms = [
        lobby,
        room(ann, "design"),
        room(ann, "release"),
        room(ann, "owners", visibility="private"),
    ]
    for each in rooms[:3]:
        bob.join(each)
    direct = bob.post("/api/chat/direct", {"user_id": ann.me["id"]}).json()
    build = ann.say(lobby, "Morning! The new build is up.")
    ann.say(lobby, "Could you try a reconnect in the middle of a message?")
    plug = bob.say(
        lobby, f"On it. Pulled the plug **twice**, nothing lost:\n\n{CURL}", reply_to=build["id"]
    )
    for who, emoji in ((ann, "🎉"), (bob, "🎉"), (ann, "👀")):
        who.put(f"/api/chat/rooms/{lobby['id']}/messages/{plug['id']}/reactions/{emoji}")
    ann.say(lobby, f"That is what the numbers are for:\n\n{CODE}")
    bob.say(lobby, "Shipping it then. @ann, the notes are yours?")
    ann.say(lobby, "They are. In an hour 👍")
    bob.say(rooms[2], "Tagged.")
    bob.say(rooms[2], "@ann the changelog wants a sentence")
    bob.say(direct, "Lunch?")
    return lobby


def take(
    browser: Browser,
    server: harness.Server,
    ann: harness.Client,
    bob: harness.Client,
    lobby: dict[str, RoomId],
) -> None:
    there = look(browser, server, bob, f"/rooms/{lobby['id']}")
    for scheme, file in (("light", "chat.png"), ("dark", "chat-dark.png")):
        page = look(browser, server, ann, f"/rooms/{lobby['id']}", scheme=scheme)
        shoot(page, file)
        page.close()
    page = look(browser, server, ann, f"/rooms/{lobby['id']}")
    page.get_by_role("button", name="Room details").click()
    shoot(page, "chat-details.png")
    page.get_by_role("button", name="Search messages").click()
    page.get_by_label("Words").fill("numbers")
    shoot(page, "chat-search.png")
    page.keyboard.press("Control+k")
    shoot(page, "chat-switcher.png")
    page.close()
    phone = look(browser, server, ann, f"/rooms/{lobby['id']}", phone=True)
    shoot(phone, "chat-phone.png")
    phone.get_by_role("link", name="Back to rooms").click()
    shoot(phone, "chat-phone-rooms.png")
    there.close()


def look(
    browser: Browser,
    server: harness.Server,
    client: harness.Client,
    path: str,
    *,
    scheme: str = "light",
    phone: bool = False,
) -> Page:
    context = browser.new_context(
        base_url=server.url,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport=PHONE if phone else DESK,  # type: ignore[arg-type]
        has_touch=phone,
        locale="en-GB",
    )
    context.add_cookies(
        [
            {"name": cookie.name, "value": cookie.value or "", "url": server.url}
            for cookie in client.http.cookies.jar
        ]
    )
    page = context.new_page()
    page.goto(path)
    page.get_by_role("status").get_by_text("Connected").wait_for()
    return page


def shoot(page: Page, file: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=DOCS / file)


if __name__ == "__main__":
    main()
