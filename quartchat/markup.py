"""A message's Markdown as safe HTML: CommonMark with line breaks, then an allow-list.

Raw HTML in a body is shown as text, images are links' business (a page that loads
pictures from other hosts tells them who reads), and `nh3` cleans what is left. There are
no tables: markdown-it-py takes a second and a half for some of 4,000 characters.
"""

import html
import re

import nh3
from markdown_it import MarkdownIt

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "strong", "ul",
}  # fmt: skip
# Reference links can grow a body a hundredfold, into every reader's stream; such
# a body is shown as it was written. A short one may grow more: a link's `rel` alone has 41.
HTML_BASE = 256
HTML_FACTOR = 10
_SCHEMES = {"http", "https", "mailto"}

_renderer = (
    MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20})
    .enable("strikethrough")
    .disable("image")
)


# One line of words and harmless signs, beginning with a letter: no Markdown can be in it,
# so that most messages need no parser. The tests compare both ways.
_PLAIN = re.compile(r"[^\W\d_](?:[^\W_]|[ .,;:?'\"()/@%+=-](?!$))*[.?]?")


def render(body: str) -> str:
    """Render a body; never raises, never lets a script, a style or a foreign tag through."""
    text = body.rstrip(" ")
    if _PLAIN.fullmatch(text):
        return f"<p>{text}</p>"
    return _render(body)


def _absolute(_tag: str, attribute: str, value: str) -> str | None:
    """Drop links that name no host: to whoever reads, they would be links of our own page."""
    if attribute == "href" and not value.lower().startswith(("http://", "https://", "mailto:")):
        return None
    return value


def _render(body: str) -> str:
    cleaned = nh3.clean(
        _renderer.render(body),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "code": {"class"}, "ol": {"start"}},
        url_schemes=_SCHEMES,
        attribute_filter=_absolute,
        link_rel="noopener noreferrer nofollow",
    ).rstrip("\n")
    if len(cleaned) > HTML_BASE + HTML_FACTOR * len(body):
        return f"<p>{html.escape(body)}</p>"
    return cleaned
