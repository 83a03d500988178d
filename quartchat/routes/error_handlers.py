"""Every error is answered with a problem document, or to a browser with a page."""

import asyncio

import structlog
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from quartchat import errors, problems, redis_client, store
from quartchat.routes import http, static

AWAY_S = 2  # what a client is asked to wait while Redis or SQL is away

log = structlog.get_logger()


def install(app: Quart) -> None:
    """Let the app answer errors."""

    @app.errorhandler(errors.ChatError)
    async def refused(error: errors.ChatError) -> Response:
        if isinstance(error, errors.NotFound) and _by_hand():
            return await static.nothing()
        return refusal(error)

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        if error.code == errors.NotFound.status and _by_hand():
            return await static.nothing()
        response = refused_by_http(error)
        for name, value in error.get_headers():
            if name.lower() in ("allow", "retry-after"):
                response.headers[name] = value
        return response

    async def away(error: Exception) -> Response:
        log.warning("unavailable", error=f"{type(error).__name__}: {error}", path=request.path)
        return refusal(errors.Unavailable(retry_after_s=AWAY_S))

    for kind in (*redis_client.AWAY, *store.AWAY, asyncio.TimeoutError):
        app.register_error_handler(kind, away)

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        log.error("failed", path=request.path, exc_info=error)
        code, detail = errors.OTHERS[500]
        return _response(500, problems.document(500, code, "Internal Server Error", detail))


def refusal(error: errors.ChatError) -> Response:
    """Answer with one of our errors."""
    response = _response(error.status, problems.of(error))
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.status == errors.Unauthenticated.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def refused_by_http(error: HTTPException) -> Response:
    """Answer what the framework refuses."""
    status = error.code or 500
    code, detail = errors.OTHERS.get(status, (errors.OTHER, error.description or error.name))
    return _response(status, problems.document(status, code, error.name, detail))


def _by_hand() -> bool:
    """Whether somebody's browser goes to an address that is not the API's."""
    asked = http.current_request()
    in_api = f"{asked.path}/".startswith("/api/")
    return not in_api and "text/html" in asked.accept_mimetypes.values()


def _response(status: int, document: bytes) -> Response:
    return Response(document, status, content_type=problems.CONTENT_TYPE)
