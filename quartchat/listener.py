"""The listening socket, opened by whoever lives longest: `web`, its parent, or `up`."""

import errno
import socket
import time

from quartchat.config import Config, ConfigError
from quartchat.process import StartError

BACKLOG = 2048  # connections that wait to be accepted
BIND_S = 6.0  # an earlier process that was killed may still be letting go of the port
UNREAD_MS = 30_000  # TCP_USER_TIMEOUT: a reader that takes no byte for so long is gone
PROBES = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # s


def listen(config: Config) -> socket.socket:
    """Open the socket; on Linux its options hold for every accepted connection."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise ConfigError(f"HOST must be an address of this machine, not {config.host!r}") from None
    listener = socket.socket(family, kind, protocol)
    _set_options(listener)
    try:
        _bind(listener, address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        where = url(config.host, config.port)
        raise StartError(f"cannot listen on {where}: {error.strerror}; see HOST, PORT") from None
    listener.setblocking(False)
    return listener


def url(host: str, port: int) -> str:
    """Return the address as a person would type it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _set_options(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = PROBES | {"TCP_NODELAY": 1, "TCP_USER_TIMEOUT": UNREAD_MS}
    for name, value in options.items():
        if hasattr(socket, name):  # each platform has some of them
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _bind(listener: socket.socket, address: tuple[object, ...]) -> None:
    deadline = time.monotonic() + BIND_S
    while True:
        try:
            listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
