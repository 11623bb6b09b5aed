"""An HTTP answer that goes on for as long as there is something to tell: the text/event-stream that carries events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing

from starlette.responses import Response

from asyncjob.server.http.endpoints import Receive, Scope, Send, disconnected


class EventStream(Response):
    """Sends what comes until no more comes, or the client leaves.

    Args:
        texts: of the stream.
        opened: entered for as long as the stream lasts; what it raises is the answer.
        ended: ends it once it is set: the sign-in that it belongs to is over.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        texts: AsyncGenerator[bytes, None],
        opened: AbstractContextManager[None],
        ended: asyncio.Event | None,
    ) -> None:
        # Asked so, nginx does not wait until it has more to pass on.
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._texts = texts
        self._opened = opened
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._opened:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            going = [asyncio.ensure_future(self._send(send)), asyncio.ensure_future(disconnected(receive))]
            if self._ended is not None:
                going.append(asyncio.ensure_future(self._end(self._ended)))
            try:
                await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in going:
                    one.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send) -> None:
        async with aclosing(self._texts):
            async for text in self._texts:
                await send({"type": "http.response.body", "body": text, "more_body": True})

    @staticmethod
    async def _end(ended: asyncio.Event) -> None:
        await ended.wait()
