"""A message's Markdown as safe HTML: CommonMark with line breaks, then an allow-list.

Raw HTML in a body is shown as text, images are links' business (a page that loads
pictures from other hosts tells them who reads), and `nh3` cleans what is left. There are
no tables: markdown-it-py takes a second and a half for some of 4,000 characters.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from quartchat import highlight

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "span", "strong", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "code": {"class"},
    "ol": {"start"},
    "span": {"class", "data-user"},
}
# Reference links can grow a body a hundredfold, into every reader's stream; such
# a body is shown as it was written. A short one may grow more: a link's `rel` alone has 41.
HTML_BASE = 256
HTML_FACTOR = 10
_SCHEMES = {"http", "https", "mailto"}

NAMES = 50  # of one body are looked up
NAME_CHARS = range(3, 33)  # of a username
# A name is not part of an address or of a longer word.
_NAMED = re.compile(r"(?<![^\W_])(?<![@/])@([A-Za-z0-9_.-]+)(?!\w)")
# An address in the text, and the signs that are not its own at its end.
_SCHEME = re.compile(r"(?<![A-Za-z0-9])https?$", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"`\\^{}|]+", re.IGNORECASE)
_TAG = re.compile(r'<(?:[^>"]|"[^"]*")*>')
_SENTENCE = frozenset(".,;:!?'*_~]")


def names(body: str) -> list[str]:
    """Return what may be usernames after an `@`, folded; code is not told from text yet."""
    found: dict[str, None] = {}
    if "@" in body:
        for match in _NAMED.finditer(body):
            found |= dict.fromkeys(_readings(match[1].lower()))
    return list(found)[:NAMES]


def _readings(name: str) -> Iterator[str]:
    """Yield a name as it stands, then without the signs at its end: `@ann.` may be ann's."""
    while name:
        if len(name) in NAME_CHARS:
            yield name
        if name[-1] not in "_.-":
            return
        name = name[:-1]


def _mention(state: StateInline, silent: bool) -> bool:
    """Parse a member's name, a rule of markdown-it's; so there are none in code."""
    match = _NAMED.match(state.src, state.pos)
    if match is None:
        return False
    members: Mapping[str, int] = state.env.get("members", {})
    name = next((name for name in _readings(match[1].lower()) if name in members), None)
    if name is None:
        return False
    end = state.pos + 1 + len(name)
    if not silent:
        token = state.push("mention", "", 0)
        token.content = state.src[state.pos : end]
        token.meta = {"user": members[name]}
    state.pos = end
    return True


def _show_mention(
    _renderer: RendererProtocol,
    tokens: Sequence[Token],
    index: int,
    _options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    token = tokens[index]
    user = token.meta["user"]
    env["mentioned"][user] = None
    return f'<span class="mention" data-user="{user}">{token.content}</span>'


def _link(state: StateInline, silent: bool) -> bool:
    """Make a link of an address that stands in the text; markdown-it calls at its colon."""
    scheme = _SCHEME.search(state.pending[-6:]) if state.src[state.pos] == ":" else None
    if scheme is None or state.linkLevel > 0:
        return False
    start = state.pos - len(scheme[0])
    match = _ADDRESS.match(state.src, start)
    url = "" if match is None else _without_end(match[0])
    if not url or url.endswith("//"):
        return False
    href = state.md.normalizeLink(url)
    if not state.md.validateLink(href):
        return False
    if not silent:
        state.pending = state.pending[: -len(scheme[0])]
        state.push("link_open", "a", 1).attrs = {"href": href}
        state.push("text", "", 0).content = url
        state.push("link_close", "a", -1)
    state.pos = start + len(url)
    return True


def _without_end(url: str) -> str:
    """Leave out what ends the sentence, and a bracket that was opened before the address."""
    while url and (url[-1] in _SENTENCE or (url[-1] == ")" and url.count(")") > url.count("("))):
        url = url[:-1]
    return url


def _made(highlight: Callable[[str, str, str], str] | None) -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": 20, "highlight": highlight}
    made = MarkdownIt("commonmark", options).enable("strikethrough").disable("image")
    made.inline.ruler.before("emphasis", "mention", _mention)
    made.inline.ruler.before("emphasis", "address", _link)
    made.add_render_rule("mention", _show_mention)
    return made


_renderer, _uncoloured = _made(highlight.spans), _made(None)


# One line of words and harmless signs, beginning with a letter: no Markdown can be in it,
# so that most messages need no parser. The tests compare both ways.
_PLAIN = re.compile(r"[^\W\d_](?:[^\W_]|[ .,;:?'\"()/@%+=-](?!$))*[.?]?")


def render(
    body: str, members: Mapping[str, int] | None = None, mentioned: dict[int, None] | None = None
) -> str:
    """Render a body; never raises, never lets a script, a style or a foreign tag through.

    `members` gives ids for the usernames that are mentions here, and `mentioned` takes those
    that were found.
    """
    text = body.rstrip(" ")
    if not members and "://" not in body and _PLAIN.fullmatch(text):
        return f"<p>{text}</p>"
    return _render(body, members or {}, {} if mentioned is None else mentioned)


def plain(rendered: str) -> str:
    """Return the text of what `render` made, without the marks of Markdown."""
    return html.unescape(_TAG.sub("", rendered))


def _absolute(_tag: str, attribute: str, value: str) -> str | None:
    """Drop links that name no host: to whoever reads, they would be links of our own page."""
    if attribute == "href" and not value.lower().startswith(("http://", "https://", "mailto:")):
        return None
    return value


def _render(body: str, members: Mapping[str, int], mentioned: dict[int, None]) -> str:
    bound = HTML_BASE + HTML_FACTOR * len(body)
    for renderer in (_renderer, _uncoloured):
        cleaned = _clean(renderer.render(body, {"members": members, "mentioned": mentioned}))
        if len(cleaned) <= bound:
            return cleaned
    return f"<p>{html.escape(body)}</p>"


def _clean(rendered: str) -> str:
    return nh3.clean(
        rendered,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        attribute_filter=_absolute,
        link_rel="noopener noreferrer nofollow",
    ).rstrip("\n")
