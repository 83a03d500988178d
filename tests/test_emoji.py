"""One emoji is one picture, and no text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quartchat.emoji import MAX_CHARS, is_emoji, same

GOOD = [
    "👍", "👍🏽", "❤", "❤️", "☺️", "✅", "⭐", "🎉", "😀", "🫠", "🪿", "🏳️‍🌈", "🏴‍☠️", "🇩🇪", "🇺🇳",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "1️⃣", "#️⃣", "*⃣", "©️",
    "👨‍👩‍👧‍👦", "👩🏽‍❤️‍💋‍👨🏿", "🧑🏻‍💻", "❤️‍🔥", "👁️‍🗨️", "🐻‍❄️", "⛹🏿‍♀️", "↔️", "🀄", "㊗️",
]  # fmt: skip
BAD = [
    "", "a", "1", "#", "*", "ab", " ", "👍 ", " 👍", "👍👍", "❤️❤️", "🇩", "🇩🇪🇫🇷", "\u200d", "\ufe0f",
    "👍\u200d", "\u200d👍", "👍\n", "é", "漢", "☻x", "<", "\U000e0067", "👍\ufe0f\ufe0f", "⁠",
    "🧑‍" * 30 + "🧑", "🏴" + "\U000e0067" * 30 + "\U000e007f",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_picture_is_an_emoji(text: str) -> None:
    assert is_emoji(text)
    assert len(text) <= MAX_CHARS


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_not(text: str) -> None:
    assert not is_emoji(text)


@given(st.text(st.characters(categories=["L", "N", "P", "Z", "C"]), max_size=8))
def test_no_text_is_an_emoji(text: str) -> None:
    assert not is_emoji(text) or set(text) & set("".join(GOOD)) or ord(max(text)) > 0x1F000


def test_the_variation_selector_makes_no_difference() -> None:
    assert same("❤", "❤️")
    assert same("👁️‍🗨️", "👁‍🗨")
    assert not same("❤", "💙")
