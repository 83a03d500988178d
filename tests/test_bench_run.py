"""The bench from end to end, small: quartchat alone, and the yardstick of its posts."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from harness import ROOT

from quartchat import server

SCRIPTS = ROOT / "scripts"
FEW = ["--peers", "none", "--rounds", "1", "--readers", "20", "--rates", "40", "--seconds", "0.5"]


def bench(*arguments: str, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_small_run_measures_checks_and_writes_it_down(tmp_path: Path) -> None:
    done = bench("fanout", "posts", *FEW, out=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "fanout.json").read_text())["rows"]
    assert row["server"] == "quartchat"
    assert row["exactly_once"], row
    assert (row["delivered"], row["due"], row["posted"]) == (400, 400, 20)
    assert row["wrong"] == row["errors"] == {}
    assert row["all_us"] >= row["web_us"]
    posts = json.loads((tmp_path / "posts.json").read_text())["rows"]
    assert [row["server"] for row in posts] == ["empty route", "empty, our HTTP", "quartchat"]
    assert all(row["good"] and row["posted"] for row in posts), posts
    page = (tmp_path / "README.md").read_text()
    assert "| 40 | quartchat | 100.00 | yes |" in page
    assert "## posts: " in page


def test_what_is_not_there_is_not_measured(tmp_path: Path) -> None:
    assert "no such scenario" in bench("nothing", out=tmp_path).stderr
    assert "no such peer: nobody" in bench("--peers", "nobody", out=tmp_path).stderr


@pytest.fixture(scope="module")
def empty() -> ModuleType:
    path = SCRIPTS / "benchmarks" / "peer_files" / "empty_app.py"
    spec = importlib.util.spec_from_file_location("empty_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_empty_route_is_served_with_the_servers_settings(empty: ModuleType) -> None:
    ours, plain = vars(server._settings(3)), vars(type(server._settings(3))())
    chosen = {
        name.removeprefix("_"): value for name, value in ours.items() if plain.get(name) != value
    }
    assert {n: v for n, v in chosen.items() if n not in ("bind", "errorlog")} == empty.SETTINGS
    assert server.GC_THRESHOLD == empty.GC_THRESHOLD


async def _statuses(empty: ModuleType) -> list[int]:
    client = empty.app.test_client()
    before = await client.post("/empty", json={"body": "hi"})
    await client.post("/login")
    after = await client.post("/empty", json={"body": "hi"})
    client.set_cookie("localhost", "QUART_AUTH", "forged")
    forged = await client.post("/empty", json={"body": "hi"})
    return [before.status_code, after.status_code, forged.status_code]


def test_the_empty_route_checks_its_cookie(empty: ModuleType) -> None:
    assert asyncio.run(_statuses(empty)) == [401, 201, 401]
