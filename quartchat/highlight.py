"""Code in colours: the spans of a fence's tokens, for the languages that people paste.

Pygments' lexers are regular expressions that may go back and forth over hostile text, so
there is a short list, each tried on 4,000 such characters, and a bound on the time: code
that takes longer stays plain. So does code with a run of blanks or letters that nobody
types: C takes 1.4 s for 4,000 blanks, and a shell's here-document half of that.
"""

import html
import re
from functools import cache
from time import thread_time
from typing import Any

from pygments import lexers
from pygments.token import Token

LONG_RUN = re.compile(r"\s{101}|\w{201}")
SPENT_S = 0.03  # of a fence; a page of honest code takes 3 to 8 ms

# By what people write after the backticks.
LANGUAGES = {
    "Bash": ("bash", "sh", "shell", "zsh"),
    "C": ("c", "h"),
    "CSharp": ("csharp", "cs", "c#"),
    "Cpp": ("cpp", "c++", "cc", "hpp"),
    "Css": ("css",),
    "Diff": ("diff", "patch"),
    "Docker": ("dockerfile", "docker"),
    "Go": ("go", "golang"),
    "Html": ("html", "htm"),
    "Java": ("java",),
    "Javascript": ("javascript", "js", "jsx", "mjs"),
    "Json": ("json",),
    "Kotlin": ("kotlin", "kt"),
    "Lua": ("lua",),
    "Php": ("php",),
    "Python": ("python", "py", "python3"),
    "PythonTraceback": ("traceback", "pytb"),
    "Ruby": ("ruby", "rb"),
    "Rust": ("rust", "rs"),
    "Sql": ("sql",),
    "Swift": ("swift",),
    "TOML": ("toml",),
    "TypeScript": ("typescript", "ts", "tsx"),
    "Xml": ("xml", "svg"),
    "Yaml": ("yaml", "yml"),
}
# Of these, the rules that look for a function's head try every word after every word: 2 s for
# some of 4,000 characters. C and C++ begin where they have none, Java and C# do without.
_BEGINS = {"CLexer": ("statement",), "CppLexer": ("statement",)}
_WORDS_ON = r"\s+)+"
_LEXERS = {alias: f"{name}Lexer" for name, aliases in LANGUAGES.items() for alias in aliases}

# The kinds that static/css/code.css gives colours; all others are as the text around them.
CLASSES: dict[Any, str] = {
    Token: "",
    Token.Comment: "c",
    Token.Comment.Preproc: "k",
    Token.Generic.Deleted: "x",
    Token.Generic.Error: "x",
    Token.Generic.Heading: "f",
    Token.Generic.Inserted: "i",
    Token.Generic.Subheading: "f",
    Token.Keyword: "k",
    Token.Literal.Number: "m",
    Token.Literal.String: "s",
    Token.Name.Attribute: "a",
    Token.Name.Builtin: "b",
    Token.Name.Class: "f",
    Token.Name.Decorator: "a",
    Token.Name.Exception: "f",
    Token.Name.Function: "f",
    Token.Name.Tag: "k",
    Token.Operator.Word: "k",
}


def spans(code: str, language: str, _attributes: str = "") -> str:
    """Return code as HTML; "" if it is better shown as it is, in a language or plain."""
    name = _LEXERS.get(language.lower())
    if name is None or LONG_RUN.search(code):
        return ""
    pieces: list[tuple[str, str]] = []
    ends = thread_time() + SPENT_S
    for _, token, text in _lexer(name).get_tokens_unprocessed(code, *_begin(name)):
        kind = _class(token)
        before = pieces.pop()[1] if pieces and pieces[-1][0] == kind else ""
        pieces.append((kind, before + text))
        if thread_time() > ends:
            return ""
    return "".join(_span(kind, html.escape(text, quote=False)) for kind, text in pieces)


def _span(kind: str, text: str) -> str:
    return f'<span class="{kind}">{text}</span>' if kind else text


def _begin(name: str) -> tuple[tuple[str, ...], ...]:
    return (_BEGINS[name],) if name in _BEGINS else ()


@cache
def _lexer(name: str) -> Any:
    # Loaded when first asked for: all of them take half a second and 20 MB.
    kind = getattr(lexers, name)
    if name in ("CSharpLexer", "JavaLexer"):
        kind = type(name, (kind,), {"tokens": _tame(kind.tokens)})
    return kind()


def _tame(rules: Any) -> Any:
    """Return a lexer's rules, by state and perhaps by variant, without those with no bound."""
    if isinstance(rules, dict):
        return {name: _tame(inner) for name, inner in rules.items()}
    if isinstance(rules, list):
        return [rule for rule in rules if not _has_no_bound(rule)]
    return rules


def _has_no_bound(rule: Any) -> bool:
    pattern = rule[0] if isinstance(rule, tuple) else ""
    return isinstance(pattern, str) and _WORDS_ON in pattern


@cache
def _class(token: Any) -> str:
    while token not in CLASSES:
        token = token.parent
    return CLASSES[token]
