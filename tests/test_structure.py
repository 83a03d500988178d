"""The house: floors, and doors that are shut unless they are on the list."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, Server

from quartchat.app import create_app
from quartchat.config import Config
from quartchat.routes import access

PACKAGE = ROOT / "quartchat"

# A module imports from the lines above its own, and from nothing on its own line or below.
FLOORS = """
    redis_url highlight linking
    config errors events sse markup words cache loader metrics stepping log process http_heads
    devices
    outlet emoji signals assets problems
    tcp
    fold exchange
    http1 tasks sends redis_client records live
    cluster
    replicas
    engines group
    store.models
    store
    store.chores
    store.accounts
    store.people store.roles store.withdrawals
    store.rooms store.seats store.changes store.documents
    store.mentions store.search
    store.members store.invitations store.settings store.clearing
    store.events
    stream recent
    history feed acks indexing
    chores seats memberships mentions unread posts
    clearing
    pages heads readers auth cookies chat archive presence
    people members invitations settings edits awareness search
    room_reader feed_reader
    attendance beats flush losses
    recheck
    herald
    hub
    routes.faults routes.parameters
    routes.http
    routes.access routes.static
    routes.error_handlers
    routes.messages
    routes.accounts routes.rooms routes.events routes.awareness routes.ops
    routes.pages routes.people routes.members routes.invitations routes.settings routes.search
    stream_events
    openapi connection
    app
    listener supervisor embedded
    server
    up
    __main__
"""
# Any module may name these: a version, and a package without code.
GROUND = {"", "routes"}
MAY_IMPORT_QUART = {"cookies", "openapi", "connection", "app"}
MAY_IMPORT_HYPERCORN = {"exchange", "http1", "connection", "app", "tcp", "server"}


def modules() -> dict[str, Path]:
    """Every module of the package, by its name within it; migrations are loaded by path."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "migrations" not in parts:
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()
FLOOR = {
    name: number for number, line in enumerate(FLOORS.strip().splitlines()) for name in line.split()
}


def imports(name: str) -> Iterator[str]:
    """What a module imports, wherever in it; our own modules by their name within the package."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            source = node.module or ""
            if source != "quartchat" and not source.startswith("quartchat."):
                yield source
                continue
            inner = source.removeprefix("quartchat").removeprefix(".")
            for alias in node.names:
                whole = f"{inner}.{alias.name}".removeprefix(".")
                yield f"quartchat.{whole if whole in MODULES else inner}"


def own_imports(name: str) -> set[str]:
    found = {each for each in imports(name) if each.partition(".")[0] == "quartchat"}
    return {each.removeprefix("quartchat").removeprefix(".") for each in found} - GROUND


def test_every_module_stands_on_a_floor_and_every_floor_is_there() -> None:
    assert set(MODULES) - GROUND == set(FLOOR)


def test_the_guide_names_every_module() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`(\w+)`", guide[guide.index("| floor |") : guide.index("## Rules")]))
    assert {name for name in FLOOR if "." not in name} - named <= {"store"}


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_a_module_imports_from_lower_floors_alone(name: str) -> None:
    wrong = {other for other in own_imports(name) if FLOOR[other] >= FLOOR[name]}
    assert wrong == set()


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_only_the_upper_floors_know_the_web_framework(name: str) -> None:
    roots = {each.partition(".")[0] for each in imports(name)}
    may = name in MAY_IMPORT_QUART or name.startswith("routes.")
    assert may or not roots & {"quart", "quart_auth", "quart_schema", "werkzeug"}
    assert "hypercorn" not in roots or name in MAY_IMPORT_HYPERCORN


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_redis_and_sql_have_one_door_each(name: str) -> None:
    roots = {each.partition(".")[0] for each in imports(name)}
    assert "redis" not in roots or name in {"stream", "group", "redis_client", "cluster", "engines"}
    assert not roots & {"peewee", "playhouse"} or name.partition(".")[0] == "store"


# -- doors


def routes() -> Iterator[tuple[str, str, str]]:
    """(endpoint, method, path) of everything that the app serves."""
    app = create_app(Config(redis_url="redis://nowhere", secret_key="secret"))
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<path:filename>", "favicon.svg")
        path = re.sub(r"<(number|token):\w+>", "1", path)
        for argument in rule.arguments:
            path = path.replace(f"<{argument}>", "👍")
        for method in sorted(rule.methods or ()):
            yield rule.endpoint, method, path


def test_every_route_needs_a_session_or_is_on_the_list(server: Server) -> None:
    nobody = server.client()
    shut = set()
    for endpoint, method, path in routes():
        if endpoint in access.PUBLIC:
            continue
        shut.add(endpoint)
        assert "<" not in path
        answer = nobody.http.request(method, path)
        assert answer.status_code == 401, (method, path)
        if method != "HEAD":
            assert answer.json()["code"] == "unauthenticated"
    assert len(shut) > 10


def test_the_list_names_nothing_that_is_not_there() -> None:
    assert {endpoint for endpoint, _, _ in routes()} >= access.PUBLIC


def test_the_list_is_this_short() -> None:
    """Think before you make it longer."""
    assert {endpoint for endpoint in access.PUBLIC if endpoint.partition(".")[0] != "ops"} == {
        "accounts.login",
        "accounts.register",
        "openapi",
        "pages.chat",
        "pages.join",
        "pages.login",
        "pages.register",
        "static",
    }


def test_every_route_of_the_api_is_in_the_document(server: Server) -> None:
    document = server.client().get("/openapi.json").json()
    described = {
        (method, re.sub("{[a-z]+}", "1", path.replace("{emoji}", "👍")))
        for path, operations in document["paths"].items()
        for method in operations
    }
    served = {
        (method.lower(), path)
        for _, method, path in routes()
        if path.startswith("/api/") and method not in {"HEAD", "OPTIONS"}
    }
    assert served
    assert served <= described
