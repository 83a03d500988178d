"""The page's modules and style sheets joined: a browser asks for three files instead of sixty.

The sources are small ES modules and sheets that run as they are too. Nothing is built; only
what names another file is rewritten. A module becomes a function that returns what the module
exports, below those of the modules that it imports:

    const $ids = (() => { …; return { uuidv7 }; })();

Known is the syntax that our own files use. Whatever else looks like an import or an export is
an error when the process starts, and so is a circle.
"""

import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import (?:\* as (\w+)|(\{.*\})) from "\./([\w-]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async function|function|class|const) (\w+))\b", re.MULTILINE)
_UNKNOWN = re.compile(r"^(?:import|export|await)\b.*", re.MULTILINE)
_SHEET = re.compile(r'^@import "([\w-]+)\.css";\n', re.MULTILINE)


def script(modules: Mapping[str, str], entry: str, above: str | None = None) -> str:
    """Return a module, and all that it imports, as one module that exports what it does.

    `modules` are sources by name, without `.js`. What the joined module `above` has already
    is imported from there. Raises ValueError where a source has what is not known here.
    """
    there = [] if above is None else _in_order(modules, above)
    here = [name for name in _in_order(modules, entry) if name not in there]
    needed = {other for name in here for other in _needs(modules[name])}
    parts = [_function(name, modules[name]) for name in here]
    if shared := _variables([name for name in there if name in needed]):
        parts.insert(0, f'import {{ {shared} }} from "./{above}.js";\n\n')
    parts.append(f"export {{ {_variables(here)} }};\n")
    if exports := _exports(modules[entry]):
        parts.append(f"export const {{ {', '.join(exports)} }} = {_variables([entry])};\n")
    return "".join(parts)


def sheet(sheets: Mapping[str, str], entry: str) -> str:
    """Return a style sheet with those in it that it imports, which come first."""
    return _SHEET.sub(lambda found: sheet(sheets, found[1]), sheets[entry])


def _in_order(modules: Mapping[str, str], entry: str) -> list[str]:
    """Return the modules that an entry needs and itself, each after those that it needs."""
    order: list[str] = []
    begun: set[str] = set()

    def visit(name: str) -> None:
        if name in order:
            return
        if name in begun:
            raise ValueError(f"{name}.js imports itself, by way of others")
        begun.add(name)
        for other in _needs(modules[name]):
            visit(other)
        order.append(name)

    visit(entry)
    return order


def _needs(source: str) -> list[str]:
    return [found[3] for found in _IMPORT.finditer(source)]


def _exports(source: str) -> list[str]:
    return [found[2] for found in _EXPORT.finditer(source)]


def _function(name: str, source: str) -> str:
    body = _EXPORT.sub(r"\1", _IMPORT.sub(_constants, source))
    if unknown := _UNKNOWN.search(body):
        raise ValueError(f"{name}.js cannot be joined to others: {unknown[0]}")
    given = f"return {{ {', '.join(_exports(source))} }};"
    return f"// {name}.js\nconst {_variables([name])} = (() => {{\n{body}{given}\n}})();\n\n"


def _constants(found: re.Match[str]) -> str:
    everything, names, name = found.groups()
    return f"const {everything or names.replace(' as ', ': ')} = {_variables([name])};"


def _variables(names: list[str]) -> str:
    return ", ".join(f"${name.replace('-', '_')}" for name in names)
