"""What the browser loads: the page's files, and the pages that name them."""

from quart import Quart, Response, current_app, render_template

from quartchat import errors
from quartchat.assets import Asset, Assets, made
from quartchat.routes import http

FOR_GOOD = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"
PAGES = "quartchat-pages"  # an extension of the app: by template, as they are sent
SERVICE_WORKER = "sw.js"  # answers for every page, not for its folder alone


def install(app: Quart, assets: Assets) -> None:
    """Let the templates name files by their version."""

    @app.url_defaults
    def version(endpoint: str, values: dict[str, str]) -> None:
        if endpoint == "static":
            values["filename"] = assets.address(values["filename"])

    app.extensions[PAGES] = {}


async def send(assets: Assets, path: str) -> Response:
    """Send a file. Raises NotFound."""
    asset, for_good = assets.find(path)
    if asset is None:
        raise errors.NotFound
    response = await _answer(asset)
    response.headers["Cache-Control"] = FOR_GOOD if for_good else ASKED_AGAIN
    if path == SERVICE_WORKER:
        response.headers["Service-Worker-Allowed"] = "/"
    return response


async def page(template: str) -> Response:
    """Send a page, which is asked for each time: it says which files it needs.

    It has no data, so it is made once for everybody.
    """
    response = await _answer(await _made(template))
    response.headers["Cache-Control"] = ASKED_AGAIN
    return response


async def nothing() -> Response:
    """Send the page for an address that does not exist."""
    asset = await _made("nothing.html")
    response = Response(asset.plain, errors.NotFound.status, content_type=asset.content_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept"
    return response


async def _made(template: str) -> Asset:
    pages: dict[str, Asset] = current_app.extensions[PAGES]
    if template not in pages:
        pages[template] = made(".html", (await render_template(template)).encode())
    return pages[template]


async def _answer(asset: Asset) -> Response:
    asked = http.current_request()
    takes_gzip = asked.accept_encodings.quality("gzip") > 0
    packed = asset.packed if takes_gzip and "Range" not in asked.headers else None
    body = asset.plain if packed is None else packed
    response = Response(body, content_type=asset.content_type)
    response.set_etag(asset.digest if packed is None else f"{asset.digest}-gzip")
    response.headers["Vary"] = "Accept-Encoding"
    if packed is not None:
        response.headers["Content-Encoding"] = "gzip"
    return await response.make_conditional(asked, accept_ranges=True, complete_length=len(body))
