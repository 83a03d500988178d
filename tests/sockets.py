"""Sockets as the kernel sees them, for what a process does not say of its own."""

import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

TABLE = Path("/proc/net/tcp")  # proc(5); of IPv4
ESTABLISHED = 0x01


@dataclass(frozen=True)
class Row:
    """One end of a connection."""

    port: int
    peer: int  # the other end's port
    state: int
    timer: int  # 0 none, 1 retransmission, 2 keepalive, 4 window probe
    inode: int  # 0: no process has it any more


def table() -> list[Row]:
    """Every end of this machine."""
    if not TABLE.exists():
        pytest.skip("no /proc/net/tcp here")
    rows = [line.split() for line in TABLE.read_text().splitlines()[1:]]
    return [
        Row(_port(row[1]), _port(row[2]), int(row[3], 16), int(row[5][:2], 16), int(row[9]))
        for row in rows
    ]


def accepted(port: int) -> list[Row]:
    """The open connections that a server has taken on a port."""
    return [row for row in table() if row.port == port and row.state == ESTABLISHED and row.inode]


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(file.readlink()))
    return found


def readable(*connections: socket.socket) -> list[int]:
    """Which descriptors have something to read, an end too. Any number, as high as they may be."""
    poll = select.poll()  # select(2) ends at descriptor 1023
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(0)]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
