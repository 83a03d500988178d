"""What is wrong with a request, field by field, in words for a person.

msgspec stops at the first wrong value; whoever fills in a form wants to know all of them.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from quartchat.errors import Fault

Rule = Callable[[str], str]  # what is wrong with a text, or ""
Rules = Mapping[str, Rule]  # by field

MOST = 20  # faults that are told of one request

_EMPTY = "It must not be empty."
_INVISIBLE = "It needs at least one visible character."
_REQUIRED = "It is required."
_UNKNOWN = "There is no such field."
# msgspec's words for a wrong value, and ours.
_WORDS = (
    (re.compile(r"Expected `str` of length >= 1$"), _EMPTY),
    (re.compile(r"Expected `str` of length >= (\d+)"), r"At least \1 characters."),
    (re.compile(r"Expected `str` of length <= (\d+)"), r"At most \1 characters."),
    (re.compile(r"Expected `str` matching regex .*"), "It has a character that is not allowed."),
    (re.compile(r"Expected `int(?: \| null)?`, got `str`$"), "A whole number."),
    (re.compile(r"Expected `int` >= (\d+)"), r"A number of at least \1."),
    (re.compile(r"Expected `int` <= (\d+)"), r"A number of at most \1."),
)
_PATH = re.compile(r" - at `\$(.*)`$")
# Spaces and separators, and what takes no room, such as U+200B.
_UNSEEN = {"Zs", "Zl", "Zp", "Cc", "Cf"}


def visible(text: str) -> str:
    """Rule: there is something to see."""
    unseen = all(unicodedata.category(character) in _UNSEEN for character in text)
    return _INVISIBLE if unseen else ""


def of_values(data: object, rules: Rules) -> list[Fault]:
    """Return which rules a parsed request breaks."""
    return [(name, wrong) for name in rules if (wrong := _broken(rules, name, getattr(data, name)))]


def of_body(model: type, raw: str | bytes, rules: Rules) -> list[Fault]:
    """Return why some JSON is no `model`."""
    try:
        given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as error:  # no object
        return [_fault("", error)]
    faults = _each(model, given, lambda raw, kind: msgspec.json.decode(raw, type=kind), rules)
    return list(islice(faults, MOST))


def of_query(model: type, given: Mapping[str, object]) -> list[Fault]:
    """Return why a query string's values are no `model`."""
    faults = _each(model, given, msgspec.convert, {})
    return list(islice(faults, MOST))


def _each(
    model: type, given: Mapping[str, Any], read: Callable[[Any, Any], object], rules: Rules
) -> Iterator[Fault]:
    fields = {field.name: field for field in msgspec.structs.fields(model)}
    for name, field in fields.items():
        if name not in given:
            if field.required:
                yield name, _REQUIRED
            continue
        try:
            if wrong := _broken(rules, name, read(given[name], field.type)):
                yield name, wrong
        except msgspec.ValidationError as error:
            yield _fault(name, error)
    yield from ((name, _UNKNOWN) for name in given if name not in fields)


def _broken(rules: Rules, name: str, value: object) -> str:
    return rules[name](value) if name in rules and isinstance(value, str) else ""


def _fault(field: str, error: msgspec.ValidationError) -> Fault:
    message = str(error)
    if path := _PATH.search(message):
        field, message = field + path.group(1), message[: path.start()]
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return field, message
