"""Who may come in: every route needs a session, unless it stands on the short list here."""

from quart import Request, g

from quartchat import errors
from quartchat.routes import http
from quartchat.store.accounts import SessionRow

# Endpoints that answer without a session.
PUBLIC = frozenset(
    {
        "accounts.login",
        "accounts.register",
        "openapi",
        "ops.docs",
        "ops.docs_file",
        "ops.live",
        "ops.metrics",
        "ops.ready",
        "pages.chat",  # sends to pages.login
        "pages.join",  # likewise
        "pages.login",
        "pages.register",
        "static",
    }
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def check() -> None:
    """Let a request in, before its route. Raises CrossOrigin, Unauthenticated."""
    asked = http.current_request()
    if asked.method not in SAFE and "Authorization" not in asked.headers:
        _check_origin(asked)
    # No endpoint: there is no such route or method, and the answer says that.
    endpoint = asked.endpoint
    if endpoint is not None and endpoint not in PUBLIC:
        g.session = await session(asked)


async def session(asked: Request) -> SessionRow:
    """Return the session that a request carries. Raises Unauthenticated."""
    services = http.services()
    return await services.auth.session(services.cookie.secret(asked))


def _check_origin(asked: Request) -> None:
    """Refuse what another site's page makes a browser send with our cookie.

    Hosts are compared, not schemes: behind a proxy that ends TLS and is not named in
    FORWARDED_ALLOW_IPS, we do not know ours. A form on http of our own host is as near to
    us as the network in between. Browsers send Origin with every unsafe request (Fetch
    standard, "append a request Origin header"); programs send none.
    """
    origin = asked.headers.get("Origin")
    if origin is None:
        return
    _, _, host = origin.partition("://")
    if host.lower() != asked.host.lower():
        raise errors.CrossOrigin
