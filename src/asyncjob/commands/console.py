"""What the command line shows to people: tables, times as people say them, a job's progress.

Text that comes from jobs is shown as it is: rich's markup and terminal escape sequences in it have no effect.
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from asyncjob.client import JobHandle, JobSnapshot, ScheduleSnapshot, WaitTimeout
from asyncjob.commands.client import ANSWER_SECONDS
from asyncjob.commands.output import in_one_line, printable
from asyncjob.job import Status

WIDE = 10_000  # for pipes and files, where nothing is cut or wrapped
WATCH_SECONDS = 1.0
FIRST_LOOK, LONGEST_LOOK = 0.25, 3.0  # seconds between looks at the progress
STYLES = {Status.SUCCESS: "green", Status.FAILURE: "red", Status.RUNNING: "cyan", Status.CANCELED: "yellow"}
COLUMNS = ("ID", "TYPE", "STATUS", "PROGRESS", "CREATED", "TOOK", "")
IMPORTANCE = (0, 2, 1, 4, 5, 3, 6)  # of the columns: which gets its width first
GAP = 2  # between columns
USUAL_ID = 36  # characters of an id that a client or the server makes
MAX_PROGRESS = 30  # characters on a terminal, so that an error keeps some room
UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def show(output: RenderableType) -> None:
    """Print to standard output, as wide as the terminal. Pipes and files get full lines."""
    console = _console(stderr=False)
    if console.is_terminal:
        console.print(output)
    else:
        with console.capture() as captured:
            console.print(output)
        typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(jobs: list[JobSnapshot]) -> RenderableType:
    """Jobs, one per line. An id is whole, however narrow the terminal is."""
    if not jobs:
        return Text("no jobs")
    width = _console(stderr=False).width
    longest = min(width, max(USUAL_ID, width // 2))
    rows = [[_folded(name.plain, longest), *rest] for name, *rest in map(_row, jobs)]
    wanted = [
        max(cell_len(line) for cell in cells for line in cell.plain.split("\n")) for cells in zip(*rows, strict=True)
    ]
    widths = _fit([max(len(name), each) for name, each in zip(COLUMNS, wanted, strict=True)], width)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for place in widths:
        shown.add_column(COLUMNS[place], width=widths[place], no_wrap=True)
    for row in rows:
        shown.add_row(*(row[place] for place in widths))
    return shown


def _folded(job_id: str, width: int) -> Text:
    """An id, broken into lines where it is longer than the width."""
    return Text("\n".join(job_id[start : start + width] for start in range(0, len(job_id), width)))


def _fit(wanted: list[int], width: int) -> dict[int, int]:
    """The width of each column that has room in the line, given to the most important one first."""
    given = {}
    for place in IMPORTANCE:
        most = MAX_PROGRESS if COLUMNS[place] == "PROGRESS" and width < WIDE else width
        if room := min(wanted[place], most, width):
            given[place] = room
        width = max(0, width - room - GAP)
    return {place: given[place] for place in sorted(given)}


def details(job: JobSnapshot) -> RenderableType:
    """A job, one field per line."""
    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column(no_wrap=True, style="bold")
    shown.add_column(overflow="fold")
    rows = [("job", plain(job.job_id)), ("type", plain(job.type)), ("status", _status(job))]
    rows += [(name, plain(msgspec.json.encode(job.document[name]).decode())) for name in ("parameters", "results")
             if name in job.document]  # fmt: skip
    if job.error is not None:
        lines = f"{job.error.type}: {job.error.message}".rstrip().split("\n")
        rows.append(("error", Text("\n".join(printable(line.rstrip().expandtabs()) for line in lines))))
    if job.progress is not None:
        rows.append(("progress", _progress(job)))
    rows.append(("attempt", Text(str(job.attempt))))
    if job.priority:
        rows.append(("priority", Text(str(job.priority))))
    rows += [(name, Text(f"{_local(at)}, {_ago(at)}")) for name, at in (
        ("created", job.created_at), ("started", job.started_at), ("finished", job.finished_at)) if at]  # fmt: skip
    rows += [(name, Text(f"{_local(at)}, {_ahead(at)}")) for name, at in (
        ("runs", job.run_at), ("expires", job.start_by)) if at]  # fmt: skip
    if took := _took(job):
        rows.append(("took", Text(took)))
    for name, value in rows:
        shown.add_row(name, value)
    return shown


def schedules(found: list[ScheduleSnapshot]) -> RenderableType:
    """Schedules, one per line."""
    if not found:
        return Text("no schedules")
    shown = _columns("ID", "TYPE", "WHEN", "NEXT", "LAST", "")
    for one in found:
        when = f"every {_duration(one.every)}" if one.every is not None else f"{one.cron} {one.tz}"
        coming = "paused" if one.paused else "never" if one.next_run_at is None else _local(one.next_run_at)
        last = one.last_run
        status = (
            Text("") if last is None else Text(f"{last.status} {_ago(last.run_at)}", style=STYLES.get(last.status, ""))
        )
        error = "" if last is None or last.error is None else f"{last.error.type}: {last.error.message}".split("\n")[0]
        shown.add_row(plain(one.schedule_id), plain(one.type), plain(when), Text(coming), status, plain(error[:100]))
    return shown


def statistics(counted: dict[str, Any]) -> RenderableType:
    """The counts that counts.py makes, as a table."""
    shown = _columns("TYPE", *(status.upper() for status in Status), "MEDIAN WAIT", "MEDIAN RUN")
    for column in shown.columns[1:]:
        column.justify = "right"
    for each in (*counted["types"], counted["all"]):
        times = [_duration(each[name]) if name in each else "-" for name in ("medianWaitSeconds", "medianRunSeconds")]
        name = plain(each["type"]) if "type" in each else Text("all")
        shown.add_row(name, *(str(each["statuses"].get(status, 0)) for status in Status), *times)
    which = f"the newest {counted['jobs']:,} jobs" if counted["more"] else f"all {counted['jobs']:,} jobs"
    there = ", ".join(f"{count:,} {status}" for status, count in counted.get("statuses", {}).items())
    return Group(shown, Text(which + printable(f"; in all: {there}" if there else ""), style="dim"))


def watch(newest: Callable[[], list[JobSnapshot]], write: Callable[[Any], None] | None) -> None:
    """Show jobs, with their changes, until Ctrl-C.

    Args:
        newest: fetches the jobs.
        write: is given the document of each new or changed job; None to show a table. Without a terminal, new and
            changed jobs are written as text.
    """
    console = _console(stderr=False)
    try:
        if write is None and console.is_terminal:
            with Live(table(newest()), console=console, auto_refresh=False, vertical_overflow="crop") as live:
                while True:
                    time.sleep(WATCH_SECONDS)
                    live.update(table(newest()), refresh=True)
        seen: dict[str, JobSnapshot] = {}
        while True:
            jobs = newest()
            for job in reversed(jobs):
                if seen.get(job.job_id) != job:
                    show(Text("  ").join(_row(job))) if write is None else write(job.document)
            seen = {job.job_id: job for job in jobs}
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def follow(handle: JobHandle[Any], timeout: float | None) -> JobSnapshot:
    """Wait for a job. If standard error is a terminal, show its progress.

    Raises:
        WaitTimeout: it has not ended in time.
        Unreachable: the API has stopped to answer, or never did.
    """
    console = _console(stderr=True)
    deadline = None if timeout is None else time.monotonic() + timeout
    answered = time.monotonic()
    look: float | None = FIRST_LOOK
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    shows = console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not shows) as bar:
        shown = bar.add_task(handle.id, total=None)
        while True:
            left = look
            if deadline is not None:
                left = max(0.0, min(deadline - time.monotonic(), math.inf if look is None else look))
            try:
                return handle.wait(left)
            except WaitTimeout as error:
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    raise
                if error.__cause__ is None:
                    answered = now
                elif now - answered >= ANSWER_SECONDS:
                    raise error.__cause__ from None
                if error.job is not None:
                    bar.update(shown, **_advance(error.job))
                longer = min(LONGEST_LOOK, max(FIRST_LOOK, 1.2 * (look or 0)))
                look = longer if shows or error.__cause__ is not None else None  # nobody looks, and the API is there


def _advance(job: JobSnapshot) -> dict[str, Any]:
    """How far a job is, for the bar that shows it."""
    said = job.progress
    fraction = None if said is None else said.fraction
    words = plain(str((said and said.message) or job.status)).plain
    return {"total": fraction and 1.0, "completed": fraction or 0, "description": words}


def plain(text: str) -> Text:
    """Text of one line that cannot control a terminal: unprintable characters are shown as escapes."""
    return Text(in_one_line(text))


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, markup=False, width=WIDE)


def _columns(*names: str) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        shown.add_column(name, no_wrap=name != "")
    return shown


def _row(job: JobSnapshot) -> list[Text]:
    error = "" if job.error is None else f"{job.error.type}: {job.error.message}".split("\n")[0][:100]
    created = Text(_ago(job.created_at))
    return [plain(job.job_id), plain(job.type), _status(job), _progress(job), created, Text(_took(job)), plain(error)]


def _status(job: JobSnapshot) -> Text:
    return Text(job.status, style=STYLES.get(job.status, ""))


def _progress(job: JobSnapshot) -> Text:
    if job.status is Status.PENDING and job.run_at is not None:
        return Text(f"runs {_ahead(job.run_at)}")
    return (
        Text() if job.progress is None else plain(f"{job.progress.fraction:.0%} {job.progress.message or ''}".strip())
    )


def _took(job: JobSnapshot) -> str:
    if job.started_at is None or job.status is Status.PENDING:
        return ""
    return _duration(((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds())


def _local(at: datetime) -> str:
    try:
        return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):  # in the first year, or the last
        return str(at)


def _ahead(at: datetime) -> str:
    seconds = (at - datetime.now(UTC)).total_seconds()
    return f"in {_duration(int(seconds))}" if seconds >= 1 else _ago(at)


def _ago(at: datetime) -> str:
    seconds = (datetime.now(UTC) - at).total_seconds()
    return "now" if seconds < 1 else f"{_duration(int(seconds))} ago"


def _duration(seconds: float) -> str:
    """As people say it: `4ms`, `2.5s`, `42s`, `3m`, `5h`, `2d`."""
    for unit, size in UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.3g}s"
