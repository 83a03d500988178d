"""Modules and style sheets that are joined say what they said apart."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import ROOT

from quartchat import linking
from quartchat.assets import ENTRIES, Assets

MODULES = {
    "low": "export const twice = (n) => 2 * n;\nexport function one() {\n  return 1;\n}\n",
    "state-of": (
        'import { twice as double, one } from "./low.js";\n\n'
        "let count = double(one());\n\n"
        "export class Count {\n  next() {\n    return (count += 1);\n  }\n}\n"
        "export async function later() {\n  return count;\n}\n"
    ),
    "first": (
        'import * as low from "./low.js";\nimport { Count, later } from "./state-of.js";\n\n'
        "const count = 7; // its own\n"
        'export const said = [low.twice(count), new Count().next(), typeof later, "import me"];\n'
    ),
    "second": (
        'import { one } from "./low.js";\nimport { Count } from "./state-of.js";\n\n'
        "export const said = [one(), new Count().next()];\n"
    ),
}
SAY = """
import { said } from "./first.js";
import { said as more } from "./second.js";
console.log(JSON.stringify([said, more]));
"""


@pytest.mark.parametrize("joined", [False, True], ids=["apart", "joined"])
def test_joined_modules_share_what_they_shared_apart(tmp_path: Path, *, joined: bool) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node: `apt-get install nodejs` brings it")
    sources = MODULES
    if joined:
        first = linking.script(MODULES, "first")
        sources = {"first": first, "second": linking.script(MODULES, "second", "first")}
    for name, source in sources.items():
        (tmp_path / f"{name}.js").write_text(source)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "say.js").write_text(SAY)
    done = subprocess.run(
        [node, "say.js"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ('[[14,3,"function","import me"],[1,4]]\n', "")


def test_a_later_module_has_only_what_the_first_has_not() -> None:
    later = linking.script(MODULES, "second", "first")
    assert "twice" not in later
    assert later.startswith('import { $low, $state_of } from "./first.js";\n')


@pytest.mark.parametrize(
    "source",
    [
        "export let changes = 1;\n",
        "export default 1;\n",
        "export { one };\n",
        "export const { a } = {};\n",
        'import one from "./low.js";\n',
        'import "./low.js";\n',
        'import {\n  one,\n} from "./low.js";\n',
        'import { readFile } from "node:fs";\n',
        "await 1;\n",
    ],
)
def test_what_is_not_known_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match=r"^odd\.js cannot be joined to others: "):
        linking.script(MODULES | {"odd": source}, "odd")


def test_a_circle_is_an_error() -> None:
    circle = {
        "a": 'import { b } from "./b.js";\nexport const a = 1;\n',
        "b": 'import { a } from "./a.js";\nexport const b = 1;\n',
    }
    with pytest.raises(ValueError, match="imports itself"):
        linking.script(circle, "a")


def test_a_sheet_has_those_that_it_imports_in_it_and_they_come_first() -> None:
    sheets = {
        "page": '/* All. */\n\n@import "a.css";\n@import "b.css";\n.page {}\n',
        "a": ".a {}\n",
        "b": '@import "c.css";\n.b {}\n',
        "c": ".c {}\n",
    }
    assert re.findall(r"\.\w", linking.sheet(sheets, "page")) == [".a", ".c", ".b", ".p"]


def test_each_module_of_the_page_is_loaded_once() -> None:
    assets = Assets(ROOT / "static")
    found = {}
    for entry in ENTRIES:
        asset, _ = assets.find(f"js/{entry}.js")
        assert asset is not None
        found[entry] = re.findall(r"^// ([\w-]+)\.js$", asset.plain.decode(), re.MULTILINE)
    page = found["chat"] + found["frame"]
    assert len(page) == len(set(page))
    everything = {path.stem for path in (ROOT / "static/js").glob("*.js")}
    assert everything - set(page) == {"account", "docs", "offline"}
    assert found["account"] == ["api", "forms", "account"]
