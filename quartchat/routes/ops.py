"""Health, metrics and the API's documentation."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import flask_swagger_ui
import prometheus_client
from prometheus_client import multiprocess
from quart import Blueprint, Response, render_template, send_from_directory
from quart_schema import hide, tag

from quartchat import errors, redis_client, store
from quartchat import metrics as gauges
from quartchat.routes import http

blueprint = Blueprint("ops", __name__)

CHECK_S = 2.0  # a readiness check that takes longer has failed

_swagger = Path(flask_swagger_ui.__file__).parent / "dist"


@blueprint.get("/healthz/live")
@tag(["Operations"])
async def live() -> Response:
    """Say that the process answers; restart it if it does not."""
    return http.answer({"status": "live"})


@blueprint.get("/healthz/ready")
@tag(["Operations"])
async def ready() -> Response:
    """Say whether to send requests here: not while starting, draining, or without Redis or SQL."""
    services = http.services()
    if services.hub.draining:
        raise errors.Unavailable("Draining.", retry_after_s=5)
    if not services.feed.fresh:
        raise errors.Unavailable("The feed is not read.", retry_after_s=1)
    try:
        async with asyncio.timeout(CHECK_S):
            await services.streams.ping()
            pending = await store.run(store.pending)
    except (TimeoutError, *redis_client.AWAY, *store.AWAY) as error:
        raise errors.Unavailable(f"{type(error).__name__}.", retry_after_s=1) from error
    if pending:
        raise errors.Unavailable("The database needs `migrate`.", retry_after_s=5)
    return http.answer({"status": "ready"})


@blueprint.get("/metrics")
@tag(["Operations"])
async def metrics() -> Response:
    """Return metrics in Prometheus' text format, of all web processes on this machine."""
    with suppress(TimeoutError, *redis_client.AWAY):  # then it says what it was
        async with asyncio.timeout(CHECK_S):
            gauges.BACKLOG.set(await http.services().streams.group.backlog())
    registry = prometheus_client.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = prometheus_client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(
        prometheus_client.generate_latest(registry),
        content_type=prometheus_client.CONTENT_TYPE_LATEST,
    )


@blueprint.get("/docs")
@tag(["Operations"])
async def docs() -> str:
    """Show the API's documentation."""
    return await render_template("docs.html")


@blueprint.get("/docs/<any('swagger-ui.css', 'swagger-ui-bundle.js'):name>")
@hide
async def docs_file(name: str) -> Response:
    """Return a file of Swagger UI, from the package that ships it."""
    return await send_from_directory(_swagger, name)
