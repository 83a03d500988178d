"""The page's files: read once, compressed once, under addresses that name what they hold.

All files together have a version, which is a part of their addresses (relative imports keep
it): a browser keeps them for good, and asks for none of them again until they change.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
PACKED = {
    ".css",
    ".html",
    ".js",
    ".json",
    ".svg",
    ".webmanifest",
}  # the others are compressed by nature
VERSION_CHARS = 12
_VERSION = re.compile(f"[0-9a-f]{{{VERSION_CHARS}}}")
_IMPORTS = re.compile(r'(?:\bfrom|^import)\s+"\./([\w-]+\.js)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: as it is, and as gzip where that is less."""

    content_type: str
    plain: bytes
    packed: bytes | None
    digest: str


class Assets:
    """The files of one directory, as they were when the process started."""

    def __init__(self, directory: Path) -> None:
        files = sorted(path for path in directory.rglob("*") if path.suffix in TYPES)
        self._assets = {path.relative_to(directory).as_posix(): _read(path) for path in files}
        everything = "".join(f"{name} {a.digest}\n" for name, a in self._assets.items())
        self.version = _digest(everything.encode())
        self._modules: dict[str, list[str]] = {}  # by entry

    def find(self, path: str) -> tuple[Asset | None, bool]:
        """Look a path up; whether its address holds this content for ever.

        Behind another deploy's version stands our file, which is not to be kept.
        """
        version, _, name = path.partition("/")
        if not _VERSION.fullmatch(version):
            version, name = "", path
        return self._assets.get(name), version == self.version

    def address(self, name: str) -> str:
        """Return a file's name with the version, for its address."""
        return f"{self.version}/{name}" if name in self._assets else name

    def modules(self, entry: str) -> list[str]:
        """Return every module that a module needs, so that none waits for another to be read."""
        if entry in self._modules:
            return self._modules[entry]
        directory = entry.rpartition("/")[0]
        found = [entry]
        for name in found:
            source = self._assets[name].plain.decode()
            needed = [f"{directory}/{other}" for other in _IMPORTS.findall(source)]
            found += [each for each in dict.fromkeys(needed) if each not in found]
        self._modules[entry] = found
        return found


def made(suffix: str, plain: bytes) -> Asset:
    """Return what a file with this suffix and content is sent as."""
    packed = gzip.compress(plain, mtime=0) if suffix in PACKED else plain
    return Asset(TYPES[suffix], plain, packed if len(packed) < len(plain) else None, _digest(plain))


def _read(path: Path) -> Asset:
    return made(path.suffix, path.read_bytes())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:VERSION_CHARS]
