"""TLS for a Valkey whose wheel has none: a proxy in front of it, whose certificate nobody knows."""

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Self

import harness
import trustme
from proxy import Proxy

HOST = "127.0.0.1"


class Certificate:
    """A certificate for this machine, and the authority of our own that has signed it."""

    def __init__(self, directory: Path) -> None:
        self.authority = directory / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST).configure_cert(self.context)


class Valkey(harness.Valkey):
    """One Valkey that takes TLS alone, as Heroku's: what its certificate says is not checked."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        path = str(self.path)
        certificate = Certificate(directory)
        self.authority = certificate.authority
        self._proxy = Proxy(
            lambda: asyncio.open_unix_connection(path), certificate=certificate.context
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.start(HOST), self._loop).result()
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        super().__exit__(*error)

    def url(self, *, keep: bool = False) -> str:
        """Name a database; `keep`: for longer than one test."""
        database = super().url(keep=keep).rpartition("=")[2]
        return f"rediss://{HOST}:{self._proxy.port}/{database}?ssl_cert_reqs=none"
