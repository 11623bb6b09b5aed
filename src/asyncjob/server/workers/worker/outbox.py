"""Sends to the server: messages from any thread, and the newest progress of each running attempt.

In a process that a job forked both are closed, since it is not the worker.
"""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Any

from asyncjob.job import Progress
from asyncjob.server.workers.channel import OUT_OF_MEMORY, Advanced, AttemptKey, Message, pack

PROGRESS_INTERVAL_SECONDS = 0.1


class Outbox:
    """Sends messages from any thread, as one frame when several are waiting."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting: deque[Message] = deque()
        self._sending = threading.Lock()
        self._sends_soon = False
        self._closed = False

    def close(self) -> None:
        """Send nothing more, and close the socket in this process."""
        self._closed = True
        self._connection.close()

    def put(self, message: Message) -> None:
        """Leave the message to whatever is sent next."""
        self._waiting.append(message)

    def send_waiting(self) -> None:
        """Send what was left, or leave it to the thread that is sending."""
        self._flush()

    def send(self, message: Message) -> None:
        """Send the message, or leave it to the thread that is sending."""
        self._waiting.append(message)
        self._flush()

    def send_soon(self, message: Message) -> None:
        """From the event loop: send the message with those of all jobs that end in this iteration, as one frame."""
        self._waiting.append(message)
        if not self._sends_soon:
            self._sends_soon = True
            import asyncio  # which a worker of sync functions does not need

            asyncio.get_running_loop().call_soon(self._send_gathered)

    def _send_gathered(self) -> None:
        self._sends_soon = False
        self._flush()

    def _flush(self) -> None:
        if self._closed:
            return
        # Look again after each release: a message that came between the last look and the release has no other thread
        # to send it.
        while self._waiting and self._sending.acquire(blocking=False):
            try:
                batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
                if batch:
                    self._connection.sendall(pack(batch))
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            except BaseException:
                os._exit(1)  # the server or the batch is lost; the server notices a dead worker, but not a lost outcome
            finally:
                self._sending.release()


class ProgressReports:
    """Sends the newest progress of each running attempt, at most ten times a second.

    It has a thread of its own, which starts with the first progress and sleeps while there is none. Once an attempt
    has ended, nothing more is sent of it, whoever still holds its context.

    Args:
        outbox: to the server.
        running: the attempts that run; `end` removes them.
    """

    def __init__(self, outbox: Outbox, running: MutableMapping[AttemptKey, Any]) -> None:
        self._outbox = outbox
        self._running = running
        self._newest: dict[AttemptKey, Progress] = {}
        self._sending = threading.Lock()
        self._told = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """Ignore all further progress."""
        self._closed = True

    def tell(self, key: AttemptKey, progress: Progress) -> None:
        """Keep this progress to be sent; it replaces an earlier one that was not sent yet."""
        if self._closed or key not in self._running:
            return
        self._newest[key] = progress
        self._told.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def end(self, key: AttemptKey) -> None:
        """The attempt runs no more: send what was not sent yet, before its outcome, and nothing after that."""
        with self._sending:
            self._send(key)
            del self._running[key]

    def _send(self, key: AttemptKey) -> None:
        progress = self._newest.pop(key, None)
        if progress is not None and key in self._running:
            self._outbox.send(Advanced(*key, progress))

    def _run(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            for key in list(self._newest):
                with self._sending:
                    self._send(key)
            time.sleep(PROGRESS_INTERVAL_SECONDS)
