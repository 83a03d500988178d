"""The API's documentation in a real Chromium, under the policy that it is served with."""

from urllib.parse import urlsplit

import harness
from playwright.sync_api import expect
from test_page import Open, browser, complaints, open_page
from test_page_people import picture

__all__ = ["browser", "complaints", "open_page"]  # fixtures


def test_the_docs_show_operations_and_stream_events_and_ask_no_other_host(
    open_page: Open, server: harness.Server
) -> None:
    page = open_page("/login")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs")
    send = page.get_by_role("button", name="Send a message")
    expect(send.first).to_be_visible(timeout=harness.WAIT_S * 1000)
    page.get_by_role("button", name="Stream a room's events").first.click()
    expect(page.get_by_role("cell", name="message.update")).to_be_visible()
    picture(page, "docs")
    assert any(url.endswith("/openapi.json") for url in asked)
    assert {urlsplit(url).netloc for url in asked} <= {urlsplit(server.url).netloc, ""}
