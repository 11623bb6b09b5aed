"""Tells everybody of what has become of jobs: the metrics, the counts of the last minutes, listeners and webhooks.

Most jobs are submitted, and succeed, while nobody listens. Those are only counted, and successes all at once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from asyncjob.job import Status
from asyncjob.registry import Jobs
from asyncjob.server.endings import BY_ITSELF, Ending
from asyncjob.server.events import DeletedEvent, Events, JobEvent
from asyncjob.server.metrics import Metrics
from asyncjob.server.throughput import Throughput
from asyncjob.server.watchers import Watchers
from asyncjob.server.workers.running import RunningAttempt
from asyncjob.store import Claim


class Telling:
    """All that want to know what has become of one server's jobs. Called with an event, it tells them of it.

    Args:
        jobs: the registry.

    Attributes:
        events: of all jobs, for whoever listens.
        watchers: who waits for single jobs.
        metrics: what happens, counted.
        throughput: how many jobs ended lately.
        wake_sender: called when a job has ended that may have a webhook.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.events = Events()
        self.watchers = Watchers()
        self.metrics = Metrics(jobs)
        self.throughput = Throughput()
        self.wake_sender: Callable[[], None] = lambda: None

    def __call__(self, event: JobEvent, ending: Ending = BY_ITSELF) -> None:
        """Tell of one change, after it was saved."""
        self.metrics.tell(event, ending)
        self.throughput.count(event.type, event.status)
        if event.status.is_final:
            self.wake_sender()
        self.watchers.wake(event.job_id)
        self.events.tell(event)

    def submitted(self, job_id: str, type: str) -> None:  # noqa: A002
        """Tell of a new job."""
        if self.events.wanted or self.watchers.any:
            self(JobEvent(job_id, type, Status.PENDING, 1))
        else:
            self.metrics.submitted(type)

    def deleted(self, job_id: str, type: str) -> None:  # noqa: A002
        """Tell of a job that a client has deleted."""
        self.metrics.deleted(type)
        self.watchers.wake(job_id)
        self.events.tell_deleted(DeletedEvent(job_id, type))

    def started(self, claims: Iterable[Claim]) -> None:
        """Tell of attempts that have begun, which only streams want to know: `?wait=` waits for the end."""
        if self.events.wanted or self.watchers.wanted:
            for job in claims:
                self(JobEvent(job.job_id, job.type, Status.RUNNING, job.attempt))

    def succeeded(self, attempts: Sequence[RunningAttempt]) -> None:
        """Tell of attempts whose results are saved."""
        if self.events.wanted or self.watchers.any:
            for attempt in attempts:
                self(attempt.becomes(Status.SUCCESS))
            return
        for type_, count in Counter([attempt.type for attempt in attempts]).items():
            self.metrics.succeeded(type_, count)
            self.throughput.count(type_, Status.SUCCESS, count)
        self.wake_sender()
