"""The routes for whoever watches over the server: whether it can serve, and its metrics."""

from asyncjob.server.http.answers import Answer, file, json
from asyncjob.server.http.requests import Request


async def health(request: Request) -> Answer:
    request.engine.check()
    return json(b'{"status":"ok"}')


async def metrics(request: Request) -> Answer:
    from asyncjob.server import exposition  # it brings a library that most servers are never asked for

    return file(exposition.text(request.engine.metrics), exposition.CONTENT_TYPE)
