"""The page: templates without data; the page fetches its own through the API."""

from quart import Blueprint, Response, redirect, url_for
from quart.typing import ResponseReturnValue
from quart_schema import hide

from quartchat import errors
from quartchat.routes import access, http, static

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
@blueprint.get("/rooms/<number:room>")
@hide
async def chat(room: int = 0) -> ResponseReturnValue:
    """Show the chat, or send those who are signed out to sign in."""
    try:
        await access.session(http.current_request())
    except errors.Unauthenticated:
        return redirect(url_for("pages.login"), 303)
    return await _chat(f"&open={room}" if room else "")


@blueprint.get("/join/<token:link>")
@hide
async def join(link: str) -> ResponseReturnValue:
    """Show the chat, which asks about the link; those who are signed out come back to it."""
    try:
        await access.session(http.current_request())
    except errors.Unauthenticated:
        return redirect(url_for("pages.login", next=url_for("pages.join", link=link)), 303)
    return await _chat("")


@blueprint.get("/login")
@hide
async def login() -> Response:
    """Show the form to sign in."""
    return await static.page("login.html")


@blueprint.get("/register")
@hide
async def register() -> Response:
    """Show the form to make an account."""
    return await static.page("register.html")


async def _chat(opened: str) -> Response:
    """Send the chat. What it asks for first comes while its script does."""
    response = await static.page("chat.html")
    first = "/api/me", f"/api/chat/rooms?joined=true&limit=200{opened}"
    response.headers["Link"] = ", ".join(
        f"<{path}>; rel=preload; as=fetch; crossorigin" for path in first
    )
    return response
