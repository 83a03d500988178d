"""What carries a session's secret: a cookie, signed, or a bearer token, bare."""

import quart_auth
from quart import Quart, Request, Response, g, has_request_context, request

from quartchat.cache import Cache

COOKIES_CACHED = 20_000  # whose signature was checked
COOKIES_KEPT = 500  # characters of a Cookie header that is remembered
CHECK_S = 60  # a signature is checked anew
COOKIE_S = 365 * 24 * 3600


class Cookie(quart_auth.QuartAuth):
    """quart-auth's signed cookie, holding a session's secret; or a bearer token."""

    def __init__(self, app: Quart) -> None:
        super().__init__(app, cookie_name="quartchat", duration=COOKIE_S, salt="quartchat session")
        self._secrets: Cache[str, str] = Cache(
            size=COOKIES_CACHED, ttl_s=CHECK_S, trusted=lambda: True
        )

    def resolve_user(self) -> quart_auth.AuthUser:
        """Return whose secret the request carries, as quart-auth asks for it."""
        return quart_auth.AuthUser(self.secret(request))

    def secret(self, asked: Request) -> str | None:
        """Return the secret that a request carries; an Authorization header goes first."""
        header = asked.headers.get("Authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            return token.strip() if scheme.lower() == "bearer" else None
        cookies = "; ".join(asked.headers.getlist("Cookie"))  # as werkzeug reads them
        secret = self._secrets.peek(cookies)
        if secret is None:
            secret = self.load_cookie()
            if secret is not None and len(cookies) <= COOKIES_KEPT:
                self._secrets.put(cookies, secret)
        return secret

    async def after_request(self, response: Response) -> Response:
        """Set or delete the cookie, where somebody signed in or out."""
        if hasattr(g, self.attribute_name):
            response = await super().after_request(response)
        return response

    @property
    def cookie_secure(self) -> bool:
        """The cookie is for https only where it was set over https."""
        return has_request_context() and request.is_secure

    @cookie_secure.setter
    def cookie_secure(self, _: bool | None) -> None:
        """quart-auth sets this once for all requests; here each request decides."""
