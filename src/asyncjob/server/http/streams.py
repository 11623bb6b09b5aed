"""The routes of events: an answer that goes on for as long as there is something to tell (`text/event-stream`)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from asyncjob.contract import LogQuery, parse_events_query
from asyncjob.job_log import BEGIN
from asyncjob.server.events import Streams
from asyncjob.server.http.answers import NO_STORE, Answer, nothing
from asyncjob.server.http.requests import Request, Send
from asyncjob.server.watchers import job_version, parse_id

HEADERS = [
    NO_STORE,
    (b"x-accel-buffering", b"no"),  # nginx then passes each event on at once
    (b"content-type", b"text/event-stream; charset=utf-8"),
]


async def events(request: Request) -> "EventStream":
    every = request.engine.events
    return EventStream(request, every.stream(request.header(b"last-event-id")), every.streams)


async def job_events(request: Request) -> "Answer | EventStream":
    engine = request.engine
    logs = parse_events_query(request.query())
    job = engine.show(request.name)
    last_id = request.header(b"last-event-id")
    if job.is_final:
        version, place = parse_id(last_id) if logs else (last_id, BEGIN)
        more = logs and engine.logs(request.name, LogQuery(limit=1, after=place))[0]
        if version == job_version(job.text) and not more:
            return nothing()  # which tells a browser not to ask again
    return EventStream(request, engine.stream(request.name, last_id, logs=logs), engine.watchers.streams)


class EventStream:
    """Sends text until there is no more, the client leaves, or the sign-in that let it in ends.

    Args:
        request: what it answers.
        texts: what it sends.
        streams: counts it while it is open.
    """

    def __init__(self, request: Request, texts: AsyncGenerator[bytes, None], streams: Streams) -> None:
        self._request = request
        self._texts = texts
        self._streams = streams

    async def send(self, send: Send) -> None:
        """Send it all; `send` is ASGI's.

        Raises:
            Unavailable: too many are open; nothing was sent.
        """
        with self._streams.opened():
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            if self._request.method != "HEAD":
                await self._until_the_end(send)
            await send({"type": "http.response.body", "body": b""})

    async def _until_the_end(self, send: Send) -> None:
        ends = [self._send_texts(send), self._request.left()]
        if self._request.session is not None:
            ends.append(self._request.session.over())
        going = [asyncio.ensure_future(end) for end in ends]
        try:
            await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in going:
                one.cancel()

    async def _send_texts(self, send: Send) -> None:
        async with aclosing(self._texts):
            async for text in self._texts:
                await send({"type": "http.response.body", "body": text, "more_body": True})
