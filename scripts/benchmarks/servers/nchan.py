"""nginx with nchan, from Debian's packages.

They are unpacked beside the benchmark and not installed, but for the directory /var/lib/nginx,
which nchan wants to be there whatever the configuration says.

One worker process, as quartchat has one; publisher and EventSource subscriber as in nchan's
README, messages kept in memory. Workers share channels over pipes, so one is its cheapest.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks import procs, servers
from benchmarks.servers.peer import FILES, Peer

PACKAGES = ("nginx", "libnginx-mod-nchan")
TEMPORARY = Path("/var/lib/nginx")


class Nchan(Peer):
    """nginx and its nchan module."""

    name: ClassVar[str] = "nchan"
    ready: ClassVar[str] = ": hi"
    uses_valkey: ClassVar[bool] = False

    def __init__(self, directory: Path, home: Path) -> None:
        super().__init__(directory)
        self._home = home
        text = (FILES / "nginx.conf").read_text()
        values = {"module": _module(home), "directory": directory, "port": self.port}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        self._config = directory / "nginx.conf"
        self._config.write_text(text)

    def command(self) -> Sequence[str | Path]:
        """Return nginx in the foreground."""
        return [_nginx(self._home), "-p", self.directory, "-c", self._config, "-e", "stderr"]

    def versions(self) -> str:
        """Return Debian's versions."""
        found = [path.name.split("_")[:2] for path in sorted(self._home.glob("*.deb"))]
        return ", ".join(f"{name} {re.sub('^1%3a|^1:', '', number)}" for name, number in found)

    def heads(self, writers: int) -> list[str]:
        """Return the heads of the writers' requests."""
        return [servers.post_head()] * writers


def prepare(cache: Path) -> Path:
    """Fetch and unpack the packages; return where they are. Raises StartError."""
    home = cache / "nchan"
    if not (home / "ready").exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise procs.StartError("needs Debian's apt-get and dpkg-deb")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        try:
            procs.run(["apt-get", "download", *PACKAGES], cwd=home)
        except procs.StartError:
            if os.getuid() != 0:
                raise
            procs.run(["apt-get", "update"])
            procs.run(["apt-get", "download", *PACKAGES], cwd=home)
        for package in home.glob("*.deb"):
            procs.run(["dpkg-deb", "--extract", package, home / "root"])
    for binary in (_nginx(home), _module(home)):
        missing = re.findall(r"\S+ => not found", procs.run(["ldd", binary]))
        if missing:
            raise procs.StartError(f"the system lacks {', '.join(missing)}")
    try:
        TEMPORARY.mkdir(exist_ok=True)
    except OSError as error:
        raise procs.StartError(f"cannot make {TEMPORARY}: {error.strerror}") from None
    (home / "ready").touch()
    return home


def _nginx(home: Path) -> Path:
    return home / "root" / "usr" / "sbin" / "nginx"


def _module(home: Path) -> Path:
    return home / "root" / "usr" / "lib" / "nginx" / "modules" / "ngx_nchan_module.so"
