"""A task of BentoML, as its page on async tasks writes it: two processes, each with the HTTP server and its jobs.

BentoML has routes and names of its own. What stands before them here changes nothing but these words, so that the same
clients can ask: POST /jobs is its `submit`, GET /jobs/ID its `status`. Results are another GET there (`/sleep/get`).

Promises: a 202 is on disk (WAL, and SQLite's own `synchronous=FULL`), but the job itself is only in memory: when its
process stops or dies, the task stays in progress for ever, and nothing runs it again. Outcomes expire after a day.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import bentoml

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WORDS = {b'"task_id"': b'"jobId"  ', b'"completed"': b'"Success"  '}  # as long, so that content-length stays right


class Words:
    """ASGI middleware: the paths and words of the contract in place of BentoML's."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def translated(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                for theirs, ours in WORDS.items():
                    body = body.replace(theirs, ours)
                message = {**message, "body": body}
            await send(message)

        if scope.get("path", "").startswith("/jobs"):
            job_id = scope["path"].removeprefix("/jobs").removeprefix("/")
            path, query = ("/sleep/status", f"task_id={job_id}") if job_id else ("/sleep/submit", "")
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": query.encode()}
        await self.app(scope, receive, translated)


class Sleep:
    """The service."""

    @bentoml.task
    async def sleep(self, seconds: float) -> dict[str, str]:
        """The job."""
        await asyncio.sleep(seconds)
        return {"message": f"I slept for {seconds:g} seconds"}


service = bentoml.service(workers=2)(Sleep)
service.add_asgi_middleware(Words)
