"""The Python interpreters of this machine, for what differs between their versions."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT


def installed() -> list[str]:
    """One interpreter of each minor version from 3.11 on that this machine has."""
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    places = [*os.environ.get("PATH", "").split(os.pathsep), *map(str, _pyenv())]
    for place in places:
        for minor in range(11, 16):
            path = Path(place) / f"python3.{minor}"
            if f"3.{minor}" not in found and path.exists() and _works(str(path)):
                found[f"3.{minor}"] = str(path)
    return [found[version] for version in sorted(found)]


def _pyenv() -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(root.glob("versions/*/bin"))


def _works(python: str) -> bool:
    """A version manager's shim may stand for a version that is not chosen."""
    ended = subprocess.run(
        [python, "-c", "import venv, ensurepip"], capture_output=True, check=False
    )
    return ended.returncode == 0


def with_requirements(python: str) -> str:
    """The interpreter, or that of a cached environment with requirements.txt installed."""
    if python == sys.executable:
        return python
    requirements = ROOT / "requirements.txt"
    version = subprocess.run([python, "-V"], capture_output=True, check=True).stdout
    key = hashlib.sha256(requirements.read_bytes() + version + python.encode()).hexdigest()[:12]
    directory = Path(tempfile.gettempdir()) / f"quartchat-venv-{os.getuid()}-{key}"
    done = directory / "installed"
    if not done.exists():
        subprocess.run([python, "-m", "venv", "--clear", directory], check=True)
        pip: list[str | Path] = [directory / "bin/python", "-m", "pip", "install", "-q"]
        if subprocess.run([*pip, "-r", requirements], check=False).returncode:
            pytest.skip(f"the requirements could not be installed for {python}")
        done.touch()
    return str(directory / "bin/python")
