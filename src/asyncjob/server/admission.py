"""What a submission is answered with, and whether one more may be saved: jobs that wait are bounded by number.

Jobs that wait for a time are counted by themselves: a million that are due next week keep out nothing that is to run
now.
"""

import logging
from typing import NamedTuple

from asyncjob.contract import Submission
from asyncjob.job import now_ms
from asyncjob.options import NONE, Options
from asyncjob.server.logs import log
from asyncjob.server.refusals import Full, Unavailable
from asyncjob.server.settings import Settings
from asyncjob.store import Duplicate, NotSaved, Store

Earlier = Submission | Duplicate | None  # what was there before a submission: under its id, or the same


class Submitted(NamedTuple):
    """The answer to a submission.

    Attributes:
        job_id: of the job that is there now.
        is_duplicate: whether it was there before, under another id, and is the same as what was submitted.
    """

    job_id: str
    is_duplicate: bool = False


class Admission:
    """Whether one more job may be saved.

    Attributes:
        fault: why nothing more is accepted; None while all is well.

    Args:
        settings: how many may wait.
        store: how many do.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.fault: str | None = None
        self._settings = settings
        self._store = store

    def check(self) -> None:
        """Check that what is saved would be kept.

        Raises:
            Unavailable: it would be lost.
        """
        if self.fault is not None:
            raise Unavailable(self.fault)

    def full(self, options: Options = NONE) -> Full | None:
        """The refusal of one more job, if too many wait for what it would wait for: its turn, or its time."""
        if self.room(options) > 0:
            return None
        if _waits_for_its_time(options):
            return Full(f"{self._store.scheduled:,} jobs are waiting for their time already; try again later")
        return Full(f"{self._store.pending:,} jobs are waiting already; try again later")

    def room(self, options: Options = NONE) -> int:
        """How many more such jobs may wait; none, if it is not above 0."""
        if _waits_for_its_time(options):
            return self._settings.max_scheduled - self._store.scheduled
        return self._settings.max_pending - self._store.pending


def _waits_for_its_time(options: Options) -> bool:
    return options is not NONE and (options.pause_ms > 0 or (options.run_at_ms or 0) > now_ms())


def not_saved(error: NotSaved) -> Unavailable:
    """What a client is told whose write was not saved."""
    log(logging.ERROR, "not saved", error=str(error))
    return Unavailable(f"nothing can be saved at the moment: {error}")
