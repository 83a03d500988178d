"""Fixtures: one Valkey and one server for most tests, and a way to start others."""

import asyncio
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import harness
import pytest
from engines import nodes, postgres, tls
from hypothesis import settings
from rolling import until

from quartchat import store
from quartchat.feed import Feed
from quartchat.stream import Streams

Engine = harness.Valkey | nodes.Cluster | nodes.Clusters | nodes.Sentinels
SHARED: dict[str, type[Engine]] = {
    "standalone": harness.Valkey,
    "cluster": nodes.Clusters,
    "sentinel": nodes.Patient,
    "tls": tls.Valkey,
}
OWN = SHARED | {"cluster": nodes.Cluster}
# How long an example takes says more of the machine than of the code.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")
clusters: list[nodes.Clusters] = []  # the one of this run, where it runs on clusters


def pytest_addoption(parser: pytest.Parser) -> None:
    redis = os.environ.get("QUARTCHAT_TEST_ENGINE", "standalone")
    parser.addoption("--redis", choices=sorted(SHARED), default=redis)
    database = os.environ.get("QUARTCHAT_TEST_DATABASE", "sqlite")
    parser.addoption("--database", choices=["sqlite", "postgres"], default=database)


@pytest.fixture(scope="session")
def valkey(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Engine]:
    with SHARED[pytestconfig.getoption("redis")](tmp_path_factory.mktemp("v")) as valkey:
        if isinstance(valkey, nodes.Clusters):
            clusters.append(valkey)
        yield valkey


@pytest.fixture
def own_valkey(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Engine]:
    """For a test that stops, kills or empties it."""
    with OWN[pytestconfig.getoption("redis")](tmp_path / "v") as valkey:
        yield valkey


@pytest.fixture(scope="session", autouse=True)
def _postgres(pytestconfig: pytest.Config) -> Iterator[None]:
    if pytestconfig.getoption("database") == "sqlite":
        yield
        return
    with postgres.Postgres() as harness.postgres:
        yield


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The address of an empty database of the test's own."""
    return harness.new_database(tmp_path / "chat.db")


@pytest.fixture
def with_feed(valkey: Engine, database: str) -> Callable[..., None]:
    """`with_feed(make, scenario)`: call it with what is made of streams and a feed that is heard.

    SQL is open meanwhile.
    """

    async def inside(make: Callable[[Streams, Feed], Any], scenario: Any) -> None:
        await store.migrate(database)
        store.open_database(database)
        streams = Streams(valkey.url(), 1)
        feed = Feed(streams)
        made = make(streams, feed)  # it listens before the feed begins
        feed.start()
        try:
            await until(lambda: feed.fresh)
            await scenario(made, streams)
        finally:
            await feed.stop()
            await streams.close()
            await store.close_database()

    return lambda make, scenario: asyncio.run(inside(make, scenario))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    yield
    for lender in clusters:
        lender.take_back()
    # What a module's fixtures hold is closed with its last test, what a test opened with itself.
    is_last = nextitem is None or nextitem.path != item.path
    for server in harness.Server.everyone:
        server.let_go(for_good=is_last)


@pytest.fixture(scope="session")
def server(
    valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[harness.Server]:
    """Shared: a test leaves it as it was, but for users and rooms of its own."""
    with harness.Server(valkey.url(keep=True), tmp_path_factory.getbasetemp() / "shared") as server:
        yield server


@pytest.fixture
def start_server(
    valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., harness.Server]]:
    """`start_server(REDIS_URL=…, QUARTCHAT_…=…)`: a web process and a worker of the test's own."""
    with ExitStack() as stack:

        def start(**env: Any) -> harness.Server:
            directory = tmp_path_factory.getbasetemp() / f"own-{harness.free_port()}"
            redis_url = env.pop("REDIS_URL", None) or valkey.url()
            return stack.enter_context(harness.Server(redis_url, directory, **env))

        yield start


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive; CI may not do without."""
    path = harness.chromium()
    if path is None and os.environ.get("CI") == "true":
        pytest.fail("CI has no Chromium, and the browser tests need one")
    if path is None:
        pytest.skip("no Chromium: `apt-get install chromium` brings it")
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in harness.Server.everyone:
            report.sections.extend(server.logs())
    return report
