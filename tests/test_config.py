"""Settings: read from the environment alone, and refused by name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import harness
import pytest

from quartchat import redis_url
from quartchat.config import Config, ConfigError, from_environment

WRONG = [
    ("PORT", "http"),
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "8_000"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "http://localhost"),
    ("REDIS_URL", "redis+sentinel://localhost:26379"),
    ("REDIS_URL", "redis+cluster://localhost:6379/3"),
    ("REDIS_URL", "redis+cluster://localhost:port"),
    ("REDIS_URL", "redis+cluster://"),
    ("QUARTCHAT_ACK", "never"),
    ("DATABASE_URL", "mysql://localhost/chat"),
    ("DATABASE_URL", "chat.db"),
    ("WEB_CONCURRENCY", "0"),
    ("WEB_CONCURRENCY", "two"),
    ("QUARTCHAT_BCRYPT_ROUNDS", "3"),
    ("QUARTCHAT_BCRYPT_ROUNDS", "17"),
    ("QUARTCHAT_RATE_LIMITS", "maybe"),
    ("QUARTCHAT_STREAMS_PER_USER", "-1"),
    ("QUARTCHAT_HEARTBEAT_S", "0"),
    ("QUARTCHAT_HEARTBEAT_S", "nan"),
    ("QUARTCHAT_STREAM_LIFETIME_S", "-1"),
    ("QUARTCHAT_STREAM_LIFETIME_S", "inf"),
    ("QUARTCHAT_PARTITIONS", "0"),
    ("QUARTCHAT_ROOM_WINDOW", "0"),
    ("LOG_LEVEL", "loud"),
]


def test_an_empty_environment_gives_the_defaults() -> None:
    config = from_environment({})
    assert config == Config(database_url="sqlite:///var/quartchat.db")


def test_a_port_from_outside_opens_every_address_unless_a_host_is_given() -> None:
    assert from_environment({"PORT": "5000"}).host == "0.0.0.0"  # noqa: S104
    assert from_environment({"PORT": "5000", "HOST": "127.0.0.1"}).host == "127.0.0.1"


def test_a_blank_value_counts_as_not_given() -> None:
    assert from_environment({"PORT": " ", "REDIS_URL": ""}) == from_environment({})


def test_the_database_lies_in_the_data_dir() -> None:
    config = from_environment({"QUARTCHAT_DATA_DIR": "/srv/chat"})
    assert config.database_url == "sqlite:////srv/chat/quartchat.db"
    assert config.data_dir == Path("/srv/chat")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h/2", redis_url.Address("plain", "redis://h/2")),
        (
            "redis+cluster://ann:secret@a,b:7000?socket_keepalive=true",
            redis_url.Address(
                "cluster",
                "redis://ann:secret@a:6379?socket_keepalive=true",
                (("a", 6379), ("b", 7000)),
            ),
        ),
        (
            "rediss+sentinel://[::1],b:1/chat/3?sentinel_password=x&ssl_cert_reqs=none",
            redis_url.Address(
                "sentinel",
                "rediss://[::1]:26379/3?ssl_cert_reqs=none",
                (("::1", 26379), ("b", 1)),
                "chat",
                (("password", "x"),),
            ),
        ),
    ],
)
def test_an_address_of_redis_names_all_that_a_client_needs(
    url: str, address: redis_url.Address
) -> None:
    assert redis_url.parse(url) == address


def test_a_certificate_is_believed_unseen_only_on_heroku_or_where_it_is_said() -> None:
    for env, url in [
        ({"REDIS_URL": "rediss://h"}, "rediss://h"),
        ({"REDIS_URL": "rediss://h", "DYNO": "web.1"}, "rediss://h?ssl_cert_reqs=none"),
        (
            {"REDIS_URL": "rediss://h?ssl_cert_reqs=required", "DYNO": "web.1"},
            "rediss://h?ssl_cert_reqs=required",
        ),
        ({"REDIS_URL": "redis://h", "DYNO": "web.1"}, "redis://h"),
    ]:
        assert from_environment(env).redis_url == url


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must ") as refusal:
        from_environment({name: value})
    assert "\n" not in str(refusal.value)


def test_the_error_does_not_show_a_password() -> None:
    with pytest.raises(ConfigError) as refusal:
        from_environment({"DATABASE_URL": "mysql://chat:hunter2@localhost/chat"})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("command", ["up", "web", "worker", "migrate"])
def test_every_command_stops_at_a_wrong_value_with_one_line_and_exit_code_2(
    command: str, tmp_path: Path
) -> None:
    env = {"QUARTCHAT_BCRYPT_ROUNDS": "99", "QUARTCHAT_DATA_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "quartchat", command],
        env=harness.environment(env),
        cwd=harness.ROOT,
        capture_output=True,
        text=True,
        timeout=harness.WAIT_S,
        check=False,
    )
    assert ended.returncode == 2
    assert re.fullmatch(r"quartchat: QUARTCHAT_BCRYPT_ROUNDS must .*\n", ended.stderr)
    assert ended.stdout == ""
    assert os.listdir(tmp_path) == []  # noqa: PTH208  (nothing was begun)
