"""The options of `asyncjob submit` that become the `options` of the job."""

from typing import Annotated

import typer

from asyncjob.commands.connection import USAGE
from asyncjob.commands.output import fail
from asyncjob.options import HIGHEST_PRIORITY, LOWEST_PRIORITY, InvalidOptions, Options

Delay = Annotated[
    str | None,
    typer.Option(help="Run it this long from now, at the earliest, such as 90s or 1h30m.", metavar="TIME"),
]
RunAt = Annotated[
    str | None,
    typer.Option(help="Run it at this time, at the earliest, such as 2026-12-24T18:00:00Z.", metavar="TIME"),
]
Priority = Annotated[
    int | None,
    typer.Option(help="Higher runs first; what waits rises.", min=LOWEST_PRIORITY, max=HIGHEST_PRIORITY),
]
StartBy = Annotated[
    str | None,
    typer.Option(help="Fail it (Expired) if it has not begun by this time.", metavar="TIME"),
]
Notify = Annotated[str | None, typer.Option(help="A URL that is told how it ended.", metavar="URL")]


def options_of(
    delay: str | None, run_at: str | None, priority: int | None, start_by: str | None, notify: str | None
) -> Options:
    """The options that were given; a mistake in them ends the command."""
    length = float(delay) if delay is not None and delay.strip().isdecimal() else delay
    try:
        return Options(delay=length, run_at=run_at, priority=priority, start_by=start_by, notify=notify)
    except InvalidOptions as error:
        said = str(error)
        for name, option in (("delay", "--delay"), ("runAt", "--run-at"), ("startBy", "--start-by")):
            said = said.replace(f"options.{name}", option)
        fail(said, USAGE)
