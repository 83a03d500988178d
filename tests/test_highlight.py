"""Colours for code: the same text, few spans, and never for long."""

import html
import re
from time import thread_time

import pytest
from harness import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from quartchat import highlight, markup

MAX_CHARS = 4_000  # of a body
SLOW_S = 0.15
ALIASES = sorted(highlight._LEXERS)
LEXERS = sorted(aliases[0] for aliases in highlight.LANGUAGES.values())
SPAN = re.compile(r'<span class="([a-z])">|</span>')
PIECES = [
    "/*", "*/", "//", "'", '"', '"""', "`", "${", "{", "}", "(", ")", "<", "<!--", "<?php", "<<A",
    "#", "#if 0", "@", "\\", "\n", " ", "\t", "a", "0x", "1.", "-", "--", "=", ":", "class ",
    "def ", "- ", "|", "[[", 'r#"', "f'{", "&", ">", "é", "\u2028", "A\n", "@@ -1 +1 @@\n", "+",
    "\ufeff",
]  # fmt: skip
few = settings(max_examples=30, deadline=None)
code = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60)


@pytest.mark.parametrize("language", LEXERS)
@few
@given(code)
def test_the_text_stays_as_it_is(language: str, text: str) -> None:
    text = text.replace("\r", "")  # markdown-it has made line feeds of them
    found = highlight.spans(text, language)
    assert html.unescape(SPAN.sub("", found)) in {text, ""}
    assert {match[1] for match in SPAN.finditer(found)} <= {*highlight.CLASSES.values(), None}


@pytest.mark.parametrize("language", ALIASES)
def test_every_language_is_known_by_all_of_its_names(language: str) -> None:
    assert highlight.spans("x = 1\n", language)
    assert highlight.spans("x = 1\n", language.upper())


def test_other_languages_stay_plain() -> None:
    assert highlight.spans("x = 1\n", "") == ""
    assert highlight.spans("x = 1\n", "brainfuck") == ""
    plain = markup.render("```brainfuck\nx < 1\n```")
    assert plain == '<pre><code class="language-brainfuck">x &lt; 1\n</code></pre>'


def test_code_gets_colours() -> None:
    assert markup.render("```py\ndef f():\n    return '<' # c\n```") == (
        '<pre><code class="language-py"><span class="k">def</span> <span class="f">f</span>():\n'
        '    <span class="k">return</span> <span class="s">\'&lt;\'</span>'
        ' <span class="c"># c</span>\n</code></pre>'
    )


def test_every_class_has_a_colour() -> None:
    css = (ROOT / "static/css/code.css").read_text()
    coloured = set(re.findall(r"^pre code \.([a-z]) ", css, re.MULTILINE))
    assert coloured == set(highlight.CLASSES.values()) - {""}


def test_code_of_too_many_colours_is_shown_without() -> None:
    body = "```py\n" + "1+" * 1900 + "1\n```"
    shown = markup.render(body)
    assert shown.startswith('<pre><code class="language-py">1+1+')
    assert len(shown) < 2 * len(body)


@pytest.mark.parametrize("language", LEXERS)
def test_hostile_code_costs_little(language: str) -> None:
    highlight.spans("x = 1\n", language)  # loads the lexer
    slow = []
    units = ["//\\\n", "a" + " " * 99, "\n" * 99 + "a", "<<" + "a" * 199 + "\n", "a" * 199 + " "]
    for unit in (*PIECES, *units):
        text = ("<<a " + unit * MAX_CHARS)[:MAX_CHARS]
        started = thread_time()
        highlight.spans(text, language)
        if (spent := thread_time() - started) > SLOW_S:
            slow.append((spent, unit))
    assert slow == []
