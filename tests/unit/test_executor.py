"""What runs jobs in a worker process, by the server's end of its socket."""

import socket
import threading

import pytest

from asyncjob import Jobs
from asyncjob.isolation import Isolation
from asyncjob.runner import Failed
from asyncjob.server.workers.channel import Cancel, Ended, Message, Noticed, Run, Stop, Unpacker, pack
from asyncjob.server.workers.worker.executor import Executor
from asyncjob.server.workers.worker.outbox import Outbox
from asyncjob.server.workers.worker.written import Written


def add(jobs: Jobs, ran: list[str]) -> None:
    @jobs.job
    def sync() -> None:
        ran.append("sync")

    @jobs.job(name="async")
    async def on_the_loop() -> None:
        ran.append("async")


@pytest.mark.parametrize("type", ["sync", "async"])
def test_a_function_whose_job_is_canceled_before_its_thread_comes_to_it_is_not_called(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, ran, may_begin = Jobs(), list[str](), threading.Event()
    add(jobs, ran)
    monkeypatch.setattr(Isolation, "separate_thread", lambda self: may_begin.wait(60))  # called first in each thread
    server, worker = socket.socketpair()
    with server, worker:
        server.settimeout(60)
        outbox = Outbox(worker)
        executor = Executor(worker, outbox, Written(outbox), jobs, 0)
        working = threading.Thread(target=executor.work, daemon=True)
        working.start()
        server.sendall(pack([Run("job", 1, type, b"{}", None), Cancel("job", 1), Cancel("another", 1)]))
        unpacker, received = Unpacker(), list[Message]()
        while not any(isinstance(message, Ended) for message in received):
            received += unpacker.feed(server.recv(1000))
            if received.count(Noticed()) == 2:  # each is said before its job is canceled
                may_begin.set()
        ended = received[-1]
        assert isinstance(ended, Ended) and isinstance(ended.outcome, Failed)
        assert (ended.outcome.error.type, ran) == ("JobCanceled", [])
        server.sendall(pack([Stop()]))
        working.join(60)
