"""The command `asyncjob`: parses arguments, and turns the errors that a user can mend into one line."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from asyncjob import RegistrationError, __version__

app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


class LogFormat(StrEnum):
    """How log lines look."""

    text = "text"
    json = "json"


class LogLevel(StrEnum):
    """The least level that is logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def _version(value: bool) -> None:
    if value:
        typer.echo(f"asyncjob {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run what takes longer than an HTTP request should: POST a job, get 202, ask later how it went."""


def _duration(text: str) -> float:
    from asyncjob.local.settings import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def serve(
    target: Annotated[
        str | None,
        typer.Argument(
            envvar="ASYNCJOB_TARGET",
            help="Your job functions: file.py, package.module, or either with :name. Without it, the built-in sleep.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(envvar="ASYNCJOB_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="ASYNCJOB_PORT", min=0, max=65535, help="TCP port; 0 for any free one.")
    ] = 8000,
    database: Annotated[Path, typer.Option(envvar="ASYNCJOB_DATABASE", help="The SQLite file.")] = Path("jobs.db"),
    workers: Annotated[
        int | None,
        typer.Option(envvar="ASYNCJOB_WORKERS", min=1, max=1_000, show_default="one a core", help="Worker processes."),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(envvar="ASYNCJOB_CONCURRENCY", min=1, max=100_000, help="Jobs at once, in all workers together."),
    ] = 1_000,
    max_pending: Annotated[
        int, typer.Option(envvar="ASYNCJOB_MAX_PENDING", min=1, help="Jobs that may wait; above it, 429.")
    ] = 100_000,
    keep: Annotated[
        float | None,
        typer.Option(
            envvar="ASYNCJOB_KEEP",
            parser=_duration,
            metavar="DURATION",
            show_default="for ever",
            help="Delete final jobs after this time, such as 30d or 12h.",
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(envvar="ASYNCJOB_GRACE", min=0, help="Seconds that running jobs get when the server is stopped."),
    ] = 10.0,
    backoff: Annotated[
        float,
        typer.Option(
            envvar="ASYNCJOB_BACKOFF",
            min=0,
            help="Seconds before the second attempt, at most; twice as many before each further one.",
        ),
    ] = 1.0,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="ASYNCJOB_API_KEY",
            show_default="none",
            help="What clients must send as x-api-key. Better given in the environment: arguments are seen by others.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", envvar="ASYNCJOB_INSECURE", help="Allow a --host beyond this machine without an API key."
        ),
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="ASYNCJOB_LOG_FORMAT", help="For people, or for programs.")
    ] = LogFormat.text,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="ASYNCJOB_LOG_LEVEL", help="The least level that is logged.")
    ] = LogLevel.info,
) -> None:
    """Serve the API on this machine: HTTP, a SQLite file, worker processes. Ctrl-C or SIGTERM stops it gently."""
    # Imported here: the server's libraries are not needed to print a help text.
    from asyncjob.local.database import DatabaseError
    from asyncjob.local.server import AddressError
    from asyncjob.local.server import serve as run
    from asyncjob.local.settings import Settings, SettingsError, default_workers

    try:
        settings = Settings(
            target=target,
            host=host,
            port=port,
            database=database,
            workers=workers or default_workers(),
            concurrency=concurrency,
            max_pending=max_pending,
            keep=keep,
            grace=grace,
            backoff=backoff,
            api_key=api_key,
            insecure=insecure,
            log_format=log_format.value,
            log_level=log_level.value,
        )
        run(settings)
    except (SettingsError, RegistrationError, DatabaseError, AddressError) as error:
        typer.echo(f"asyncjob: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
