"""What a running job function may ask and tell: its id and attempt, its progress, whether it was canceled.

It is its own file because the registry must recognise the annotation and the engines must make the object, and
neither may import the other.
"""

from collections.abc import Callable

from msgspec import UNSET

from asyncjob.job import Progress

MAX_PROGRESS_MESSAGE = 1_000


class JobCanceled(Exception):
    """The job was canceled while its function ran; let it pass, after cleaning up."""


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
            fraction: from 0 to 1.
            message: a few words, at most 1,000 characters.

        Raises:
            JobCanceled: the job was canceled or its time is up, and there is no point in going on.
            ValueError: the fraction or the message is out of bounds.
        """
        if self._canceled:
            raise JobCanceled(f"job {self.job_id} was canceled")
        if not 0 <= fraction <= 1:
            raise ValueError(f"the fraction of a progress is from 0 to 1, not {fraction}")
        if message is not None and len(message) > MAX_PROGRESS_MESSAGE:
            raise ValueError(f"the message of a progress has at most {MAX_PROGRESS_MESSAGE:,} characters")
        self._report(Progress(float(fraction), UNSET if message is None else message))

    def cancel(self) -> None:
        """For engines: from now on `canceled` is true and `progress` raises."""
        self._canceled = True
