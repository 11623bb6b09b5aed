"""What the server counts and measures, as `GET /metrics` shows it to Prometheus.

What happens once a job is kept cheap: a job costs some 140 microseconds of processor time in all, and one observation
by the library's histogram nearly one of them. So durations are counted here, and shown through the library's interface
for collectors; successes are counted a batch at a time. Everything but commits is counted in the event loop's thread.

No label's values grow without bound: types are those that are registered, and of the exceptions' names, which come
from users' functions, so many are told apart and the rest is `other`.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from asyncjob.job import Status
from asyncjob.registry import Jobs

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0)
COMMIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
COMMIT_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
MAX_ERRORS = 50  # names of errors that are told apart
MAX_ERROR_CHARACTERS = 100
OWN_ERRORS = ("Timeout", "WorkerLost", "InvalidResults", "InvalidParameters", "UnknownType")
OTHER = "other"

disable_created_metrics()  # type: ignore[no-untyped-call]  # else a second line for each counter, which nobody reads


class Durations(Collector):
    """A histogram of seconds by the type of job.

    Args:
        name: the metric's.
        documentation: one sentence.
        types: the label's values; of any other type is `other`.
    """

    def __init__(self, name: str, documentation: str, types: Iterable[str]) -> None:
        self._name = name
        self._documentation = documentation
        self._counts = {type_: [0] * (len(DURATIONS) + 1) for type_ in (*types, OTHER)}
        self._sums = dict.fromkeys(self._counts, 0.0)

    def observe(self, type: str, seconds: float) -> None:  # noqa: A002
        """Count one duration; less than nothing, after a clock was set back, is nothing."""
        known = type if type in self._counts else OTHER
        self._counts[known][bisect_left(DURATIONS, seconds)] += 1
        self._sums[known] += max(0.0, seconds)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What was counted, cumulated as Prometheus wants it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=["type"])
        bounds = [*map(str, DURATIONS), "+Inf"]
        for type_, counts in self._counts.items():
            if any(counts):
                buckets = [(bound, float(sum(counts[: place + 1]))) for place, bound in enumerate(bounds)]
                family.add_metric([type_], buckets, self._sums[type_])
        yield family


class Commits:
    """What the writer's thread tells of its transactions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "asyncjob_commit_seconds",
            "Time of a transaction, its fsync included.",
            buckets=COMMIT_SECONDS,
            registry=registry,
        )
        self._rows = Histogram(
            "asyncjob_commit_rows",
            "Submissions, outcomes and other changes in one transaction.",
            buckets=COMMIT_ROWS,
            registry=registry,
        )
        self._failures = Counter(
            "asyncjob_commit_failures",
            "Transactions that could not be saved.",
            registry=registry,
        )

    def saved(self, seconds: float, rows: int) -> None:
        """A transaction is on the disk."""
        self._seconds.observe(seconds)
        self._rows.observe(rows)

    def failed(self) -> None:
        """A transaction was rolled back."""
        self._failures.inc()


class Metrics:
    """The metrics of one server.

    Args:
        jobs: the registry; its types are labels.

    Attributes:
        commits: for the writer.
        waiting: seconds from when an attempt was due until a worker had it.
        running: seconds from then until it ended or was lost.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._registry = registry = CollectorRegistry()
        self._types = frozenset(jobs.names)
        self._errors = set(OWN_ERRORS)
        self._make_counters(registry, jobs)
        self.commits = Commits(registry)
        self.waiting = Durations(
            "asyncjob_waiting_seconds", "Time from when an attempt was due until a worker had it.", jobs.names
        )
        self.running = Durations(
            "asyncjob_running_seconds", "Time from when a worker had an attempt until it ended or was lost.", jobs.names
        )
        registry.register(self.waiting)
        registry.register(self.running)
        ProcessCollector(registry=registry)

    def _make_counters(self, registry: CollectorRegistry, jobs: Jobs) -> None:
        submissions = Counter("asyncjob_submissions", "Jobs that were saved.", ["type"], registry=registry)
        self._submissions = {name: submissions.labels(name) for name in jobs.names}
        self._refusals = Counter(
            "asyncjob_refusals", "Requests that were refused, by HTTP status.", ["status"], registry=registry
        )
        self._outcomes = Counter(
            "asyncjob_outcomes", "Jobs that ended.", ["type", "status", "error"], registry=registry
        )
        self._lost = Counter(
            "asyncjob_attempts_lost",
            "Attempts that counted against a job's retries: lost workers, timeouts, exceptions to be retried.",
            ["type", "error"],
            registry=registry,
        )
        self._put_back = Counter(
            "asyncjob_attempts_put_back",
            "Attempts that ended by no known fault of their job, and counted against nothing.",
            ["reason"],
            registry=registry,
        )
        for reason in ("worker_died", "worker_stuck", "server_ended"):
            self._put_back.labels(reason)
        self._ignored = Counter(
            "asyncjob_worker_messages_ignored",
            "Messages from workers about attempts that had ended, or were not theirs.",
            registry=registry,
        )
        self._restarts = Counter(
            "asyncjob_worker_restarts", "Workers that ended while the server ran.", ["reason"], registry=registry
        )
        for reason in ("died", "retired"):
            self._restarts.labels(reason)
        self._deliveries = Counter(
            "asyncjob_deliveries", "Tries to notify of a job's end.", ["outcome"], registry=registry
        )
        for outcome in ("delivered", "again", "failed"):
            self._deliveries.labels(outcome)

    def watch(self, name: str, documentation: str, value: Callable[[], int]) -> None:
        """Show a number that is asked for whenever the metrics are."""
        Gauge(name, documentation, registry=self._registry).set_function(value)

    def submitted(self, type: str) -> None:  # noqa: A002
        """A job was saved."""
        self._submissions[type].inc()

    def refused(self, status: int) -> None:
        """A request was answered with this HTTP status."""
        self._refusals.labels(str(status)).inc()

    def succeeded(self, types: Iterable[str]) -> None:
        """Jobs of these types, each named as often as it occurs, are a Success."""
        for type_, count in Tally(types).items():
            self._outcomes.labels(self._type(type_), Status.SUCCESS, "").inc(count)

    def failed(self, type: str, error: str) -> None:  # noqa: A002
        """A job is a Failure."""
        self._outcomes.labels(self._type(type), Status.FAILURE, self._error(error)).inc()

    def canceled(self, type: str) -> None:  # noqa: A002
        """A job is Canceled."""
        self._outcomes.labels(self._type(type), Status.CANCELED, "").inc()

    def lost(self, type: str, error: str) -> None:  # noqa: A002
        """An attempt counted against its job's retries."""
        self._lost.labels(self._type(type), self._error(error)).inc()

    def put_back(self, reason: str) -> None:
        """An attempt ended because of something else: `worker_died`, `worker_stuck` or `server_ended`."""
        self._put_back.labels(reason).inc()

    def ignored(self) -> None:
        """A worker told something of an attempt that it does not run."""
        self._ignored.inc()

    def worker_ended(self, reason: str) -> None:
        """A worker is gone: it `died`, or was `retired`, since a job overran its timeout."""
        self._restarts.labels(reason).inc()

    def delivery(self, outcome: str) -> None:
        """A try to notify of a job's end: `delivered`, `again` (it is tried again) or `failed` (it is given up)."""
        self._deliveries.labels(outcome).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _type(self, name: str) -> str:
        return name if name in self._types else OTHER

    def _error(self, name: str) -> str:
        if name not in self._errors:
            if len(self._errors) >= MAX_ERRORS or len(name) > MAX_ERROR_CHARACTERS:
                return OTHER
            self._errors.add(name)
        return name
