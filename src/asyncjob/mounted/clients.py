"""Lets the client of this library ask the application in its own process: requests of httpx, answered through ASGI.

There is no address and no connection. The blocking client's requests come from other threads, such as those in which
FastAPI runs a `def` route; they are answered in the application's event loop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import httpx

from asyncjob.client import AsyncClient, Client, Unreachable
from asyncjob.server.http.requests import Message, Receive, Scope, Send

HOST = "jobs.internal"  # which is never looked up
URL = f"http://{HOST}"
STOPPING = "the application is stopping: jobs that have not ended go on once it is back"
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def async_client(application: Application, api_key: str | None, is_stopping: Callable[[], bool]) -> AsyncClient:
    """A client for coroutines of the application's event loop.

    Args:
        application: answers.
        api_key: that it wants, if it wants one.
        is_stopping: whether it is, so that what it refuses is not asked again.
    """
    logging.getLogger("httpx").addFilter(_is_a_request)
    client = AsyncClient(URL)
    client.use(
        httpx.AsyncClient(transport=Transport(application, is_stopping), base_url=URL, headers=_headers(api_key))
    )
    return client


def blocking_client(
    application: Application,
    api_key: str | None,
    is_stopping: Callable[[], bool],
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> Client:
    """A client for threads.

    Args:
        application: like the others, see above.
        api_key: see there.
        is_stopping: see there.
        loop: gives the event loop in which it runs.
    """
    logging.getLogger("httpx").addFilter(_is_a_request)
    client = Client(URL)
    transport = ThreadTransport(Transport(application, is_stopping), loop)
    client.use(httpx.Client(transport=transport, base_url=URL, headers=_headers(api_key)))
    return client


def _headers(api_key: str | None) -> dict[str, str]:
    return {"accept": "application/json"} | ({} if api_key is None else {"x-api-key": api_key})


def _is_a_request(record: logging.LogRecord) -> bool:
    """Whether a line of httpx's log is of somebody's request, and not of what is only a call in this process."""
    url = record.args[1] if isinstance(record.args, tuple) and len(record.args) > 1 else None
    return not (isinstance(url, httpx.URL) and url.host == HOST)


class Transport(httpx.AsyncBaseTransport):
    """Answers requests through an ASGI application, part by part.

    Args:
        application: answers.
        is_stopping: whether it is.
    """

    def __init__(self, application: Application, is_stopping: Callable[[], bool]) -> None:
        self._application = application
        self._is_stopping = is_stopping

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answering = Answering(request, await request.aread())
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(seconds):
                begin = await answering.begin(self._application)
        except TimeoutError:
            await answering.aclose()
            raise httpx.ReadTimeout("the answer takes too long", request=request) from None
        except BaseException:
            await answering.aclose()
            raise
        if begin["status"] == 503 and self._is_stopping():
            await answering.aclose()
            raise Unreachable(STOPPING)
        return httpx.Response(begin["status"], headers=begin["headers"], stream=answering)


class Answering(httpx.AsyncByteStream):
    """A request that is being answered.

    Args:
        request: what is asked.
        body: of the request.
    """

    def __init__(self, request: httpx.Request, body: bytes) -> None:
        self._request = request
        self._body: bytes | None = body
        self._left = asyncio.Event()
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(1)
        self._task: asyncio.Task[None] | None = None

    async def begin(self, application: Application) -> Message:
        """Ask, and wait for the head of the answer."""
        self._task = asyncio.ensure_future(self._ask(application))
        message = await self._messages.get()
        if message is None:
            self._task.result()
            raise httpx.ReadError("there was no answer", request=self._request)
        return message

    async def _ask(self, application: Application) -> None:
        try:
            await application(_scope(self._request), self._receive, self._messages.put)
        finally:
            if not self._left.is_set():
                await self._messages.put(None)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._messages.get()) is not None:
            yield message.get("body", b"")
            if not message.get("more_body"):
                return
        raise httpx.ReadError("the answer broke off", request=self._request)

    async def aclose(self) -> None:
        self._left.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class ThreadTransport(httpx.BaseTransport):
    """The same for other threads.

    Args:
        transport: answers, in the application's event loop.
        loop: gives that.
    """

    def __init__(self, transport: Transport, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._transport = transport
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        asynchronous = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content, extensions=request.extensions
        )
        loop = self._loop()
        if _running_loop() is loop:
            raise RuntimeError("the blocking client would wait for its own event loop: use `await work.client...` here")

        def run(work: Coroutine[Any, Any, Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        answer = run(self._transport.handle_async_request(asynchronous))
        assert isinstance(answer.stream, Answering)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=Parts(answer.stream, run))


class Parts(httpx.SyncByteStream):
    """The body of an answer, for another thread.

    Args:
        stream: the same for the event loop.
        run: runs a coroutine there.
    """

    def __init__(self, stream: Answering, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._parts = aiter(stream)
        self._stream = stream
        self._run = run

    def __iter__(self) -> Iterator[bytes]:
        while (part := self._run(self._next())) is not None:
            yield part

    async def _next(self) -> bytes | None:
        return await anext(self._parts, None)

    def close(self) -> None:
        self._run(self._stream.aclose())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "root_path": "",
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": None,
        "server": (request.url.host, request.url.port),
    }
