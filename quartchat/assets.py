"""The page's files: read once, compressed once, under addresses that name what they hold.

All files together have a version, which is a part of their addresses (relative imports keep
it): a browser keeps them for good, and asks for none of them again until they change.
What a page begins with has in it all that it imports (`linking`).
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from quartchat import linking

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
# The modules that a page begins with, or loads later: what it has loaded by then.
ENTRIES = {"chat": None, "frame": "chat", "account": None}


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
        files = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.suffix in TYPES
        }
        files |= _joined(files)
        self._assets = {name: made(Path(name).suffix, data) for name, data in files.items()}
        everything = "".join(f"{name} {a.digest}\n" for name, a in self._assets.items())
        self.version = _digest(everything.encode())

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


def made(suffix: str, plain: bytes) -> Asset:
    """Return what a file with this suffix and content is sent as."""
    packed = gzip.compress(plain, mtime=0) if suffix in PACKED else plain
    return Asset(TYPES[suffix], plain, packed if len(packed) < len(plain) else None, _digest(plain))


def _joined(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the entries and the style sheets with all that they import."""
    modules = _sources(files, "js", ".js")
    sheets = _sources(files, "css", ".css")
    joined = {
        f"js/{entry}.js": linking.script(modules, entry, above)
        for entry, above in ENTRIES.items()
        if entry in modules
    }
    joined |= {f"css/{name}.css": linking.sheet(sheets, name) for name in sheets}
    return {name: source.encode() for name, source in joined.items()}


def _sources(files: Mapping[str, bytes], folder: str, suffix: str) -> dict[str, str]:
    paths = [path for name in files if (path := PurePosixPath(name)).suffix == suffix]
    return {p.stem: files[str(p)].decode() for p in paths if str(p.parent) == folder}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:VERSION_CHARS]
