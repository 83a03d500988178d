"""Who may come in: every route needs a session, unless it stands on the short list here."""

import quart_auth
from quart import g, request

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
        "pages.login",
        "pages.register",
        "static",
    }
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def check() -> None:
    """Let a request in, before its route. Raises CrossOrigin, Unauthenticated."""
    if request.method not in SAFE and "Authorization" not in request.headers:
        _check_origin()
    # No endpoint: there is no such route or method, and the answer says that.
    if request.endpoint is not None and request.endpoint not in PUBLIC:
        g.session = await session()


async def session() -> SessionRow:
    """Return the session that the request carries. Raises Unauthenticated."""
    return await http.services().auth.session(quart_auth.current_user.auth_id)


def _check_origin() -> None:
    """Refuse what another site's page makes a browser send with our cookie.

    Hosts are compared, not schemes: behind a proxy that ends TLS and is not named in
    FORWARDED_ALLOW_IPS, we do not know ours. A form on http of our own host is as near to
    us as the network in between. Browsers send Origin with every unsafe request (Fetch
    standard, "append a request Origin header"); programs send none.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return
    _, _, host = origin.partition("://")
    if host.lower() != request.host.lower():
        raise errors.CrossOrigin
