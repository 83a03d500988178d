"""Words: what is one, what a query asks for, what is shown of a match."""

import html
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartchat import words
from quartchat.words import Phrase


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("**bold** `foo_bar` e-mail", ["bold", "foo", "bar", "e", "mail"]),
        ("Café CAFE\u0301 Straße", ["cafe", "cafe", "strasse"]),
        ("\ufb01ne \u210c \u00bd", ["fine", "h", "1\u20442"]),
        ("日本語 text", ["日", "本", "語", "text"]),
        ("Привет мир", ["привет", "мир"]),
        ("👍 ok", ["👍", "ok"]),
        ("... -- !", []),
        ("x" * 100, ["x" * 64]),
    ],
)
def test_a_text_is_cut_into_folded_words(text: str, found: list[str]) -> None:
    assert words.words(text) == found


@pytest.mark.parametrize(
    ("query", "phrases"),
    [
        ("hello wor", [Phrase(("hello",)), Phrase(("wor",), prefix=True)]),
        ('"two words" x', [Phrase(("two", "words")), Phrase(("x",), prefix=True)]),
        ('x "two words"', [Phrase(("x",)), Phrase(("two", "words"))]),
        ('x "two wor', [Phrase(("x",)), Phrase(("two", "wor"), prefix=True)]),
        ("“two words”", [Phrase(("two", "words"))]),
        ("e-mail", [Phrase(("e", "mail"), prefix=True)]),
        ("日本", [Phrase(("日", "本"))]),
        ("a a", [Phrase(("a",)), Phrase(("a",), prefix=True)]),
        ('""', []),
        (" *:^-()! ", []),
        ("NEAR AND OR not", [
            Phrase(("near",)), Phrase(("and",)), Phrase(("or",)), Phrase(("not",), prefix=True),
        ]),
    ],
)  # fmt: skip
def test_a_query_asks_for_words_and_phrases(query: str, phrases: list[Phrase]) -> None:
    assert words.parse(query) == phrases


def test_a_snippet_marks_what_was_found_and_nothing_else_is_a_tag() -> None:
    text = 'Hello <b>World</b> & "you", hello\nworld'
    assert words.snippet(text, words.parse('"hello world" y')) == (
        "Hello &lt;b&gt;World&lt;/b&gt; &amp; &quot;<mark>you</mark>&quot;, "
        "<mark>hello world</mark>"
    )


def test_a_snippet_of_a_long_text_is_around_the_first_match() -> None:
    found = words.snippet("lorem " * 300 + "the needle lies " + "ipsum " * 300, words.parse("need"))
    assert re.fullmatch(r"…(lorem )+the <mark>needle</mark> lies (ipsum ?)+…", found)
    assert len(found) < words.SNIPPET_CHARS + 20


def test_a_snippet_without_a_match_is_the_beginning() -> None:
    assert words.snippet("one two", words.parse("three")) == "one two"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(text=TEXTS, query=TEXTS)
def test_any_snippet_is_escaped_text_with_marks(text: str, query: str) -> None:
    shown = words.snippet(text, words.parse(query))
    bare = shown.replace("<mark>", "").replace("</mark>", "")
    assert not re.search(r"[<>\"']", bare)
    assert html.unescape(bare).strip("… ") in re.sub(r"\s+", " ", text)
    assert re.fullmatch(r"([^<]*<mark>[^<]+</mark>)*[^<]*", shown)


@given(text=TEXTS)
def test_words_are_safe_to_put_into_both_engines_queries(text: str) -> None:
    for word in words.words(text):
        assert word
        assert len(word) <= words.WORD_CHARS
        assert not re.search(r"\s", word)
        assert all(c.isalnum() and not c.isupper() for c in word if c.isascii())


@given(text=st.text(st.characters(max_codepoint=127)))
def test_plain_texts_are_cut_as_all_texts_are(text: str) -> None:
    assert words.words(text) == [word for _, _, word in words._spans(text)]


@given(text=TEXTS)
def test_a_text_is_found_by_its_own_words(text: str) -> None:
    found = words.words(text)
    for phrase in words.parse(text.replace('"', " ")):
        length = len(phrase.words)
        heres = [tuple(found[n : n + length]) for n in range(len(found))]
        assert phrase.words in heres


def test_a_snippet_of_the_worst_text_takes_milliseconds() -> None:
    began = time.process_time()
    for text, query in (
        ("a " * 2000, "a " * 100),
        ("a " * 2000, '"' + "a " * 98 + "b"),
        ("日" * 4000, "日" * 200),
        ("x" * 4000, "x"),
    ):
        words.snippet(text, words.parse(query))
    assert time.process_time() - began < 0.2
