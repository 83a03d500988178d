"""`opening`: from the document to a room's newest messages on the screen, in Chromium."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from benchmarks import procs
from benchmarks.bench import Bench, Column, Result
from benchmarks.figures import Row
from benchmarks.scenarios.history import PAGE, WRITERS, fill
from benchmarks.servers.quartchat import People, Quartchat

ROUNDS = 15
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu"]
LIMIT_MS = 20_000
LOOK_MS = 50
STILL_MS = 1000  # a new window loads a hundred files of Chromium's own, on the same cores
REST_MS = 400  # in which the page does what can wait, and Chromium keeps its code
CACHES = ("cold", "warm")
COLUMNS = (
    Column("shown_ms", "messages shown, ms after the document", "{:.0f}"),
    Column("paint_ms", "first paint, ms after the document", "{:.0f}"),
    Column("document_ms", "document, ms after the click", "{:.0f}"),
)
# When a frame with a page of messages has been painted.
WATCH = f"""
const look = () => (
  document.querySelectorAll("#log article").length < {PAGE}
    ? requestAnimationFrame(look)
    : requestAnimationFrame(() => setTimeout(() => {{ window.shownAt = performance.now(); }}))
);
requestAnimationFrame(look);
"""
TIMES = """() => {
  const { responseEnd } = performance.getEntriesByType("navigation")[0];
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return {
    shown_ms: shownAt - responseEnd,
    paint_ms: paint.startTime - responseEnd,
    document_ms: responseEnd,
  };
}"""


def run(bench: Bench) -> Result:
    """Open a small and a large room in turn, each in a browser that has nothing, and again."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only this scenario needs it

    sizes = bench.pick((100, 50_000), (100, 5000))
    result = Result(
        "opening",
        f"a room's newest {PAGE} messages on the screen",
        "The browser is on the same two cores."
        " Cold: a new profile; warm: one that has opened the page once; either with a window that"
        " is open already.",
        ("messages", "cache"),
        COLUMNS,
    )
    with ExitStack() as stack:
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=_browser(), args=FLAGS
        )
        stack.callback(browser.close)
        servers = {size: stack.enter_context(_filled(bench, result, size)) for size in sizes}
        result.versions["browser"] = f"Chromium {browser.version}"
        cookies = {size: server.register("reader") for size, server in servers.items()}
        for number in range(bench.times(ROUNDS) + 1):
            for size, server in servers.items():
                for cache, row in _open(browser, server, cookies[size]).items():
                    place = {"round": number, "server": "quartchat", "messages": size}
                    if number:  # the first round warms up
                        result.rows.append(row := place | {"cache": cache} | row)
                        bench.say(f"opening {number}  {result.line(row)}")
    return result


def _browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise procs.StartError("no Chromium: `apt-get install chromium` brings it")
    return found


@contextmanager
def _filled(bench: Bench, result: Result, size: int) -> Iterator[Quartchat]:
    """Start a server with so many messages."""
    with bench.directory() as directory:
        server = Quartchat(directory, People(1, writers=WRITERS))
        server.prepare()
        with closing(sqlite3.connect(server.database)) as connection:
            fill(bench, connection, size)
        with server:
            result.versions["quartchat"] = server.versions()
            yield server


def _open(browser: Any, server: Quartchat, cookie: str) -> dict[str, Row]:
    """Open the room in a browser of one's own, twice; return what was measured."""
    url = f"http://127.0.0.1:{server.port}"
    name, _, value = cookie.partition("=")
    context = browser.new_context(base_url=url)
    with closing(context):
        context.add_cookies([{"name": name, "value": value, "url": url}])
        return {cache: _once(context) for cache in CACHES}


def _once(context: Any) -> Row:
    page = context.new_page()
    with closing(page):
        page.add_init_script(WATCH)
        page.wait_for_timeout(STILL_MS)
        page.goto("/rooms/1", wait_until="commit")
        # By hand: the page's content policy forbids what playwright's own waiting evaluates.
        for _ in range(LIMIT_MS // LOOK_MS):
            if page.evaluate("Boolean(window.shownAt)"):
                break
            page.wait_for_timeout(LOOK_MS)
        page.wait_for_timeout(REST_MS)
        found: Row = page.evaluate(TIMES)
        return found
