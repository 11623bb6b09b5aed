"""The command `asyncjob`: parses arguments, and tells a user's mistakes in one line each.

It also decides how its process starts and ends, so that no user's function can: with all standard streams open, and
with the right exit status soon after its work is done.
"""

import errno
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from asyncjob import commands, streams
from asyncjob.aws.build.lambdas import DEFAULT_PYTHON, MAX_TIMEOUT, Architecture, Python
from asyncjob.commands.connection import USAGE
from asyncjob.commands.help import CommandLine
from asyncjob.commands.output import complain, fail, say
from asyncjob.extras import needs
from asyncjob.server.logs import LogFormat, LogLevel
from asyncjob.server.settings import RANGES, Settings, SettingsError, parse_duration
from asyncjob.signature import RegistrationError
from asyncjob.version import __version__

END_SECONDS = 2.0  # for threads and exit hooks of the user's module, when everything else is done
READER_GONE = 141  # what a shell reports for a tool that SIGPIPE has ended


class Application(CommandLine):
    """The command as a process: everything around the parsing of arguments."""

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command that the arguments name, and end the process."""
        streams.settle(output_matters=True)
        try:
            try:
                super().__call__(*args, **kwargs)
            finally:
                streams.flush()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except SettingsError as error:
            complain(error)
            status = USAGE
        except streams.OutputLost as lost:
            status = READER_GONE if lost.error.errno == errno.EPIPE else USAGE
            if status != READER_GONE:
                complain(lost)
        _end(status)


def _end(status: int) -> NoReturn:
    """Leave the interpreter in the usual way, but not for ever: a thread or an exit hook may never end."""

    def end_late() -> None:
        time.sleep(END_SECONDS)
        os._exit(status)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: os._exit(status))
    try:
        threading.Thread(target=end_late, daemon=True).start()
    except RuntimeError:  # the system has no room for it
        os._exit(status)
    sys.exit(status)


app = Application(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

app.add_typer(commands.app)  # the commands of a user of the API; those of its operator are below

DEFAULT = Settings()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"asyncjob {__version__}")
        raise typer.Exit


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _host(host: str) -> str:
    """The host without the brackets of an IPv6 address in a URL."""
    return host[1:-1] if host[:1] + host[-1:] == "[]" else host


def _root_path(path: str) -> str:
    """The prefix without a slash at its end; / is none."""
    return path.rstrip("/")


def _key(key: str | None) -> str | None:
    """The key as given: an empty variable is a mistake, not a wish to be without a key."""
    return os.environ.get("ASYNCJOB_API_KEY") if key is None else key


def _setting(name: str, help: str, **more: Any) -> Any:  # noqa: A002
    """An option of `serve` that an environment variable can set too."""
    least, most = RANGES.get(name, (None, None))
    return typer.Option(
        f"--{name.replace('_', '-')}", envvar=f"ASYNCJOB_{name.upper()}", help=help, min=least, max=most, **more
    )


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
Target = Annotated[
    str | None,
    typer.Argument(
        envvar="ASYNCJOB_TARGET",
        help="Your job functions: file.py, package.module, or either with :name. Without it, the built-in sleep.",
    ),
]
Host = Annotated[str, _setting("host", "Address to listen on.", callback=_host, metavar="HOST")]
Port = Annotated[int, _setting("port", "TCP port; 0 for any free one.")]
RootPath = Annotated[
    str,
    _setting(
        "root_path",
        "The prefix that a reverse proxy in front has, such as /work.",
        callback=_root_path,
        metavar="PREFIX",
        show_default="none",
    ),
]
DatabaseFile = Annotated[Path, _setting("database", "The SQLite file.", metavar="FILE")]
Workers = Annotated[int, _setting("workers", "Worker processes.", show_default="one a core")]
Concurrency = Annotated[int, _setting("concurrency", "Jobs at once, in all workers together.")]
MaxPending = Annotated[int, _setting("max_pending", "Jobs that may wait; above it, 429.")]
MaxScheduled = Annotated[int, _setting("max_scheduled", "Jobs that may wait for a time; above it, 429.")]
Keep = Annotated[
    float | None,
    _setting(
        "keep",
        "Delete final jobs after this time, such as 30d or 12h.",
        parser=_duration,
        metavar="DURATION",
        show_default="for ever",
    ),
]
Grace = Annotated[
    float,
    _setting("grace", "Seconds that running jobs get when the server is stopped.", metavar="SECONDS"),
]
Backoff = Annotated[
    float,
    _setting(
        "backoff",
        "The most seconds before the second attempt; twice as many before each further one.",
        metavar="SECONDS",
    ),
]
ApiKey = Annotated[
    str | None,
    _setting(
        "api_key",
        "What clients must send as x-api-key, at least 16 characters. Better set in the environment: others can see "
        "arguments.",
        show_default="none",
        callback=_key,
        metavar="KEY",
    ),
]
Insecure = Annotated[bool, _setting("insecure", "Allow a --host beyond this machine without an API key.")]
AllowHost = Annotated[
    list[str],
    _setting(
        "allow_host",
        "A name that Host may have, beside addresses and names without a dot. Give it once for each.",
        metavar="NAME",
        show_default="none",
    ),
]
CorsOrigin = Annotated[
    list[str],
    _setting(
        "cors_origin",
        "An origin whose pages may use the API from a browser, such as https://app.example.com, or * for all. Give it "
        "once for each.",
        metavar="ORIGIN",
        show_default="none",
    ),
]
NotifyAllow = Annotated[
    list[str],
    _setting(
        "notify_allow",
        "A host that a job's notify may name: a name, *.name, an address or a network. Give it once for each.",
        metavar="HOST",
        show_default="none",
    ),
]
NotifySecret = Annotated[
    str | None,
    _setting(
        "notify_secret",
        "The key that signs notifications: whsec_ and base64. Better set in the environment.",
        show_default="none",
        metavar="KEY",
    ),
]
Format = Annotated[LogFormat, _setting("log_format", "For people, or for programs.", case_sensitive=False)]
Reload = Annotated[
    bool,
    _setting("reload", "For developing: start again when a Python file in the target's folder changes."),
]
Level = Annotated[LogLevel, _setting("log_level", "The lowest level to log.", case_sensitive=False)]
Include = Annotated[
    list[str],
    typer.Option(
        metavar="FILE",
        help="A file to take although it would be left out, named as the output names it. Give it once for each.",
        show_default="none",
    ),
]


@app.callback()
def main(version: Version = False) -> None:
    """Run what takes longer than an HTTP request should: POST a job, get 202, ask later how it went."""


@app.command()
def serve(
    target: Target = DEFAULT.target,
    host: Host = DEFAULT.host,
    port: Port = DEFAULT.port,
    root_path: RootPath = DEFAULT.root_path,
    database: DatabaseFile = DEFAULT.database,
    workers: Workers = DEFAULT.workers,
    concurrency: Concurrency = DEFAULT.concurrency,
    max_pending: MaxPending = DEFAULT.max_pending,
    max_scheduled: MaxScheduled = DEFAULT.max_scheduled,
    keep: Keep = DEFAULT.keep,
    grace: Grace = DEFAULT.grace,
    backoff: Backoff = DEFAULT.backoff,
    api_key: ApiKey = DEFAULT.api_key,
    insecure: Insecure = DEFAULT.insecure,
    allow_host: AllowHost = list(DEFAULT.allow_host),  # noqa: B006  # typer only reads it
    cors_origin: CorsOrigin = list(DEFAULT.cors_origin),  # noqa: B006  # typer only reads it
    notify_allow: NotifyAllow = list(DEFAULT.notify_allow),  # noqa: B006  # typer only reads it
    notify_secret: NotifySecret = DEFAULT.notify_secret,
    log_format: Format = DEFAULT.log_format,
    log_level: Level = DEFAULT.log_level,
    reload: Reload = False,
) -> None:
    """Serve the API on this machine: HTTP, a SQLite file, worker processes. Ctrl-C or SIGTERM stops it gently."""
    settings = Settings(
        target=target,
        host=host,
        port=port,
        root_path=root_path,
        database=database,
        workers=workers,
        concurrency=concurrency,
        max_pending=max_pending,
        max_scheduled=max_scheduled,
        keep=keep,
        grace=grace,
        backoff=backoff,
        api_key=api_key,
        insecure=insecure,
        allow_host=allow_host,
        cors_origin=cors_origin,
        notify_allow=notify_allow,
        notify_secret=notify_secret,
        log_format=log_format,
        log_level=log_level,
    )
    _run(settings, reload)


def _run(settings: Settings, reload: bool) -> None:
    # Imported here: the server's libraries are not needed to print a help text.
    with needs("server", later=["prometheus_client"]):
        from asyncjob.reload import serve_reloading
        from asyncjob.serve import AddressError, Starved, serve
        from asyncjob.store import Unusable

    try:
        (serve_reloading if reload else serve)(settings)
    except (RegistrationError, Unusable, AddressError, Starved) as error:
        fail(error, status=1)


@app.command()
def build(
    target: Annotated[str, typer.Argument(help="Your job functions: file.py, package.module, or either with :name.")],
    out: Annotated[
        Path, typer.Option(help="The folder to make. One that was built before is replaced.", metavar="FOLDER")
    ],
    requirements: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="What your functions need: a requirements.txt. The build imports them, so it must be installed here "
            "too: pip install --requirement FILE.",
        ),
    ] = None,
    architecture: Annotated[Architecture, typer.Option(help="Lambda's processor.")] = Architecture.ARM64,
    python: Annotated[Python, typer.Option(help="Lambda's version of Python.")] = DEFAULT_PYTHON,
    timeout: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_TIMEOUT,
            help="Seconds an attempt may last.",
            show_default="as functions say",
            metavar="SECONDS",
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="What your functions may do: IAM statements, JSON.")
    ] = None,
    include: Include = [],  # noqa: B006  # typer only reads it
    reserve: Annotated[
        bool,
        typer.Option(
            "--reserve", help="Give each function with a concurrency a Lambda of its own, with that many reserved."
        ),
    ] = False,
) -> None:
    """For AWS: make a folder with your functions and the template that deploys them."""
    with needs("aws"):
        from asyncjob.aws.build import folder
        from asyncjob.aws.build.archive import BuildError
        from asyncjob.aws.build.lambdas import warning

    if said := warning(python):
        complain(said)
    tell = partial(typer.echo, err=True) if sys.stderr.isatty() else lambda line: None  # progress is for people
    try:
        plan = folder.Plan(
            requirements=requirements,
            architecture=architecture,
            python=python,
            timeout=timeout,
            policy=policy,
            include=include,
            reserve=reserve,
        )
        typer.echo(folder.build(target, out, plan, tell))
    except (RegistrationError, BuildError) as error:
        missing = requirements is not None and isinstance(error.__cause__, ImportError)
        hint = f"; the build imports your functions: pip install --requirement {requirements}" if missing else ""
        fail(f"{error}{hint}", status=1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; a file that does not exist.", metavar="FILE")],
    database: DatabaseFile = DEFAULT.database,
) -> None:
    """Copy the database while the server runs on it. `asyncjob serve --database FILE` then serves the copy."""
    from asyncjob.sqlite.backup import BackupError
    from asyncjob.sqlite.backup import backup as run

    try:
        with typer.progressbar(length=1, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

            def show(copied: int, pages: int) -> None:
                bar.length = pages
                bar.update(copied - bar.pos)

            run(database, file, show)
    except BackupError as error:
        fail(error, status=1)
    typer.echo(f"{database} is copied to {file}: {file.stat().st_size:,} bytes")


@app.command()
def replay(
    queue_url: Annotated[str, typer.Argument(help="The failure queue: the stack's output FailureQueueUrl.")],
    recorder: Annotated[str, typer.Option(help="The stack's output RecorderName.")] = "AsyncJobFailureRecorder",
) -> None:
    """On AWS: record the failed jobs that wait in the failure queue. Uses your AWS credentials."""
    from asyncjob.aws.replay import ReplayError
    from asyncjob.aws.replay import replay as run

    recorded = 0
    try:
        for job_id in run(queue_url, recorder):
            say(job_id)
            recorded += 1
    except ReplayError as error:
        fail(error, status=1)
    typer.echo(f"{recorded} recorded, and the queue is empty")
