"""The arguments and options that several commands share, so that each says the same of them and completes alike."""

import math
from typing import Annotated

import typer

from asyncjob.address import local_url
from asyncjob.commands.completion import complete_id, complete_status, complete_type
from asyncjob.job import Status

LOCAL = local_url()
"""Where the API is if nobody says: where `asyncjob serve` would be, started with the same environment."""

STATUSES = ", ".join(Status)


def _status(text: str) -> Status:
    try:
        return Status(text.capitalize())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is none of {STATUSES}") from None


def seconds(value: float | None) -> float | None:
    """The value of an option, which click's bounds let be NaN."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("it is not a number")
    return value


Url = Annotated[str, typer.Option(envvar="ASYNCJOB_URL", help="Where the API is.", metavar="URL")]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="ASYNCJOB_API_KEY",
        help="Sent as x-api-key. Prefer the environment variable: others can see arguments.",
        show_default="none",
        metavar="KEY",
    ),
]
Signed = Annotated[
    bool, typer.Option("--aws-iam", envvar="ASYNCJOB_AWS_IAM", help="Sign requests, for an API with AWS_IAM.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document per line.")]
JobIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="The job's id. There may be several.", autocompletion=complete_id)
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job has ended, and show it.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Wait until this many seconds after the command began, then exit with 124.",
        min=0,
        callback=seconds,
        show_default="none",
        metavar="SECONDS",
    ),
]
Filter = Annotated[
    Status | None,
    typer.Option(
        "--status",
        help=f"Only jobs with this status, in any case: {STATUSES}.",
        parser=_status,
        metavar="STATUS",
        autocompletion=complete_status,
    ),
]
TypeFilter = Annotated[
    str | None,
    typer.Option("--type", help="Only jobs of this function.", metavar="TYPE", autocompletion=complete_type),
]
