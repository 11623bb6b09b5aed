"""The commands for users of an API: submit, get, wait, list, logs, cancel, delete, run-now, retry, stats and more.

Most call the client's method of that name and print the result for people or, with --json, for programs: one JSON
document per line on standard output. An error is one line on standard error, and the exit status says what kind it was.
"""

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from asyncjob.commands.completion import types
from asyncjob.commands.connection import FAILED, UNREACHABLE, USAGE, connected, reported, with_each
from asyncjob.commands.help import CommandLine
from asyncjob.commands.logs import logs
from asyncjob.commands.options import LOCAL, Filter, JobIds, Json, Key, Signed, Timeout, TypeFilter, Url, Wait, seconds
from asyncjob.commands.output import complain, fail, in_one_line, print_json, say
from asyncjob.commands.parameters import Body, Words, parse_words
from asyncjob.commands.schedules import app as schedules
from asyncjob.commands.submission import Delay, Notify, Priority, RunAt, StartBy, options_of
from asyncjob.contract import MAX_PAGE
from asyncjob.job import Status

if TYPE_CHECKING:  # the client and its libraries are imported by the commands that need them
    from asyncjob.client import Client, JobHandle, JobSnapshot
    from asyncjob.commands.soundness import Finding

app = CommandLine()
app.add_typer(schedules, name="schedules")
app.command()(logs)


@app.command()
def submit(
    words: Words = None,
    body: Body = None,
    job_id: Annotated[
        str | None, typer.Option("--id", help="The job's id.", show_default="a new one", metavar="ID")
    ] = None,
    delay: Delay = None,
    run_at: RunAt = None,
    priority: Priority = None,
    start_by: StartBy = None,
    notify: Notify = None,
    wait: Wait = False,
    timeout: Timeout = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Submit a job, such as `asyncjob submit resize width=640`; print its id."""
    function, parameters = parse_words(words or [], body)
    if job_id is not None:
        parameters["jobId"] = job_id
    options = options_of(delay, run_at, priority, start_by, notify)
    deadline = _deadline(timeout)
    with connected(url, api_key, aws_iam) as client:
        handle = client.submit(function, options, **parameters)
        if handle.duplicate:
            complain("there is such a job already, so this one was not begun")
        if wait or timeout is not None:
            sys.exit(_finish([handle], deadline, as_json))
        _print_id(handle, as_json)


@app.command()
def get(job_ids: JobIds, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False) -> None:
    """Show jobs as they are now."""
    with connected(url, api_key, aws_iam) as client:
        status, _ = _show_each(_handles(client, job_ids), lambda handle: handle.get(), as_json)
        sys.exit(status)


@app.command()
def wait(
    job_ids: JobIds,
    timeout: Timeout = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Wait until jobs have ended, and show them; exit with 1 if one failed or was canceled."""
    with connected(url, api_key, aws_iam) as client:
        sys.exit(_finish(_handles(client, job_ids), _deadline(timeout), as_json))


@app.command("list")
def list_jobs(
    status: Filter = None,
    function: TypeFilter = None,
    limit: Annotated[int, typer.Option(help="How many jobs.", min=1)] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing changes until Ctrl-C.")] = False,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    from asyncjob.commands import console

    with connected(url, api_key, aws_iam) as client:

        def newest() -> "list[JobSnapshot]":
            jobs = client.list(status=status, type=function, page_size=min(limit, MAX_PAGE))
            return list(itertools.islice(jobs, limit))

        if watch:
            _check_type(client, function)
            console.watch(newest, print_json if as_json else None)
            return
        jobs = newest()
        if not jobs:
            _check_type(client, function)
        if as_json:
            for job in jobs:
                print_json(job.document)
        else:
            console.show(console.table(jobs))


@app.command()
def cancel(
    job_ids: JobIds, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Cancel jobs. A running function is told."""
    with connected(url, api_key, aws_iam) as client:
        status, _ = _show_each(_handles(client, job_ids), lambda handle: handle.cancel(), as_json)
        sys.exit(status)


@app.command()
def delete(
    job_ids: JobIds, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Delete jobs that have ended; print their ids."""
    with connected(url, api_key, aws_iam) as client:
        sys.exit(_change_each(_handles(client, job_ids), lambda handle: handle.delete(), as_json))


@app.command("run-now")
def run_now(
    job_ids: JobIds, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Run jobs now that wait for a time; print their ids."""
    with connected(url, api_key, aws_iam) as client:
        sys.exit(_change_each(_handles(client, job_ids), lambda handle: handle.run_now(), as_json))


@app.command()
def retry(
    job_ids: JobIds,
    wait: Wait = False,
    timeout: Timeout = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Run ended jobs again; print their ids."""
    waits, deadline = wait or timeout is not None, _deadline(timeout)
    retried = []

    def run_again(handle: "JobHandle[Any]") -> None:
        handle.retry()
        retried.append(handle)
        if not waits:
            _print_id(handle, as_json)

    with connected(url, api_key, aws_iam) as client:
        status = with_each(_handles(client, job_ids), run_again)
        sys.exit(max(status, _finish(retried, deadline, as_json) if waits else 0))


@app.command()
def stats(url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False) -> None:
    """Count jobs by status, and the newest 1,000 by type and status, with the medians of their times."""
    from asyncjob.commands import console, counts

    with connected(url, api_key, aws_iam) as client:
        counted = counts.newest(client)
        if as_json:
            print_json(counted)
        else:
            console.show(console.statistics(counted))


@app.command()
def openapi(
    target: Annotated[
        str | None,
        typer.Argument(help="Job functions, as `serve` takes them. Without it, the document of the API."),
    ] = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Print the OpenAPI document of an API, or of the job functions in a file."""
    if target is None:
        with connected(url, api_key, aws_iam) as client:
            document = client.openapi()
    else:
        document = _described(target)
    print_json(document, pretty=not as_json)


@app.command()
def check(
    target: Annotated[str | None, typer.Argument(help="Job functions to load, as `serve` takes them.")] = None,
    database: Annotated[
        Path | None, typer.Option(help="A server's SQLite file to check; it may be in use.", metavar="FILE")
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            help="The body of a job that may be run a few times to try the contract.",
            metavar="JSON",
            show_default="the built-in sleep, where the API has it",
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--look", help="Only look: submit no jobs.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds in which that job ends.", min=0, callback=seconds, metavar="SECONDS")
    ] = 60.0,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Check an API by the contract, and a file of job functions and a database; exit with 1 if one is not sound."""
    from asyncjob.commands import soundness

    findings = []

    def tell(finding: soundness.Finding) -> None:
        findings.append(finding)
        if as_json:
            absent = {"absent": True} if finding.absent else {}
            print_json({"part": finding.part, "sound": finding.sound, "message": finding.message, **absent})
        else:
            mark = "-- " if finding.absent else "ok " if finding.sound else "BAD"
            say(f"{mark}  {finding.part:9}  {in_one_line(finding.message)}")

    with connected(url, api_key, aws_iam) as client:
        tell(soundness.server(client, url))
    if findings[0].sound and not look:
        _check_contract(tell, None if job is None else _body(job), timeout, (url, api_key, aws_iam))
    if target is not None:
        tell(soundness.registry(target))
    if database is not None:
        tell(soundness.database(database))
    if any(not finding.sound and finding.reachable for finding in findings):
        sys.exit(FAILED)
    if not all(finding.sound for finding in findings):
        sys.exit(UNREACHABLE)


def _check_type(client: "Client", function: str | None) -> None:
    """Refuse a type of which there is neither a job nor a function. An API may list jobs, and not say which it runs."""
    from asyncjob.client import Refused

    if function is None or next(client.list(type=function, page_size=1), None) is not None:
        return
    try:
        names = types(client)
    except Refused:
        return
    if names is not None and function not in names:
        fail(f"there is no function {function!r} here, only {', '.join(names)}", USAGE)


def _body(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        fail(f"--job is not a JSON object: {error}", USAGE)


def _check_contract(
    tell: "Callable[[Finding], None]", job: dict[str, Any] | None, timeout: float, api: tuple[str, str | None, bool]
) -> None:
    import httpx

    from asyncjob.client.connection import http_client
    from asyncjob.commands.contract_check import contract

    with reported(), http_client(httpx.Client, *api) as http:
        for finding in contract(http, job, timeout):
            tell(finding)


def _described(target: str) -> dict[str, Any]:
    """What `asyncjob serve` publishes of these functions, if nothing else is set."""
    from asyncjob.loading import load, unmoved
    from asyncjob.openapi import document
    from asyncjob.options import WIRE_NAMES
    from asyncjob.signature import RegistrationError
    from asyncjob.version import __version__

    options = [name for name in WIRE_NAMES.values() if name != "notify"]  # which it takes with --notify-allow alone
    try:
        with unmoved():
            return document(load(target), __version__, options=options, key_needed=False)
    except RegistrationError as error:
        fail(error, USAGE)


def _handles(client: "Client", job_ids: list[str]) -> "list[JobHandle[Any]]":
    """The handles of jobs, of each one once. An id that no job can have is a mistake before anything is done."""
    return [client.job(job_id) for job_id in dict.fromkeys(job_ids)]


def _change_each(handles: "list[JobHandle[Any]]", change: "Callable[[JobHandle[Any]], None]", as_json: bool) -> int:
    """Change jobs, and print the id of each once that is done; the exit status."""

    def apply(handle: "JobHandle[Any]") -> None:
        change(handle)
        _print_id(handle, as_json)

    return with_each(handles, apply)


def _print_id(handle: "JobHandle[Any]", as_json: bool) -> None:
    if as_json:
        print_json({"jobId": handle.id, **({"duplicate": True} if handle.duplicate else {})})
    else:
        typer.echo(handle.id)


def _deadline(timeout: float | None) -> float | None:
    """When `--timeout` is over, on the monotonic clock."""
    return None if timeout is None else time.monotonic() + timeout


def _finish(handles: "list[JobHandle[Any]]", deadline: float | None, as_json: bool) -> int:
    """Wait for jobs, and show each; the exit status."""
    from asyncjob.commands import console

    def follow(handle: "JobHandle[Any]") -> "JobSnapshot":
        return console.follow(handle, None if deadline is None else max(0.0, deadline - time.monotonic()))

    status, jobs = _show_each(handles, follow, as_json)
    return max(status, FAILED if any(job.status is not Status.SUCCESS for job in jobs) else 0)


def _show_each(
    handles: "list[JobHandle[Any]]", ask: "Callable[[JobHandle[Any]], JobSnapshot]", as_json: bool
) -> "tuple[int, list[JobSnapshot]]":
    """Show jobs, each as soon as it was asked for; the exit status, and those that there are."""
    shown: list[JobSnapshot] = []

    def show(handle: "JobHandle[Any]") -> None:
        job = ask(handle)
        if shown and not as_json:
            say("")
        shown.append(job)
        _show(job, as_json)

    return with_each(handles, show), shown


def _show(job: "JobSnapshot", as_json: bool) -> None:
    from asyncjob.commands import console

    if as_json:
        print_json(job.document)
    else:
        console.show(console.details(job))
