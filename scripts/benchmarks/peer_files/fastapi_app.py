# ruff: noqa: INP001 - run by its path
"""The FastAPI peer: a stream per reader, a Redis subscription per stream."""

import os
from collections.abc import AsyncIterator

import redis.asyncio as redis
from fastapi import FastAPI, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

app = FastAPI()
client = redis.from_url(os.environ["REDIS_URL"], max_connections=100_000)


@app.post("/rooms/{room}/messages", status_code=201)
async def post(room: int, request: Request) -> dict[str, str]:
    """Publish a message."""
    await client.publish(f"room:{room}", await request.body())
    return {}


@app.get("/rooms/{room}/events")
async def events(room: int) -> EventSourceResponse:
    """Stream a room."""
    return EventSourceResponse(follow(room))


async def follow(room: int) -> AsyncIterator[ServerSentEvent]:
    """Yield a room's messages."""
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(f"room:{room}")
        yield ServerSentEvent(event="ready", data="{}")
        async for message in pubsub.listen():
            yield ServerSentEvent(event="message", data=message["data"].decode())
