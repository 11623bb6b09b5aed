"""Is it sound? An API, a file of job functions, a database: each is looked at, and nothing is changed."""

from pathlib import Path
from typing import NamedTuple

from asyncjob.client import Client, NotFound, Refused, Unreachable
from asyncjob.job import new_job_id
from asyncjob.loading import load, unmoved
from asyncjob.registry import RegistrationError


class Finding(NamedTuple):
    """What was found of one part.

    Attributes:
        part: server, functions or database.
        sound: whether all is well.
        message: what it is, or what is wrong with it.
        reachable: False where it could not be looked at, since nobody answered.
    """

    part: str
    sound: bool
    message: str
    reachable: bool = True


def server(client: Client, url: str) -> Finding:
    """Whether there is an API at the URL that is well and answers as the contract says."""
    try:
        client.get(new_job_id())
    except NotFound as answer:
        if answer.message != "Not found":
            return Finding("server", False, f"{url} answers, but not as an API for jobs: {answer}")
        return _health(client, url)
    except Refused as refused:
        return Finding("server", False, f"{url} says: {refused}")
    except Unreachable as error:
        return Finding("server", False, str(error), reachable=False)
    return Finding("server", False, f"{url} knows a job that nobody has submitted")


def _health(client: Client, url: str) -> Finding:
    try:
        client.check()
    except Refused as refused:
        if refused.status >= 500:  # below, the engine has no such route: 404 or, where AWS wants signatures, 403
            return Finding("server", False, f"{url} says: {refused}")
    except Unreachable as error:
        return Finding("server", False, str(error), reachable=False)
    return Finding("server", True, f"{url} serves jobs")


def registry(target: str) -> Finding:
    """Whether the job functions can be loaded."""
    try:
        with unmoved():
            return Finding("functions", True, f"{target} has {', '.join(load(target).names)}")
    except RegistrationError as error:
        return Finding("functions", False, str(error))


def database(file: Path) -> Finding:
    """Whether a server's file is whole, by SQLite's own check; a server may use it meanwhile."""
    from asyncjob.sqlite.integrity import check
    from asyncjob.store import Unusable

    try:
        return Finding("database", True, f"{file} is whole: {check(file):,} jobs")
    except Unusable as error:
        return Finding("database", False, str(error))
