"""The routes for whoever watches over the server: whether it can serve, and its metrics."""

from prometheus_client import CONTENT_TYPE_LATEST

from asyncjob.server.http.answers import Answer, file, json
from asyncjob.server.http.requests import Request


async def health(request: Request) -> Answer:
    request.engine.check()
    return json(b'{"status":"ok"}')


async def metrics(request: Request) -> Answer:
    return file(request.engine.metrics.text(), CONTENT_TYPE_LATEST.encode())
