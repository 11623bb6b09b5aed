"""What the server counts and measures.

Nothing else knows of metrics. What becomes of jobs comes in as the stream of changes that every listener reads; what
other parts count for themselves (workers that ended, tries of notifications) is read when the metrics are.

A job costs about 140 microseconds of processor time in all, and one observation by Prometheus' library nearly one of
them; to import it costs 2 MB, and most servers are never asked. So everything is counted here, and exposition.py shows
it in the library's words. Everything but commits is counted in the event loop's thread.

No label has values without bound: types are those that are registered, and of the names of exceptions, which come from
users' functions, the first 50 are told apart and the rest is `other`.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from asyncjob.job import Status
from asyncjob.registry import Jobs
from asyncjob.server.endings import BY_ITSELF, Ending, Reason
from asyncjob.server.events import JobEvent
from asyncjob.server.settings import Settings
from asyncjob.server.workers.supervisor import Supervisor
from asyncjob.store import Store

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
COMMIT_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
MAX_ERRORS = 50  # names of errors that are told apart
MAX_ERROR_CHARACTERS = 100
OWN_ERRORS = (
    *("Timeout", "WorkerLost", "OutOfMemory", "Expired", "RetryLater"),
    *("InvalidResults", "InvalidParameters", "UnknownType"),
)
OTHER = "other"
PUT_BACK = (Reason.POSTPONED, Reason.WORKER_DIED, Reason.WORKER_STUCK, Reason.SERVER_ENDED)

Tallies = int | Mapping[str, int] | Mapping[tuple[str, ...], int]  # without labels; by that of one, those of several


class Kind(Enum):
    """What a number says."""

    COUNTER = "counter"
    """How often something has happened since the server was started."""
    GAUGE = "gauge"
    """How much there is now."""


@dataclass(frozen=True)
class Number:
    """A metric of one number, or of one for each value of its labels.

    Attributes:
        kind: what it says.
        name: the metric's.
        documentation: one sentence.
        labels: their names.
        read: gives the numbers.
    """

    kind: Kind
    name: str
    documentation: str
    labels: Sequence[str]
    read: Callable[[], Tallies]


class Histogram:
    """How often a value was in each of several ranges.

    Attributes:
        name: the metric's.
        documentation: one sentence.
        bounds: the largest value of each range but the last, which has no bound.
        counts: how many values were in each range, by the label `type`, or for "" if it has no label.
        sums: of the values, likewise.

    Args:
        types: the values of the label `type`; of any other type is `other`. None for a histogram without it.
    """

    def __init__(
        self, name: str, documentation: str, bounds: Sequence[float], types: Iterable[str] | None = None
    ) -> None:
        self.name = name
        self.documentation = documentation
        self.bounds = bounds
        self.counts = {type_: [0] * (len(bounds) + 1) for type_ in ([""] if types is None else [*types, OTHER])}
        self.sums = dict.fromkeys(self.counts, 0.0)

    def observe(self, type: str, value: float) -> None:  # noqa: A002
        """Count one value; less than nothing, as of a clock that was set back, is nothing."""
        if type not in self.counts:
            type = OTHER  # noqa: A001
        self.counts[type][bisect_left(self.bounds, value)] += 1
        if value > 0:
            self.sums[type] += value


class Commits:
    """What the store tells of its transactions.

    Attributes:
        seconds: that each took.
        rows: that each wrote.
        failures: how many were rolled back.
    """

    def __init__(self) -> None:
        self.seconds = Histogram(
            "asyncjob_commit_seconds", "Time of a transaction, its fsync included.", COMMIT_SECONDS
        )
        self.rows = Histogram(
            "asyncjob_commit_rows", "Submissions, outcomes and other changes in one transaction.", COMMIT_ROWS
        )
        self.failures = 0

    def saved(self, seconds: float, rows: int) -> None:
        """A transaction is on the disk."""
        self.seconds.observe("", seconds)
        self.rows.observe("", rows)

    def failed(self) -> None:
        """A transaction was rolled back."""
        self.failures += 1


class Metrics:
    """The metrics of one server.

    Args:
        jobs: the registry; its types are labels.

    Attributes:
        shown: all metrics, in the order in which they are shown.
        commits: for what the store tells of its transactions.
        waiting: seconds from when an attempt was due until a worker had it.
        running: seconds from then until it ended or was lost.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.shown: list[Number | Histogram] = []
        self._types = frozenset(jobs.names)
        self._errors = {"", *OWN_ERRORS}
        self._submissions: Tally[str] = Tally(dict.fromkeys(jobs.names, 0))
        self._outcomes: Tally[tuple[str, ...]] = Tally()
        self._deletions: Tally[str] = Tally(dict.fromkeys(jobs.names, 0))
        self._lost: Tally[tuple[str, ...]] = Tally()
        self._put_back: Tally[str] = Tally(dict.fromkeys(PUT_BACK, 0))
        self._refusals: Tally[str] = Tally()
        self._show()
        self.commits = Commits()
        self.shown += [self.commits.seconds, self.commits.rows]
        self.count(
            "asyncjob_commit_failures", "Transactions that could not be saved.", [], lambda: self.commits.failures
        )
        self.waiting = Histogram(
            "asyncjob_waiting_seconds",
            "Time from when an attempt was due until a worker had it.",
            DURATIONS,
            jobs.names,
        )
        self.running = Histogram(
            "asyncjob_running_seconds",
            "Time from when a worker had an attempt until it ended or was lost.",
            DURATIONS,
            jobs.names,
        )
        self.shown += [self.waiting, self.running]

    def _show(self) -> None:
        self.count("asyncjob_submissions", "Jobs that were saved.", ["type"], lambda: self._submissions)
        self.count(
            "asyncjob_refusals", "Requests that were refused, by HTTP status.", ["status"], lambda: self._refusals
        )
        self.count("asyncjob_outcomes", "Jobs that ended.", ["type", "status", "error"], lambda: self._outcomes)
        self.count("asyncjob_deletions", "Jobs that clients deleted.", ["type"], lambda: self._deletions)
        self.count(
            "asyncjob_attempts_lost",
            "Attempts that counted against a job's retries: lost workers, timeouts, exceptions to be retried.",
            ["type", "error"],
            lambda: self._lost,
        )
        self.count(
            "asyncjob_attempts_put_back",
            "Attempts that ended by no known fault of their job, and did not count against its retries.",
            ["reason"],
            lambda: self._put_back,
        )

    def count(self, name: str, documentation: str, labels: list[str], read: Callable[[], Tallies]) -> None:
        """Show counts that are read whenever the metrics are."""
        self.shown.append(Number(Kind.COUNTER, name, documentation, labels, read))

    def gauge(self, name: str, documentation: str, read: Callable[[], int]) -> None:
        """Show a number that is read whenever the metrics are."""
        self.shown.append(Number(Kind.GAUGE, name, documentation, [], read))

    def measure(
        self, settings: Settings, store: Store, workers: Supervisor, tries: Callable[[], Mapping[str, int]]
    ) -> None:
        """Show what other parts count for themselves; `tries` counts notifications by what became of them."""
        gauge, count = self.gauge, self.count
        gauge("asyncjob_waiting", "Jobs that wait for their turn.", lambda: store.pending)
        gauge("asyncjob_waiting_limit", "Jobs that may wait: --max-pending.", lambda: settings.max_pending)
        gauge(
            "asyncjob_scheduled",
            "Jobs that wait for a time: delayed, or between attempts.",
            lambda: store.scheduled,
        )
        gauge("asyncjob_scheduled_limit", "Jobs that may: --max-scheduled.", lambda: settings.max_scheduled)
        gauge("asyncjob_limited", "Waiting jobs that a limit of their function holds back.", lambda: store.limited)
        gauge("asyncjob_lingering", "Ended jobs whose function goes on and holds its place.", lambda: store.lingering)
        gauge("asyncjob_running", "Jobs that run.", lambda: workers.running)
        gauge("asyncjob_running_limit", "Jobs that may run at once: --concurrency.", lambda: settings.concurrency)
        places = workers.places
        gauge("asyncjob_awaiting", "Running jobs without a place: they wait for others.", lambda: places.awaiting)
        gauge("asyncjob_workers", "Worker processes that take jobs.", lambda: workers.ready_workers)
        count(
            "asyncjob_worker_restarts",
            "Workers that ended while the server ran.",
            ["reason"],
            lambda: workers.processes.ended,
        )
        count(
            "asyncjob_worker_messages_ignored",
            "Messages from workers about attempts that had ended, or were not theirs.",
            [],
            lambda: workers.ignored,
        )
        count("asyncjob_deliveries", "Tries to notify of a job's end.", ["outcome"], tries)

    def measure_schedules(self, outcomes: Callable[[], Mapping[str, int]], lateness: Callable[[], int]) -> None:
        """Show what has become of the times that schedules name, and for how long one is due."""
        self.count("asyncjob_schedule_occurrences", "Times that schedules named.", ["outcome"], outcomes)
        text = "How long the time of a schedule that was due first is over."
        self.gauge("asyncjob_schedule_lateness_seconds", text, lateness)

    def tell(self, event: JobEvent, ending: Ending = BY_ITSELF) -> None:
        """Count what became of a job."""
        status = event.status
        if status is Status.RUNNING:
            return
        type_ = event.type if event.type in self._types else OTHER
        if status is not Status.PENDING:
            self._outcomes[type_, status, self._error(ending.error)] += 1
        elif event.attempt == 1:
            self._submissions[type_] += 1
        if ending is BY_ITSELF:
            return
        if ending.reason is Reason.LOST:
            self._lost[type_, self._error(ending.error)] += 1
        elif ending.reason in PUT_BACK:
            self._put_back[ending.reason] += 1

    def submitted(self, type: str) -> None:  # noqa: A002
        """A new job was saved."""
        self._submissions[type if type in self._types else OTHER] += 1

    def deleted(self, type: str) -> None:  # noqa: A002
        """A client has deleted a job."""
        self._deletions[type if type in self._types else OTHER] += 1

    def succeeded(self, type: str, count: int) -> None:  # noqa: A002
        """That many jobs of a type have succeeded."""
        self._outcomes[type if type in self._types else OTHER, Status.SUCCESS, ""] += count

    def refused(self, status: int) -> None:
        """A request was answered with this HTTP status."""
        self._refusals[str(status)] += 1

    def _error(self, name: str) -> str:
        if name not in self._errors:
            if len(self._errors) > MAX_ERRORS or len(name) > MAX_ERROR_CHARACTERS:
                return OTHER
            self._errors.add(name)
        return name
