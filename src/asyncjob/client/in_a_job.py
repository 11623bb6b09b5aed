"""What a job function waits for with a client: it waits no longer once its own job is canceled."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx

from asyncjob.context import JobContext

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
