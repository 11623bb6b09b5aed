"""uvicorn's server, with connections from protocol.py: its settings, and a look at idle connections each second."""

import asyncio
import resource
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from asyncjob.server.http.lane import Lane, LaneProtocol
from asyncjob.server.http.protocol import MAX_UNFINISHED_BYTES, HttpProtocol, Unfinished

SPARE_FILES = 256  # kept from connections, for the database, the workers and notifications
CLOSE_SECONDS = 5  # for open requests to finish when the server stops


class HttpServer(uvicorn.Server):
    """uvicorn's server, but signals are left to serve.py: jobs end before HTTP does."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        """End connections whose clients have stopped sending or reading; uvicorn calls this ten times a second."""
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpProtocol):
                    connection.hang_up_if_late(now)
                    connection.abort_if_unread(now)
                if isinstance(connection, LaneProtocol):
                    connection.close_if_idle(now)
        return await super().on_tick(counter)


def config(app: Any, backlog: int, lane: Lane | None = None) -> uvicorn.Config:
    """How uvicorn serves the application: only HTTP, and with no log of its own but warnings.

    Args:
        app: gets every request that the lane does not answer.
        backlog: connections that may wait to be accepted.
        lane: answers the most usual requests; without one, the application gets all.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    max_connections = max(files - SPARE_FILES, files // 2)
    protocol = HttpProtocol if lane is None else partial(LaneProtocol, lane=lane)
    return uvicorn.Config(
        app,
        http=partial(protocol, unfinished=Unfinished(MAX_UNFINISHED_BYTES), max_connections=max_connections),  # type: ignore[arg-type]
        headers=[("x-content-type-options", "nosniff")],
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=backlog,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
