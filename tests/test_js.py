"""The page's modules without DOM, in Node's own test runner."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import ROOT

OLDEST = (20, 19)  # a Node that takes a `.js` file with imports for a module by itself
TESTS = sorted((ROOT / "tests" / "js").glob("*.test.js"))
LIMIT_S = 60


@pytest.fixture(scope="module")
def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("no Node: `apt-get install nodejs` brings it")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        pytest.skip(f"Node {version.strip()} is too old")
    return path


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name.partition(".")[0])
def test_a_module_without_dom_does_what_its_tests_say(node: str, file: Path) -> None:
    command = [node, "--no-warnings", "--test", "--test-reporter=spec", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
