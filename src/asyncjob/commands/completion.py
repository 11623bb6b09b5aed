"""What a shell is offered while somebody types: the types and the newest jobs of the API that the command would ask.

Nobody asked for an answer yet, so an API that is not there, or that refuses, offers nothing and says nothing.
"""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import typer

from asyncjob.job import Status

if TYPE_CHECKING:
    from asyncjob.client import Client

T = TypeVar("T")

PATIENCE = 2.0  # seconds
NEWEST = 100  # jobs; a shell asks before it shows more


def complete_status(incomplete: str) -> list[str]:
    """The statuses; that needs no API."""
    return [status for status in Status if status.lower().startswith(incomplete.lower())]


def complete_type(ctx: typer.Context, incomplete: str) -> list[str]:
    """The API's job functions. Where parameters may follow, only the first word is one."""
    names = [] if ctx.params.get("words") else _answer(ctx, lambda client: types(client) or []) or []
    return [name for name in names if name.startswith(incomplete)]


def complete_id(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs, each with what a shell may show beside its id."""
    given = ctx.params.get("job_ids") or ()
    newest = _answer(ctx, lambda client: list(islice(client.list(page_size=NEWEST), NEWEST))) or []
    jobs = [job for job in newest if job.job_id.startswith(incomplete) and job.job_id not in given]
    return [(job.job_id, f"{job.type} {job.status}") for job in jobs]


def complete_schedule(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The schedules, each with what a shell may show beside its id."""
    given = ctx.params.get("schedule_ids") or ()
    schedules = _answer(ctx, lambda client: list(islice(client.schedules(), NEWEST))) or []
    offered = [one for one in schedules if one.schedule_id.startswith(incomplete) and one.schedule_id not in given]
    return [(one.schedule_id, one.type) for one in offered]


def types(client: "Client") -> list[str] | None:
    """The names of the API's job functions, from its OpenAPI document; None if it does not say.

    Raises:
        ClientError: there is no such document.
    """
    document = client.openapi()
    try:
        submission = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        references = [each["$ref"] for each in submission.get("oneOf", [submission])]
        schemas = document["components"]["schemas"]
        return [str(schemas[each.rpartition("/")[2]]["title"]) for each in references]
    except (KeyError, TypeError, AttributeError):
        return None


def _answer(ctx: typer.Context, question: "Callable[[Client], T]") -> T | None:
    """What the API that the options name so far answers; None if it does not."""
    from asyncjob.client import Client, ClientError

    url, key, signed = ctx.params["url"], ctx.params.get("api_key"), bool(ctx.params.get("aws_iam"))
    try:
        with Client(url, api_key=key, aws_iam=signed, timeout=PATIENCE, retries=0) as client:
            return question(client)
    except (ClientError, ValueError, OverflowError, RecursionError):
        return None
