"""Five tabs of one browser: one stream, and a hand-over that nobody notices."""

import re
from concurrent.futures import ThreadPoolExecutor

import harness
from playwright.sync_api import expect
from test_page import Open, address, articles, browser, complaints, eventually, open_page, status

__all__ = ["browser", "complaints", "open_page"]  # fixtures

TABS = 5
SAID = [f"message {number}" for number in range(50)]
BEFORE = 15  # messages, at which the leading tab goes
TAB_S = 20  # until a tab that was not looked at has everything


def streams(server: harness.Server) -> int:
    found = re.search(
        r"^quartchat_streams (\d+)", server.client().http.get("/metrics").text, re.MULTILINE
    )
    assert found
    return int(found[1])


def test_five_tabs_hold_one_stream_which_is_handed_over_without_a_gap(
    open_page: Open, server: harness.Server
) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    room = ann.room("lobby")
    bob.join(room)
    leading = open_page(address(room), ann)
    status(leading)
    eventually(leading, lambda: streams(server) == 1)  # those of other tests have ended
    others = [leading.context.new_page() for _ in range(TABS - 1)]
    for page in others:
        page.goto(address(room))
        status(page)
    assert streams(server) == 1

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [bob.say(room, text) for text in SAID])
        expect(articles(leading, SAID[BEFORE])).to_have_count(1)
        leading.close()
        writing.result()

    for page in others:
        expect(articles(page)).to_have_count(len(SAID), timeout=TAB_S * 1000)
        assert articles(page).locator(".text").all_inner_texts() == SAID
        status(page)
    eventually(others[0], lambda: streams(server) == 1)
