"""What a running job function may ask and tell: its id and attempt, its progress, whether it was canceled.

It is its own file because the registry must recognise the annotation and the engines must make the object, and
neither may import the other.
"""

from collections.abc import Callable

from msgspec import UNSET

from asyncjob.job import Progress, writable

MAX_PROGRESS_MESSAGE = 1_000


class JobCanceled(BaseException):
    """The job was canceled while its function ran; let it pass, after cleaning up.

    Like asyncio's own, no Exception: `except Exception` in a loop must not swallow it.
    """


class JobContext:
    """Handed to a job function whose first parameter is annotated with this class.

    Attributes:
        job_id: the job's id, as the client sees it.
        attempt: 1 for the first run of the job, one more for each further one.
    """

    def __init__(self, job_id: str, attempt: int, report: Callable[[Progress], None] = lambda progress: None) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._report = report
        self._canceled = False

    @property
    def canceled(self) -> bool:
        """True once the job was canceled or its time is up: its outcome will not be recorded."""
        return self._canceled

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the job is; `GET /jobs/{jobId}` shows it.

        Call it as often as you like: what comes faster than the engine writes replaces what was not yet written.

        Args:
            fraction: from 0 to 1; what is beyond counts as the nearer of these, and NaN as 0.
            message: a few words; of more than 1,000 characters the first.

        Raises:
            JobCanceled: the job was canceled or its time is up, and there is no point in going on.
        """
        if self._canceled:
            raise JobCanceled(f"job {self.job_id} was canceled")
        told = UNSET if message is None else writable(str(message), MAX_PROGRESS_MESSAGE)
        self._report(Progress(_within(fraction), told))

    def cancel(self) -> None:
        """For engines: from now on `canceled` is true and `progress` raises."""
        self._canceled = True


def _within(fraction: float) -> float:
    try:
        return min(1.0, max(0.0, float(fraction)))
    except OverflowError:  # an int that is larger than any float
        return float(fraction > 0)
