"""What functions log, on its way into the server's log and into the store.

Lines gather for a moment, so that logging costs a few commits a second at most; those of an attempt that ends go into
the commit that saves its outcome. Nothing here waits or grows without bound: a job that writes more than is kept loses
lines from the middle, and one that writes faster than the disk loses the newest.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from asyncjob.failure import MAX_TRACEBACK_CHARACTERS
from asyncjob.job import Error, now_ms, timestamp, utc_now
from asyncjob.job_log import BEGIN, Place
from asyncjob.server.logs import Entry, log, log_entries
from asyncjob.server.workers.attempt_log import Allowance, AttemptLog
from asyncjob.server.workers.channel import Line, Logged, Said
from asyncjob.server.workers.lines import MAX_LINE_CHARACTERS, STREAMS, readable
from asyncjob.server.workers.running import RunningAttempt, Worker
from asyncjob.store import KeptLine, LogCut, Store

GATHER_SECONDS = 0.25
MAX_UNSAVED = 8 << 20  # characters, of all jobs
KEPT_ATTEMPTS = 10  # of one job; the lines of earlier ones are deleted


class JobLogs:
    """The lines of one server's attempts.

    Args:
        store: where they are kept.
        saved: called with the ids of jobs of which lines were saved.
    """

    def __init__(self, store: Store, saved: Callable[[set[str]], None]) -> None:
        self._store = store
        self._saved = saved
        self._lines: list[KeptLine] = []
        self._cuts: dict[tuple[str, int], LogCut] = {}
        self._gathered = 0  # characters in those lines
        self._unsaved = 0  # with those that are being written
        self._timer: asyncio.TimerHandle | None = None

    def take(self, attempt: RunningAttempt, logged: Logged) -> None:
        """Show lines, and keep those of an attempt that has not ended."""
        of = _log_of(attempt)
        shown: list[Entry] = []
        for line in logged.lines:
            if line.number <= of.last:
                continue
            at = max(of.began, min(line.at, now_ms()))
            of.allowance.left_out += line.number - of.last - 1
            shown += _shown(of.allowance, at, line, attempt.fields)
            if attempt.recorded:
                of.last = line.number
            else:
                self._keep(attempt, of, at, line)
        log_entries(shown)

    def end(self, attempt: RunningAttempt) -> None:
        """The attempt runs no more: say what the server's log does not have."""
        if attempt.log is not None and attempt.log.allowance.left_out:
            log(logging.INFO, "lines left out", **attempt.fields, lines=attempt.log.allowance.left_out)

    def take_from_nobody(self, worker: Worker, lines: Iterable[Line]) -> None:
        """Show lines of a worker that belong to no attempt."""
        now = now_ms()
        fields: dict[str, object] = {"worker": worker.process.pid}
        log_entries([entry for line in lines for entry in _shown(worker.allowance, min(line.at, now), line, fields)])

    def take_printed(self, worker: Worker, stream: str, lines: list[str], left_out: int) -> None:
        """Show what has come through a worker's standard stream, of which so many lines were left out after these."""
        shown = [readable(line, MAX_LINE_CHARACTERS) for line in lines if line.strip()]
        self.take_from_nobody(worker, [Line(1, now_ms(), STREAMS[stream], stream, line) for line in shown])
        worker.allowance.left_out += left_out

    def take_said(self, worker: Worker, said: Said) -> None:
        """Show a line of the worker's own."""
        if worker.allowance.take() is not None:
            fields = {name: _safe(str(value)) for name, value in said.fields.items()} | {"worker": worker.process.pid}
            log_entries([(utc_now(), said.level, _safe(said.message), fields)])

    def explain(self, attempt: RunningAttempt, level: int, error: Error, traceback: str) -> None:
        """Keep how an attempt has failed as its last line. The server's log has this in words of its own.

        Args:
            attempt: which; its outcome is about to be saved.
            level: of the line.
            error: as the job shows it.
            traceback: where it was raised.
        """
        if attempt.log is None:
            _log_of(attempt).last = self._store.logs.last(*attempt.key)  # an earlier server may have saved some
        of = _log_of(attempt)
        message = readable(f"{error.type}: {error.message}", MAX_LINE_CHARACTERS)
        self._keep(attempt, of, now_ms(), Line(of.last + 1, 0, level, "asyncjob", message, traceback))

    def _keep(self, attempt: RunningAttempt, of: AttemptLog, at: int, line: Line) -> None:
        if self._unsaved + line.size > MAX_UNSAVED:
            of.last = line.number
            return
        if not of.last and attempt.attempt > KEPT_ATTEMPTS:
            self._cut(attempt, BEGIN, Place(attempt.attempt - KEPT_ATTEMPTS + 1, 0))
        if of.keep(line.number, line.size):
            self._cut(attempt, Place(attempt.attempt, of.first), Place(attempt.attempt, of.newest[0][0]))
        self._unsaved += line.size
        self._gathered += line.size
        texts = _safe(line.logger), _safe(line.message), _safe(line.traceback)
        self._lines.append(KeptLine(attempt.job_id, attempt.attempt, line.number, at, line.level, *texts))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)

    def _cut(self, attempt: RunningAttempt, after: Place, before: Place) -> None:
        self._cuts[attempt.job_id, after.attempt] = LogCut(attempt.job_id, after, before)

    def flush(self) -> None:
        """Save what has gathered, in the next commit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        lines, cuts = self._lines, list(self._cuts.values())
        size = self._gathered
        self._lines, self._cuts, self._gathered = [], {}, 0

        def done(written: "asyncio.Future[None]") -> None:
            self._unsaved -= size
            if (error := written.exception()) is None:
                self._saved({line.job_id for line in lines})
            else:
                log(logging.ERROR, "lines of jobs not saved", lines=len(lines), error=str(error))

        self._store.logs.keep(lines, cuts).add_done_callback(done)


def _log_of(attempt: RunningAttempt) -> AttemptLog:
    if attempt.log is None:
        attempt.log = AttemptLog(now_ms() - round((time.monotonic() - attempt.started) * 1000))
    return attempt.log


def _shown(allowance: Allowance, at: int, line: Line, whose: dict[str, object]) -> list[Entry]:
    """The line in the server's log, if there may be one."""
    left_out = allowance.take()
    if left_out is None:
        return []
    fields = whose | {"logger": _safe(line.logger)}
    if left_out:
        fields["left_out"] = left_out
    if line.traceback:
        fields["exception"] = _safe(line.traceback)
    return [(timestamp(at), line.level, _safe(line.message), fields)]


def _safe(text: str) -> str:
    """Text from a worker, which may not have made it readable."""
    return text if text.isprintable() else readable(text, MAX_TRACEBACK_CHARACTERS)
