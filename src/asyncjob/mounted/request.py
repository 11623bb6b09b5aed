"""A request that is handed to the owner, and to the next one if the owner dies: until then, what has come is kept."""

from collections.abc import AsyncIterator

from asyncjob.contract import MAX_BODY_BYTES
from asyncjob.job import new_job_id
from asyncjob.mounted.connection import Ask, Body, chunks
from asyncjob.server.http.requests import Message, Receive, Scope, Send

MAX_TIMES = 3  # that a request is handed over: it may be what its owners die of
ASKING_METHODS = ("GET", "HEAD", "OPTIONS")
SAFE_METHODS = (*ASKING_METHODS, "PUT", "DELETE")
SAFE_POSTS = ("/jobs", "/cancel", "/pause", "/resume", "/session")  # a job is submitted under the same id again


class HandedRequest:
    """A request of this process, as the owner is asked it.

    Attributes:
        ask: its head.
        scope: ASGI's, with the id of the job that it may make.
        has_begun: whether its client has been sent a part of the answer.
        has_left: whether its client has left.
        times_handed_over: how many owners may have seen it.

    Args:
        scope: ASGI's, like the others.
        receive: see there.
        send: see there.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        self.scope: Scope = {**scope, "asyncjob.job_id": scope.get("asyncjob.job_id") or new_job_id()}
        self.ask = Ask(
            scope["method"],
            scope["path"],
            scope.get("raw_path"),
            scope.get("root_path", ""),
            scope.get("query_string", b""),
            [(bytes(name), bytes(value)) for name, value in scope["headers"]],
            None if client is None else (str(client[0]), int(client[1] or 0)),
            self.scope["asyncjob.job_id"],
        )
        self.has_begun = self.has_left = False
        self.times_handed_over = 0
        self._receive = receive
        self._send = send
        self._kept: list[Body] = []
        self._size = 0

    @property
    def may_be_done(self) -> bool:
        """Whether the request may have changed something."""
        return self.times_handed_over > 0 and self.ask.method not in ASKING_METHODS

    @property
    def may_be_repeated(self) -> bool:
        """Whether the request may be handed over again: that would do nothing twice, and its body is still there."""
        if self.has_begun or self._size > MAX_BODY_BYTES:
            return False
        if self.times_handed_over == 0:
            return True
        is_safe = self.ask.method in SAFE_METHODS or self._is_safe_post()
        return is_safe and self.times_handed_over < MAX_TIMES

    def _is_safe_post(self) -> bool:
        return self.ask.path.rstrip("/").endswith(SAFE_POSTS)  # Litestar adds a slash

    async def body(self) -> AsyncIterator[Body]:
        """The body from its beginning; that of a repeated request, as far as it had come, without waiting."""
        for part in self._kept:
            yield part
        while not (self._kept and not self._kept[-1].more):
            message = await self._receive()
            if message["type"] != "http.request":
                self.has_left = True
                return
            for chunk in chunks(message.get("body", b""), message.get("more_body", False)):
                part = Body(*chunk)
                self._size += len(part.data)
                if self._size > MAX_BODY_BYTES:  # it will be refused, and not be repeated
                    self._kept.clear()
                self._kept.append(part)
                yield part

    async def left(self) -> None:
        """Wait for the client to leave, once the body is whole."""
        while not self.has_left:
            self.has_left = (await self._receive())["type"] == "http.disconnect"

    def replay(self) -> Receive:
        """ASGI's `receive`, from the beginning."""
        parts = self.body()

        async def receive() -> Message:
            async for part in parts:
                return {"type": "http.request", "body": part.data, "more_body": part.more}
            await self.left()
            return {"type": "http.disconnect"}

        return receive

    async def send(self, message: Message) -> None:
        """ASGI's, to the client."""
        self.has_begun = True
        await self._send(message)
