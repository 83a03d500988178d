"""Markdown: safe whatever is typed, and cheap, since it runs between two deliveries."""

import html
import re
from html.parser import HTMLParser
from statistics import median
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import markup
from quartchat.markup import render

MAX_CHARS = 4_000  # of a body
SLOW_S = 0.2  # of this thread's own time
GROWTH = 11  # times its length is the most that a long body becomes

few = settings(max_examples=200, deadline=None)
PIECES = [
    "<script>", "</script>", "<img src=x onerror=a()>", "<style>", '<b onclick="a()">',
    'style="x"', "<svg/onload=a>", "[a](javascript:a())", "[a](JaVaScRiPt:a)",
    "[a](data:text/html,a)", "<javascript:a>", "[a](vbscript:a)", "![a](http://b/c.png)",
    '[a](http://b "t")', "[a]: ", "[a]", "[", "]", "(", ")", "!", "*", "**", "_", "~~", "`",
    "```", ">", "-", "1. ", "#", "|", "|-|-|", "&", "&lt;", "&#x6a;", "&#106;avascript:",
    "\\", "\n", "\n\n", "\t", " ", ":", "/", '"', "'", "a", "b", "<",
]  # fmt: skip
bodies = st.lists(st.sampled_from(PIECES), max_size=30)
typed = bodies.map("".join) | st.text(max_size=100)

ALLOWED = {
    "a": {"href", "title", "rel"},
    "code": {"class"},
    "ol": {"start"},
    "span": {"class"},
}
TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "span", "strong", "ul",
}  # fmt: skip

PATHOLOGICAL = {
    "brackets": "[" * MAX_CHARS,
    "unclosed links": "[a](<" * 800,
    "emphasis": "*a **a " * 571,
    "stars": "*" * 2000 + "a" + "*" * 1999,
    "quotes": ">" * MAX_CHARS,
    "lists": "- " * 2000,
    "nested lists": "\n".join(" " * depth + "- a" for depth in range(85)),
    "backticks": " ".join("`" * count for count in range(88)),
    "tags": "<a " * 1333,
    "line breaks": "a\n" * 2000,
    "quotation marks": '"' * MAX_CHARS,
    "a wide table": "|a" * 700 + "\n" + "|-" * 700 + "\n" + "x\n" * 590,
    "a long table": "|a" * 50 + "\n" + "|-" * 50 + "\n" + "x\n" * 1890,
    "a link named often": "[a]: https://" + "u" * 2000 + "\n\n" + "[a]" * 660,
    "a title named often": "[a]: /u '" + "t" * 2000 + "'\n\n" + "[a]" * 660,
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@few
@given(typed)
def test_nothing_but_the_allowed_tags_and_attributes_comes_out(body: str) -> None:
    for tag, attributes in Page(render(body)).tags:
        assert tag in TAGS
        assert set(attributes) <= ALLOWED.get(tag, set())
        scheme = re.match(r"[^/?#]*?:", html.unescape(attributes.get("href") or ""))
        assert scheme is None or scheme[0].lower() in {"http:", "https:", "mailto:"}
        assert tag != "a" or attributes["rel"] == "noopener noreferrer nofollow"


@few
@given(st.lists(st.text("abcäß漢字0123456789", min_size=1), min_size=1, max_size=20))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert render(" ".join(words)) == f"<p>{' '.join(words)}</p>"


@few
@given(st.text(st.characters(categories=["L", "P", "S", "Z"]), max_size=50))
def test_text_in_a_fence_stays_as_it_is(text: str) -> None:
    line = text.replace("`", "").replace("\u2028", "").replace("\u2029", "")
    assert Page(render(f"```\n{line}x\n```")).text == f"{line}x\n"


ADDRESSES = {
    "https://a.b": ["https://a.b"],
    "see http://a.b, (https://c.d/e_(f)) and HTTP://G.h.": [
        "http://a.b", "https://c.d/e_(f)", "HTTP://G.h",
    ],
    "https://a.b/x_y_z*1*?c=1&copy=2#d": ["https://a.b/x_y_z*1*?c=1&copy=2#d"],
    "**https://a.b**": ["https://a.b"],
    "[https://a.b](https://c.d)": ["https://c.d"],
    "<https://a.b>": ["https://a.b"],
    "https://a.b/@bob": ["https://a.b/@bob"],
    'https://a"onclick=x': ["https://a"],
    "https://a.b<script>": ["https://a.b"],
    "`https://a.b`": [],
    "xhttps://a.b http:// http:/a https:a ftp://a.b javascript://a": [],
    "a\nhttps://a.b\nc": ["https://a.b"],
}  # fmt: skip


@pytest.mark.parametrize("body", ADDRESSES)
def test_an_address_in_the_text_is_a_link(body: str) -> None:
    page = Page(render(body, MEMBERS))
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ADDRESSES[body]
    assert all(attributes.get("rel") for tag, attributes in page.tags if tag == "a")


@pytest.mark.parametrize(
    "unit", ["https://a ", "https:", "https://", "https://a)", "http://(", "h"]
)
def test_addresses_without_end_are_cheap(unit: str) -> None:
    body = (unit * MAX_CHARS)[:MAX_CHARS]
    started = thread_time()
    assert len(render(body)) <= GROWTH * len(body)
    assert thread_time() - started < SLOW_S


MEMBERS = {"ann": 7, "bob": 8, "_x_": 9, "a.b": 10, "ann.": 11}


@pytest.mark.parametrize(
    ("body", "mentioned"),
    [
        ("@bob", [8]),
        ("hi @bob, and @ann", [8, 7]),
        ("@bob @bob", [8]),
        ("@BOB", [8]),
        ("(@bob) *@bob* _@bob_ **@bob**: @bob's", [8]),
        ("@bob...", [8]),
        ("@ann.", [11]),  # the longest reading that is somebody's name
        ("@a.b @_x_", [10, 9]),
        ("- @bob\n\n> @ann", [8, 7]),
        ("[@bob](http://b)", [8]),
        ("`@bob` ``@bob``", []),
        ("```\n@bob\n```\n    @bob", []),
        ("bob@bob http://b/@bob @@bob", []),
        ("@bobby @bobä @bo-b @carol", []),
        ("\\@bob", []),
        ("bob", []),
    ],
)
def test_a_mention_is_a_members_name_outside_of_code(body: str, mentioned: list[int]) -> None:
    found: dict[int, None] = {}
    page = Page(render(body, MEMBERS, found))
    assert list(found) == mentioned
    spans = [attributes for tag, attributes in page.tags if tag == "span"]
    assert all(set(attributes) == {"class", "data-user"} for attributes in spans)
    assert {attributes["class"] for attributes in spans} <= {"mention"}
    assert {int(attributes["data-user"] or 0) for attributes in spans} == set(mentioned)
    assert set(mentioned) <= {MEMBERS[name] for name in markup.names(body) if name in MEMBERS}


@few
@given(st.lists(st.sampled_from([*PIECES, "@", "@bob", "@ann.", "@_x_", "."]), max_size=30))
def test_whoever_is_mentioned_was_looked_up(pieces: list[str]) -> None:
    body, found = "".join(pieces), dict[int, None]()
    html = render(body, MEMBERS, found)
    assert set(found) <= {MEMBERS[name] for name in markup.names(body) if name in MEMBERS}
    assert re.findall('data-user="([0-9]+)">', html) == [] or found


@pytest.mark.parametrize("unit", ["@bob ", "@bob", "@", "@.", "@a.", "@bob."])
def test_names_without_end_are_cheap(unit: str) -> None:
    body = (unit * MAX_CHARS)[:MAX_CHARS]
    started = thread_time()
    assert len(markup.names(body)) <= markup.NAMES
    html = render(body, MEMBERS, {})
    assert thread_time() - started < SLOW_S
    assert len(html) <= GROWTH * len(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("**hi** _you_ ~~all~~", "<p><strong>hi</strong> <em>you</em> <s>all</s></p>"),
        ("a\nb", "<p>a<br>\nb</p>"),
        ("<b>hi</b>", "<p>&lt;b&gt;hi&lt;/b&gt;</p>"),
        ("&lt;b&gt;", "<p>&lt;b&gt;</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        (
            "[x](http://b)",
            '<p><a href="http://b" rel="noopener noreferrer nofollow">x</a></p>',
        ),
        ("```x\n1 < 2\n```", '<pre><code class="language-x">1 &lt; 2\n</code></pre>'),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>'),
        ("|a|\n|-|", "<p>|a|<br>\n|-|</p>"),
    ],
)
def test_markdown_becomes(body: str, expected: str) -> None:
    assert render(body) == expected


def test_a_picture_becomes_a_link_so_that_nobody_is_told_who_reads() -> None:
    page = Page(render("![cat](http://b/cat.png)"))
    assert [tag for tag, _ in page.tags] == ["p", "a"]


def test_a_body_that_would_grow_without_measure_is_shown_as_it_was_written() -> None:
    body = PATHOLOGICAL["a link named often"] + "<b>"
    assert Page(render(body)).text == body


@pytest.mark.parametrize("body", PATHOLOGICAL.values(), ids=PATHOLOGICAL)
def test_no_body_takes_long_or_grows_without_measure(body: str) -> None:
    body = body[:MAX_CHARS]
    seconds = []
    for _ in range(3):
        start = thread_time()
        rendered = render(body)
        seconds.append(thread_time() - start)
    assert len(rendered) <= GROWTH * MAX_CHARS
    assert median(seconds) < SLOW_S


@given(st.from_regex(markup._PLAIN, fullmatch=True))
def test_the_short_way_for_plain_lines_gives_what_the_parser_gives(body: str) -> None:
    assert markup.render(body) == markup._render(body, {}, {})
