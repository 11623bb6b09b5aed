"""What a worker sends of its attempts, by the server's end of the socket."""

import socket

from asyncjob.job import Progress
from asyncjob.server.workers.channel import Advanced, Message, Unpacker
from asyncjob.server.workers.worker.outbox import Outbox, ProgressReports

ONE, OTHER = ("one", 1), ("other", 1)


def test_progress_that_is_told_once_the_end_has_begun_is_not_sent() -> None:
    server, worker = socket.socketpair()
    with server, worker:
        server.settimeout(60)
        reports = ProgressReports(Outbox(worker), {ONE: None, OTHER: None})
        reports.tell(ONE, Progress(0.5))
        reports.end(ONE)
        reports.tell(ONE, Progress(1))
        reports.tell(OTHER, Progress(0.25))  # which is sent after that
        unpacker = Unpacker()
        received: list[Message] = []
        while Advanced(*OTHER, Progress(0.25)) not in received:
            received += unpacker.feed(server.recv(1000))
        assert received == [Advanced(*ONE, Progress(0.5)), Advanced(*OTHER, Progress(0.25))]
