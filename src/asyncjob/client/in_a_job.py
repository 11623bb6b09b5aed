"""What a job function waits for with a client: it waits no longer once its own job is canceled, and others can run."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import httpx

from asyncjob.context import Handle, JobContext, running

Waited = TypeVar("Waited")
Answer = httpx.Response | httpx.RequestError


def unless_canceled(job: JobContext, delay: float, send: Callable[[], Answer]) -> Answer:
    """Send a request after some seconds; raises JobCanceled as soon as the job that runs here is canceled."""
    heard: queue.SimpleQueue[Answer | Exception | None] = queue.SimpleQueue()  # None: the cancel

    def answer() -> None:
        try:
            heard.put(send())
        except Exception as error:
            heard.put(error)

    with job.waking(lambda: heard.put(None)):
        with suppress(queue.Empty):
            heard.get(timeout=delay)
        job.check()
        threading.Thread(target=answer, daemon=True).start()
        answered = heard.get()
    job.check()
    if isinstance(answered, Exception) and not isinstance(answered, httpx.RequestError):
        raise answered
    assert answered is not None
    return answered


def wait_aside(handle: Handle[Waited]) -> Waited:
    """Wait for a job; one that runs here gives its place up meanwhile, as with `JobContext.wait`."""
    job = running.get()
    return handle.wait() if job is None else job.wait(handle)
