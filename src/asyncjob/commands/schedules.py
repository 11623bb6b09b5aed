"""`asyncjob schedules`: list, put, delete, pause, resume, run-now."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncjob.commands.completion import complete_schedule
from asyncjob.commands.connection import USAGE, connected, with_each
from asyncjob.commands.help import CommandLine
from asyncjob.commands.options import LOCAL, Json, Key, Signed, Url
from asyncjob.commands.output import fail, print_json, say
from asyncjob.commands.parameters import Body, Words, parse_words
from asyncjob.commands.submission import Notify, Priority, options_of
from asyncjob.schedules import Cron, Every

if TYPE_CHECKING:  # the client and its libraries are imported by the commands that need them
    from asyncjob.client import Client, JobHandle, ScheduleHandle, ScheduleSnapshot

    Schedule = ScheduleHandle[JobHandle[Any]]

app = CommandLine(help="Show, make, change, delete, pause and run what begins jobs by itself.", no_args_is_help=True)

Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID", help="The schedule's id. There may be several.", autocompletion=complete_schedule),
]


@app.command("list")
def list_schedules(url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False) -> None:
    """List schedules, with the last job and the next time of each."""
    with connected(url, api_key, aws_iam) as client:
        _show(list(client.schedules()), as_json)


@app.command()
def put(
    schedule_id: Annotated[
        str, typer.Argument(metavar="ID", help="The schedule's id.", autocompletion=complete_schedule)
    ],
    words: Words = None,
    cron: Annotated[str | None, typer.Option(help='When: five fields, such as "0 9 * * 1-5".', metavar="CRON")] = None,
    tz: Annotated[
        str | None,
        typer.Option(help="The time zone of --cron, such as Europe/Berlin.", show_default="UTC", metavar="ZONE"),
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="Or a period, such as 15m, counted in UTC.", metavar="PERIOD")
    ] = None,
    missed: Annotated[
        str, typer.Option(help="What to make up for if nobody was there: last, all or none.", metavar="WHICH")
    ] = "last",
    overlap: Annotated[
        str, typer.Option(help="While the last job has not ended: run or skip.", metavar="WHETHER")
    ] = "run",
    delay: Annotated[
        str | None, typer.Option(help="Run each job this long after its time, such as 90s.", metavar="TIME")
    ] = None,
    priority: Priority = None,
    notify: Notify = None,
    body: Body = None,
    url: Url = LOCAL,
    api_key: Key = None,
    aws_iam: Signed = False,
    as_json: Json = False,
) -> None:
    """Make or change a schedule, such as `asyncjob schedules put nightly resize width=640 --cron "0 3 * * *"`."""
    function, parameters = parse_words(words or [], body)
    options = options_of(delay, None, priority, None, notify)
    with connected(url, api_key, aws_iam) as client:
        policy: dict[str, Any] = {"parameters": parameters, "options": options, "missed": missed, "overlap": overlap}
        _show([client.schedule(schedule_id).put(_schedule(cron, tz, every, policy), function)], as_json)


def _schedule(cron: str | None, tz: str | None, every: str | None, policy: dict[str, Any]) -> Cron | Every:
    if every is not None and cron is None and tz is None:
        return Every(int(every) if every.isdecimal() else every, **policy)
    if cron is None or every is not None:
        fail('give either --cron, such as "0 9 * * 1-5", and --tz if it is not UTC, or --every, such as 15m', USAGE)
    return Cron(cron, "UTC" if tz is None else tz, **policy)


@app.command()
def delete(schedule_ids: Ids, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False) -> None:
    """Delete schedules that the code does not declare. Jobs that they have begun stay."""
    with connected(url, api_key, aws_iam) as client:
        sys.exit(with_each(_handles(client, schedule_ids), lambda handle: handle.delete()))


@app.command()
def pause(
    schedule_ids: Ids, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Have schedules begin nothing until they are resumed."""
    with connected(url, api_key, aws_iam) as client:
        sys.exit(_show_each(client, schedule_ids, lambda handle: handle.pause(), as_json))


@app.command()
def resume(
    schedule_ids: Ids, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Have paused schedules go on, each with its next time."""
    with connected(url, api_key, aws_iam) as client:
        sys.exit(_show_each(client, schedule_ids, lambda handle: handle.resume(), as_json))


@app.command("run-now")
def run_now(
    schedule_ids: Ids, url: Url = LOCAL, api_key: Key = None, aws_iam: Signed = False, as_json: Json = False
) -> None:
    """Begin a job of each schedule, beside its times; print its id."""

    def run(handle: "Schedule") -> None:
        job_id = handle.run_now().id
        if as_json:
            print_json({"jobId": job_id})
        else:
            say(job_id)

    with connected(url, api_key, aws_iam) as client:
        sys.exit(with_each(_handles(client, schedule_ids), run))


def _handles(client: "Client", schedule_ids: list[str]) -> "list[Schedule]":
    return [client.schedule(schedule_id) for schedule_id in schedule_ids]


def _show_each(
    client: "Client",
    schedule_ids: list[str],
    act: "Callable[[Schedule], ScheduleSnapshot]",
    as_json: bool,
) -> int:
    done: list[ScheduleSnapshot] = []
    status = with_each(_handles(client, schedule_ids), lambda handle: done.append(act(handle)))
    if done:
        _show(done, as_json)
    return status


def _show(schedules: "list[ScheduleSnapshot]", as_json: bool) -> None:
    from asyncjob.commands import console

    if as_json:
        for schedule in schedules:
            print_json(schedule.document)
    else:
        console.show(console.schedules(schedules))
