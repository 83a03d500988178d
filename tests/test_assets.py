"""The page's files, as a browser gets them."""

import gzip
import re
from pathlib import Path

import pytest
from harness import ROOT, Server

from quartchat.assets import Assets

FIRST_PAINT_BYTES = 100_000


def test_a_file_is_found_by_name_and_by_version() -> None:
    assets = Assets(ROOT / "static")
    plain, kept = assets.find("js/chat.js")
    assert plain is not None
    assert not kept
    assert assets.find(assets.address("js/chat.js")) == (plain, True)
    assert assets.find("0123456789ab/js/chat.js") == (plain, False)  # another deploy's page
    for nothing in ("js", "", "js/../js/chat.js", f"{assets.version}/", "js/chat.py"):
        assert assets.find(nothing)[0] is None


def test_a_change_of_one_file_is_another_version(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    before = Assets(tmp_path).version
    assert Assets(tmp_path).version == before
    (tmp_path / "a.js").write_text("2")
    assert Assets(tmp_path).version != before


@pytest.mark.parametrize("path", ["/", "/login"])
def test_a_page_and_all_that_it_names_are_small_on_the_wire_and_kept_for_good(
    server: Server, path: str
) -> None:
    ann = server.user("ann")
    with ann.http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as page:
        raw = b"".join(page.iter_raw())
    html = gzip.decompress(raw).decode()
    total = len(raw)
    addresses = set(re.findall(r'"(/static/[^"]+)"', html))
    assert addresses
    for address in addresses:
        with ann.http.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
            total += len(b"".join(answer.iter_raw()))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert total < FIRST_PAINT_BYTES
    assert page.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/static/js/chat.js", "/login"])
def test_what_has_no_version_is_asked_for_again_and_costs_nothing_then(
    server: Server, path: str
) -> None:
    nobody = server.client()
    for encoding in ("gzip", "identity", "gzip;q=0"):
        asked = {"Accept-Encoding": encoding}
        first = nobody.http.get(path, headers=asked)
        assert first.headers["cache-control"] == "no-cache"
        assert first.headers["vary"] == "Accept-Encoding"
        assert ("content-encoding" in first.headers) == (encoding == "gzip")
        again = nobody.http.get(path, headers=asked | {"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_manifest_names_pictures_that_are_there(server: Server) -> None:
    nobody = server.client()
    answer = nobody.get("/static/manifest.webmanifest")
    assert answer.headers["content-type"] == "application/manifest+json"
    for icon in answer.json()["icons"]:
        found = nobody.get(icon["src"])
        assert found.status_code == 200
        assert found.headers["content-type"].partition(";")[0] == icon["type"]


def test_the_service_worker_may_answer_for_all_pages_and_is_asked_for_again(
    server: Server,
) -> None:
    answer = server.client().get("/static/sw.js")
    assert answer.headers["service-worker-allowed"] == "/"
    assert answer.headers["cache-control"] == "no-cache"
