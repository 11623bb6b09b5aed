"""Saves how far running attempts are: one write at a time for each, and only the newest of what comes meanwhile."""

import asyncio
from collections.abc import Callable
from functools import partial

from asyncjob.job import Status
from asyncjob.server.events import JobEvent
from asyncjob.server.workers.channel import Advanced
from asyncjob.server.workers.running import RunningAttempt
from asyncjob.store import Store


class ProgressSaver:
    """Saves the progress of one server's attempts.

    Args:
        store: where it is saved.
        tell: called with each progress that was saved.
    """

    def __init__(self, store: Store, tell: Callable[[JobEvent], None]) -> None:
        self._store = store
        self._tell = tell

    def save(self, attempt: RunningAttempt, told: Advanced) -> None:
        """Save this progress, or keep it until the one before is saved."""
        if attempt.saving:
            attempt.newest = told
            return
        attempt.saving = True
        saving = self._store.progress(told.job_id, told.attempt, told.progress)
        saving.add_done_callback(partial(self._saved, attempt, told))

    def save_newest(self, attempt: RunningAttempt) -> None:
        """Save the progress that waits for its turn, if there is one: the outcome is about to be saved."""
        if attempt.newest is not None:
            newest, attempt.newest, attempt.saving = attempt.newest, None, False
            self.save(attempt, newest)

    def _saved(self, attempt: RunningAttempt, told: Advanced, saved: "asyncio.Future[bool]") -> None:
        attempt.saving = False
        if saved.exception() is None and saved.result():  # one that could not be saved is followed by another
            self._tell(JobEvent(told.job_id, attempt.type, Status.RUNNING, told.attempt, told.progress))
        self.save_newest(attempt)
