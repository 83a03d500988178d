"""What the browser loads: the page's files, and the pages that name them."""

from quart import Quart, Response, render_template

from quartchat import errors
from quartchat.assets import Assets, pack
from quartchat.routes import http

FOR_GOOD = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"
SERVICE_WORKER = "sw.js"  # answers for every page, not for its folder alone


def install(app: Quart, assets: Assets) -> None:
    """Let the templates name files by their version, and modules all at once."""

    @app.url_defaults
    def version(endpoint: str, values: dict[str, str]) -> None:
        if endpoint == "static":
            values["filename"] = assets.address(values["filename"])

    app.add_template_global(assets.modules, "modules")


async def send(assets: Assets, path: str) -> Response:
    """Send a file. Raises NotFound."""
    asset, for_good = assets.find(path)
    if asset is None:
        raise errors.NotFound
    asked = http.current_request()
    packed = asset.packed if _takes_gzip() and "Range" not in asked.headers else None
    body = asset.plain if packed is None else packed
    response = Response(body, content_type=asset.content_type)
    response.headers["Cache-Control"] = FOR_GOOD if for_good else ASKED_AGAIN
    response.set_etag(asset.digest if packed is None else f"{asset.digest}-gzip")
    _mark(response, packed=packed is not None)
    if path == SERVICE_WORKER:
        response.headers["Service-Worker-Allowed"] = "/"
    return await response.make_conditional(asked, accept_ranges=True, complete_length=len(body))


async def page(template: str) -> Response:
    """Send a page, which is asked for each time: it says which files it needs."""
    html = (await render_template(template)).encode()
    packed = _takes_gzip()
    response = Response(pack(html) if packed else html, content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = ASKED_AGAIN
    _mark(response, packed=packed)
    return response


def _takes_gzip() -> bool:
    return http.current_request().accept_encodings.quality("gzip") > 0


def _mark(response: Response, *, packed: bool) -> None:
    response.headers["Vary"] = "Accept-Encoding"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
