"""The command `logs`: what a job's function has logged and printed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncjob.commands.completion import complete_id
from asyncjob.commands.connection import connected, with_each
from asyncjob.commands.options import LOCAL, Json, Key, Signed, Url
from asyncjob.commands.output import print_json, say
from asyncjob.job_log import Level

if TYPE_CHECKING:  # the client and its libraries are imported by the commands that need them
    from asyncjob.client import JobHandle, LoggedLine

LEVELS = ", ".join(Level)


def _level(text: str) -> Level:
    try:
        return Level(text.lower())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is none of {LEVELS}") from None


def logs(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id.", autocompletion=complete_id)],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    level: Annotated[
        Level,
        typer.Option(
            help=f"Only lines of this level or above: {LEVELS}.",
            parser=_level,
            metavar="LEVEL",
            autocompletion=lambda: list(Level),
        ),
    ] = Level.DEBUG,
    attempt: Annotated[
        int | None, typer.Option(help="Only lines of this attempt.", min=1, show_default="all", metavar="NUMBER")
    ] = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Print what a job's function has logged and printed, and how its attempts failed."""

    def show(job: "JobHandle[Any]") -> None:
        for line in job.logs(level=level, attempt=attempt, follow=follow):
            if as_json:
                print_json(line.document)
            else:
                _show(line)

    with connected(url, api_key, aws_iam) as client:
        status = with_each([client.job(job_id)], show)
    raise typer.Exit(status)


def _show(line: "LoggedLine") -> None:
    """A line, and its further lines indented, so that none of them looks like the beginning of one."""
    if line.left_out:
        say(f"... {line.left_out:,} lines were left out")
    first, *more = line.message.split("\n")
    at = line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    said = f"{at} {line.attempt} {line.level.upper():<8} {line.logger or ''}: {first}"
    say(said)
    for each in (*more, *(line.traceback or "").split("\n")):
        if each:
            say(f"    {each}")
