"""The forms of REDIS_URL, read into what a client needs to know. Pure.

    redis://[user:password@]host[:port][/db]            rediss:// with TLS
    unix:///path[?db=0]
    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db]
    redis+cluster://[user:password@]host[:port][,host[:port]…]

`rediss+sentinel://` and `rediss+cluster://` are the same with TLS. What follows `?` is
redis-py's, such as `ssl_ca_certs=/path`, and `ssl_cert_reqs=none`: encrypt, and believe any
certificate. `sentinel_username` and `sentinel_password` are for the Sentinels themselves.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
PORT = {"cluster": 6379, "sentinel": 26379}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is. `url` is redis-py's, of the first node of several, with all options."""

    kind: str  # plain, sentinel, cluster
    url: str
    nodes: tuple[tuple[str, int], ...] = ()  # of a cluster, or the Sentinels
    service: str = ""  # what the Sentinels call the master
    sentinel: tuple[tuple[str, str], ...] = ()  # username and password for them


def parse(url: str) -> Address:
    """Read an address. Raises `ValueError` with what is wrong with it."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if not kind:
        return Address("plain", url)
    login, at, hosts = parts.netloc.rpartition("@")
    nodes = tuple(_node(host, PORT[kind]) for host in hosts.split(","))
    path = parts.path.strip("/")
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise ValueError("name the service: redis+sentinel://host:26379/<service>")
    elif path not in ("", "0"):
        raise ValueError("name no database: a cluster has only one")
    options = parse_qsl(parts.query)
    theirs = tuple(
        (name.removeprefix("sentinel_"), value)
        for name, value in options
        if name in ("sentinel_username", "sentinel_password")
    )
    query = urlencode([option for option in options if not option[0].startswith("sentinel_")])
    host, port = nodes[0]
    netloc = f"{login}{at}{f'[{host}]' if ':' in host else host}:{port}"
    plain = urlunsplit((scheme, netloc, f"/{path}" if path else "", query, ""))
    return Address(kind, plain, nodes, service, theirs)


def _node(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("name at least one host")
    return parts.hostname, port if parts.port is None else parts.port
