"""What a running job function can ask and say: its id and attempt, its progress, whether it was canceled.

It has a file of its own because the registry recognises the annotation and the engines make the object, and neither may
import the other.
"""

from collections.abc import Callable

from msgspec import UNSET

from asyncjob import durations
from asyncjob.job import Progress, writable

MAX_PROGRESS_MESSAGE = 1_000


class JobCanceled(BaseException):
    """The job was canceled while its function ran. Clean up, and let it pass.

    Like asyncio's CancelledError it is not an Exception: `except Exception` in a loop must not swallow it.
    """


class RetryLater(Exception):
    """Raise it to have the job run again after a while: what it needs is not there yet.

    This counts against a bound of its own, and not against the function's `retries`.

    Args:
        seconds: the pause before the next attempt: 0 or more, or text such as `"5m"`.
        reason: why, for whoever looks at the job meanwhile.

    Raises:
        ValueError: the pause is no such length of time.
    """

    def __init__(self, seconds: float | str, reason: str = "") -> None:
        self.seconds = durations.seconds(seconds)
        self.reason = reason or f"again in {self.seconds:g} seconds"
        super().__init__(self.seconds, self.reason)  # both: one that another process raised is made anew from them

    def __str__(self) -> str:
        return str(self.reason)


class JobContext:
    """Handed to a job function whose first parameter is annotated with this class.

    Attributes:
        job_id: the job's id, as the client sees it.
        attempt: 1 for the first run of the job, one more for each further run.
    """

    def __init__(self, job_id: str, attempt: int, report: Callable[[Progress], None] = lambda progress: None) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._report = report
        self._canceled = False

    @property
    def canceled(self) -> bool:
        """True once the job was canceled or its time is up; its outcome will not be recorded."""
        return self._canceled

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the job is; `GET /jobs/{jobId}` shows it.

        Call it as often as you like: progress that the engine has not written yet is replaced by newer progress.

        Args:
            fraction: from 0 to 1; anything beyond counts as the nearer of the two, and NaN as 0.
            message: a few words; at most 1,000 characters are kept.

        Raises:
            JobCanceled: the job was canceled or its time is up, and there is no point in going on.
        """
        if self._canceled:
            raise JobCanceled(f"job {self.job_id} was canceled")
        told = UNSET if message is None else writable(str(message), MAX_PROGRESS_MESSAGE)
        self._report(Progress(_within(fraction), told))

    def cancel(self) -> None:
        """For engines: make `canceled` true and `progress` raise from now on."""
        self._canceled = True


def _within(fraction: float) -> float:
    try:
        return min(1.0, max(0.0, float(fraction)))
    except OverflowError:  # an int larger than any float
        return float(fraction > 0)
