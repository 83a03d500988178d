"""Words: how a text is cut for search, what a query asks for, what is shown of a match.

Both databases are given words, not text, so that they find the same. A word is folded: case
and accents do not count. Scripts that put no spaces between words are cut into characters,
and what is written together is looked for as a phrase, so that a part of it is found too.
"""

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WORD_CHARS = 64  # of a word that count; PostgreSQL takes at most 2,046 bytes
SNIPPET_CHARS = 160
BEFORE_CHARS = 40  # of a snippet, before what was found

# Thai, Lao, Burmese, Khmer, kana and Han, and pictures such as emoji: each is a word by itself.
_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\u2600-\u27bf\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
# Accents, points and vowel signs, which Python's \w leaves out.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f"
)
_WORD = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}]|[{_MARKS}])+")
_PLAIN = re.compile(r"[0-9a-z]+")
_IS_ALONE = re.compile(rf"[{_ALONE}]")
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»\uff02", '"'))
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that must follow each other; with `prefix` the last may go on."""

    words: tuple[str, ...]
    prefix: bool = False


def words(text: str) -> list[str]:
    """Return a text's words, folded; none of them has a space or a sign of ASCII."""
    if text.isascii():  # a third of the time
        return [word[:WORD_CHARS] for word in _PLAIN.findall(text.lower())]
    return [word for _, _, word in _spans(text)]


def parse(query: str) -> list[Phrase]:
    """Return what a text must have: every word, and every phrase in quotation marks.

    The last word is a prefix, since a person may still be typing it, unless it is quoted.
    Nothing is an error: signs that mean nothing are left out, and an open quotation ends
    with the query.
    """
    parts = query.translate(_QUOTES).split('"')
    phrases: list[Phrase] = []
    for number, part in enumerate(parts):
        quoted, last = number % 2 == 1, number == len(parts) - 1
        # What is written together, as `e-mail` is, stands together in the text.
        chunks = [part] if quoted else part.split()
        found = [tuple(cut) for chunk in chunks if (cut := words(chunk))]
        for place, phrase in enumerate(found):
            ends = last and place == len(found) - 1 and not _IS_ALONE.match(phrase[-1])
            phrases.append(Phrase(phrase, prefix=ends))
    return list(dict.fromkeys(phrases))


def snippet(text: str, phrases: Sequence[Phrase]) -> str:
    """Return the part of a text where the phrases are, as HTML with `<mark>` and nothing else."""
    marks = _marks(text, phrases)
    begin = 0
    if marks and len(text) > SNIPPET_CHARS:
        begin = _boundary(text, max(0, marks[0][0] - BEFORE_CHARS), marks[0][0])
    end = len(text) if len(text) - begin <= SNIPPET_CHARS else begin + SNIPPET_CHARS
    if end < len(text):  # not within a word, unless that is all there is
        space = text.rfind(" ", begin + SNIPPET_CHARS // 2, end)
        end = space if space > 0 else end
    pieces = ["…"] if begin else []
    for start, found in marks:
        if start >= end:
            break
        stop = min(found, end)
        pieces += [_escape(text[begin:start]), "<mark>", _escape(text[start:stop]), "</mark>"]
        begin = stop
    pieces.append(_escape(text[begin:end]))
    return "".join([*pieces, "…"] if end < len(text) else pieces).strip()


def _spans(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _WORD.finditer(text):
        word = _fold(match.group())
        if word:
            yield match.start(), match.end(), word


def _fold(piece: str) -> str:
    if piece.isascii():
        return piece.lower()[:WORD_CHARS]
    # Twice, as Unicode's caseless match does (section 3.13, D146): folding may need it.
    text = unicodedata.normalize("NFKD", piece).casefold()
    text = unicodedata.normalize("NFKD", text)
    # Some characters stand for several: U+2474 is `(1)`.
    kept = [c for c in text if not unicodedata.combining(c) and (c.isalnum() or c > "\u02ff")]
    return "".join(c for c in kept if not c.isspace())[:WORD_CHARS]


def _marks(text: str, phrases: Sequence[Phrase]) -> list[tuple[int, int]]:
    """Return where the phrases are, joined where they overlap, as far as a snippet reaches."""
    spans = list(_spans(text))
    said = [word for _, _, word in spans]
    marks: list[tuple[int, int]] = []
    for place, (start, _, _) in enumerate(spans):
        if marks and start > marks[0][0] + SNIPPET_CHARS:
            break
        for phrase in phrases:
            if _stands(phrase, said, place):
                stop = spans[place + len(phrase.words) - 1][1]
                if marks and start < marks[-1][1]:
                    marks[-1] = (marks[-1][0], max(stop, marks[-1][1]))
                else:
                    marks.append((start, stop))
    return marks


def _stands(phrase: Phrase, said: list[str], place: int) -> bool:
    asked, last = phrase.words, place + len(phrase.words) - 1
    if last >= len(said):
        return False
    # Nearly always the first word says no.
    if last > place and (asked[0] != said[place] or list(asked[:-1]) != said[place:last]):
        return False
    return said[last].startswith(asked[-1]) if phrase.prefix else said[last] == asked[-1]


def _boundary(text: str, begin: int, latest: int) -> int:
    """Return where the first word after `begin` begins."""
    space = text.find(" ", begin, latest) if begin else -1
    return begin if space < 0 else space + 1


def _escape(text: str) -> str:
    return html.escape(_SPACES.sub(" ", text))
