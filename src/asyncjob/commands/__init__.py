"""The commands for users of an API: submit, get, wait, list, cancel, retry, stats, openapi, check.

Most call the client's method of that name and print the result for people or, with --json, for programs: one JSON
document per line on standard output. An error is one line on standard error, and the exit status says what kind it was.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from asyncjob.commands.output import fail, print_json, say
from asyncjob.contract import MAX_PAGE
from asyncjob.job import Status

if TYPE_CHECKING:  # the client and its libraries are imported by the commands that need them
    from asyncjob.client import Client, JobHandle, JobSnapshot
    from asyncjob.commands.soundness import Finding

app = typer.Typer()

FAILED, USAGE, UNREACHABLE, TIMED_OUT, INTERRUPTED = 1, 2, 3, 124, 130  # the last two as timeout(1) and shells do
RETRIES = 2  # a person is waiting

Url = Annotated[str, typer.Option(envvar="ASYNCJOB_URL", help="Where the API is.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="ASYNCJOB_API_KEY",
        help="Sent as x-api-key. Prefer the environment variable: others can see arguments.",
        show_default="none",
    ),
]
Signed = Annotated[
    bool, typer.Option("--aws-iam", envvar="ASYNCJOB_AWS_IAM", help="Sign requests, for an API with AWS_IAM.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document per line.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job has ended, and show it.")]
Timeout = Annotated[
    float | None,
    typer.Option(help="Wait for at most this many seconds, then exit with 124.", min=0, show_default="none"),
]
Filter = Annotated[Status | None, typer.Option("--status", help="Only jobs with this status.")]
TypeFilter = Annotated[str | None, typer.Option("--type", help="Only jobs of this function.")]
LOCAL = "http://127.0.0.1:8000"


@app.command()
def submit(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TYPE|NAME=VALUE",
            help="The job function, then its parameters. A VALUE that is not JSON is a string.",
            show_default=False,
        ),
    ] = None,
    body: Annotated[
        typer.FileText | None, typer.Option(help="A file with a JSON object of parameters; - is standard input.")
    ] = None,
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id.", show_default="a new one")] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Submit a job, such as `asyncjob submit resize width=640`; print its id."""
    function, parameters = _request(words or [], body)
    if job_id is not None:
        parameters["jobId"] = job_id
    with _connected(url, api_key, aws_iam) as client:
        _accepted(client.submit(function, **parameters), wait, timeout, as_json)


@app.command()
def get(job_id: JobId, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False) -> None:
    """Show a job as it is now."""
    with _connected(url, api_key, aws_iam) as client:
        _show(client.get(job_id), as_json)


@app.command()
def wait(
    job_id: JobId,
    timeout: Timeout = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Wait until a job has ended, and show it; exit with 1 if it failed or was canceled."""
    with _connected(url, api_key, aws_iam) as client:
        _finish(client.job(job_id), timeout, as_json)


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

    with _connected(url, api_key, aws_iam) as client:

        def newest() -> "list[JobSnapshot]":
            jobs = client.list(status=status, type=function, page_size=min(limit, MAX_PAGE))
            return list(itertools.islice(jobs, limit))

        if watch:
            console.watch(newest, print_json if as_json else None)
        elif as_json:
            for job in newest():
                print_json(job.document)
        else:
            console.show(console.table(newest()))


@app.command()
def cancel(
    job_id: JobId, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Cancel a job. A running function is told."""
    with _connected(url, api_key, aws_iam) as client:
        _show(client.job(job_id).cancel(), as_json)


@app.command()
def retry(
    job_id: JobId,
    wait: Wait = False,
    timeout: Timeout = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Run a job that has ended again; print its id."""
    with _connected(url, api_key, aws_iam) as client:
        handle = client.job(job_id)
        handle.retry()
        _accepted(handle, wait, timeout, as_json)


@app.command()
def stats(url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False) -> None:
    """Count jobs by status, and the newest 1,000 by type and status, with the medians of their times."""
    from asyncjob.commands import console, counts

    with _connected(url, api_key, aws_iam) as client:
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
        with _connected(url, api_key, aws_iam) as client:
            document = client.openapi()
    else:
        document = _described(target)
    print_json(document, pretty=not as_json)


@app.command()
def check(
    target: Annotated[str | None, typer.Argument(help="Job functions to load, as `serve` takes them.")] = None,
    database: Annotated[Path | None, typer.Option(help="A server's SQLite file to check; it may be in use.")] = None,
    job: Annotated[
        str | None,
        typer.Option(
            help="The body of a job that may be run a few times to try the contract, JSON.",
            show_default="the built-in sleep, where the API has it",
        ),
    ] = None,
    look: Annotated[bool, typer.Option("--look", help="Only look: submit no jobs.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds in which that job ends.", min=0)] = 60.0,
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
            say(f"{mark}  {finding.part:9}  {finding.message}")

    with _connected(url, api_key, aws_iam) as client:
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

    with _reported(), http_client(httpx.Client, *api) as http:
        for finding in contract(http, job, timeout):
            tell(finding)


@contextmanager
def _connected(url: str, api_key: str | None, aws_iam: bool) -> "Iterator[Client]":
    """A client, and what it raises as a line and an exit status."""
    from asyncjob.client import Client

    with _reported(), Client(url, api_key=api_key, aws_iam=aws_iam, retries=RETRIES) as client:
        yield client


@contextmanager
def _reported() -> Iterator[None]:
    """What the client raises, as a line and an exit status."""
    from asyncjob.client import ClientError, Refused, Unreachable, WaitTimeout

    try:
        yield
    except WaitTimeout as error:
        fail(error, TIMED_OUT)
    except Unreachable as error:
        fail(f"{error}. `asyncjob serve` starts a server here; --url names another", UNREACHABLE)
    except Refused as error:
        fail(error, UNREACHABLE if error.status >= 500 or error.status == 429 else USAGE)
    except (ClientError, ValueError, OverflowError) as error:
        fail(error, USAGE)
    except RecursionError:
        fail("the API's answer is nested too deeply for this Python to write", UNREACHABLE)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)


def _request(words: list[str], body: typer.FileText | None) -> tuple[str | None, dict[str, Any]]:
    """The type and the parameters given on the command line."""
    function = words.pop(0) if words and "=" not in words[0] else None
    parameters: dict[str, Any] = {}
    if body is not None:
        try:
            parameters = msgspec.json.decode(body.read(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, OSError, RecursionError) as error:
            fail(f"{body.name if isinstance(body.name, str) else '<stdin>'} is not a JSON object: {error}", USAGE)
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            fail(f"{word!r} is not a parameter: write NAME=VALUE", USAGE)
        if not _is_text(word):
            fail(f"{word!r} is not UTF-8", USAGE)
        parameters[name] = _value(value)
    return function, parameters


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text
    except RecursionError:
        fail("a parameter is JSON that is nested too deeply for this Python to read", USAGE)


def _is_text(word: str) -> bool:
    """False for an argument that is not UTF-8: Python passes such bytes on as surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(target: str) -> dict[str, Any]:
    from asyncjob.loading import load, unmoved
    from asyncjob.openapi import document
    from asyncjob.signature import RegistrationError
    from asyncjob.version import __version__

    try:
        with unmoved():
            return document(load(target), __version__)
    except RegistrationError as error:
        fail(error, USAGE)


def _accepted(handle: "JobHandle", wait: bool, timeout: float | None, as_json: bool) -> None:
    if wait or timeout is not None:
        _finish(handle, timeout, as_json)
    elif as_json:
        print_json({"jobId": handle.id})
    else:
        typer.echo(handle.id)


def _finish(handle: "JobHandle", timeout: float | None, as_json: bool) -> None:
    from asyncjob.commands import console

    job = console.follow(handle, timeout)
    _show(job, as_json)
    if job.status is not Status.SUCCESS:
        sys.exit(FAILED)


def _show(job: "JobSnapshot", as_json: bool) -> None:
    from asyncjob.commands import console

    if as_json:
        print_json(job.document)
    else:
        console.show(console.details(job))
