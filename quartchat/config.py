"""The settings: read once from the environment, frozen, passed down.

A wrong value raises `ConfigError` with one line that names the variable.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote, urlsplit

from quartchat import redis_url

DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql")
LOG_LEVELS = ("debug", "info", "warning", "error")


class ConfigError(ValueError):
    """A setting that cannot be used; the message names its variable."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings; the defaults are those of the README's table."""

    host: str = "127.0.0.1"
    port: int = 8000
    redis_url: str = ""  # empty: none given
    database_url: str = ""  # never empty once read by `from_environment`
    database_given: bool = False  # by DATABASE_URL; otherwise it lies in the data dir
    secret_key: str = ""  # empty: none given
    data_dir: Path = Path("var")
    web_concurrency: int = 1  # processes that share the socket; each knows how many they are
    bcrypt_rounds: int = 12  # 2**rounds iterations
    rate_limits: bool = True
    streams_per_user: int = 20  # 0: no limit
    heartbeat_s: float = 15.0
    stream_lifetime_s: float = 600.0  # 0: never ends by itself
    partitions: int = 1
    ack: str = "redis"  # who holds a send before it is acknowledged: redis, replicated, archived
    room_window: int = 1000  # events kept in a room's Redis Stream once archived
    forwarded_allow_ips: tuple[str, ...] = ()
    log_level: str = "info"


def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
    """Read every variable; an empty one counts as not given. Raises `ConfigError`."""
    env = {name: value.strip() for name, value in environ.items() if value.strip()}
    data_dir = Path(env.get("QUARTCHAT_DATA_DIR", "var"))
    return Config(
        # A platform that sets PORT expects the process to listen on every address.
        host=env.get("HOST", "0.0.0.0" if "PORT" in env else "127.0.0.1"),  # noqa: S104
        port=_integer(env, "PORT", 8000, 0, 65535),
        redis_url=_redis_address(env),
        database_url=_url(
            env,
            "DATABASE_URL",
            f"sqlite:///{quote(str(data_dir / 'quartchat.db'))}",
            DATABASE_SCHEMES,
        ),
        database_given="DATABASE_URL" in env,
        secret_key=env.get("SECRET_KEY", ""),
        data_dir=data_dir,
        web_concurrency=_integer(env, "WEB_CONCURRENCY", 1, 1, 256),
        bcrypt_rounds=_integer(env, "QUARTCHAT_BCRYPT_ROUNDS", 12, 4, 16),
        rate_limits=_choice(env, "QUARTCHAT_RATE_LIMITS", "on", ("on", "off")) == "on",
        streams_per_user=_integer(env, "QUARTCHAT_STREAMS_PER_USER", 20, 0, 1_000_000),
        heartbeat_s=_number(env, "QUARTCHAT_HEARTBEAT_S", 15, 0.1, 3600),
        stream_lifetime_s=_number(env, "QUARTCHAT_STREAM_LIFETIME_S", 600, 0, 86400),
        partitions=_integer(env, "QUARTCHAT_PARTITIONS", 1, 1, 1024),
        ack=_choice(env, "QUARTCHAT_ACK", "redis", ("redis", "replicated", "archived")),
        room_window=_integer(env, "QUARTCHAT_ROOM_WINDOW", 1000, 1, 1_000_000),
        forwarded_allow_ips=_networks(env, "FORWARDED_ALLOW_IPS"),
        log_level=_choice({k: v.lower() for k, v in env.items()}, "LOG_LEVEL", "info", LOG_LEVELS),
    )


def _redis_address(env: Mapping[str, str]) -> str:
    url = _url(env, "REDIS_URL", "", redis_url.SCHEMES)
    # Heroku (which sets DYNO) gives its Redis a certificate that nobody signed.
    if url.startswith("rediss") and "DYNO" in env and "ssl_cert_reqs=" not in url:
        url += f"{'&' if '?' in url else '?'}ssl_cert_reqs=none"
    try:
        redis_url.parse(url)
    except ValueError as error:
        raise ConfigError(f"REDIS_URL must be an address of Redis: {error}") from None
    return url


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    raw = env.get(name)
    if raw is None:
        return default
    # int() also reads "1_000" and other scripts' digits, which nobody means in a setting.
    if not (raw.isascii() and raw.lstrip("-").isdigit()) or not low <= int(raw) <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, not {raw!r}")
    return int(raw)


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    raw = env.get(name)
    if raw is None:
        return default
    try:
        value = float(raw)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:  # also refuses nan
        raise ConfigError(f"{name} must be a number from {low} to {high}, not {raw!r}")
    return value


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name, default)
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _networks(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    networks = tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
    for network in networks:
        try:
            _ = network == "*" or ip_network(network, strict=False)
        except ValueError:
            raise ConfigError(
                f"{name} must be addresses or networks, or *, and {network!r} is none"
            ) from None
    return networks


def _url(env: Mapping[str, str], name: str, default: str, schemes: tuple[str, ...]) -> str:
    value = env.get(name, default)
    # The value itself may hold a password, so the error shows the scheme alone.
    if value and ("://" not in value or urlsplit(value).scheme not in schemes):
        raise ConfigError(f"{name} must begin with one of {', '.join(f'{s}://' for s in schemes)}")
    return value
