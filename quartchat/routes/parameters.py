"""A query string's values: all are texts, and which are numbers their fields say."""

import re
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import inspect

_NUMBER = re.compile(r"-?[0-9]{1,100}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Parameters:
    """Those of one query."""

    def __init__(self, model: type[msgspec.Struct]) -> None:
        self._kinds = {field.name: _kind(field.type) for field in msgspec.structs.fields(model)}

    def read(self, given: Mapping[str, Sequence[str]]) -> dict[str, object]:
        """Return the values; what is not of its field's kind stays a text."""
        return {name: self._value(name, values[0]) for name, values in given.items()}

    def _value(self, name: str, text: str) -> object:
        kind = self._kinds.get(name)
        if kind is inspect.IntType and _NUMBER.fullmatch(text):
            return int(text)
        if kind is inspect.BoolType:
            return _BOOLEANS.get(text.lower(), text)
        return text


def repeated(given: Mapping[str, Sequence[str]]) -> list[str]:
    """Return which were given more than once."""
    return [name for name, values in given.items() if len(values) > 1]


def _kind(annotation: object) -> type[inspect.Type]:
    found = inspect.type_info(annotation)
    while isinstance(found, inspect.Metadata):
        found = found.type
    if isinstance(found, inspect.UnionType):  # with None
        found = found.types[0]
    return type(found)
