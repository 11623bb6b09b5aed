"""Checks that only look: at an API, at a file of job functions, at a database. contract_check.py runs jobs."""

from pathlib import Path
from typing import NamedTuple

from asyncjob.client import Client, NotFound, Refused, Unreachable
from asyncjob.job import new_job_id
from asyncjob.loading import load, unmoved
from asyncjob.signature import RegistrationError


class Finding(NamedTuple):
    """What was found of one part.

    Attributes:
        part: server, contract, functions or database.
        sound: whether all is well.
        message: what was found, or what is wrong.
        reachable: False if nobody answered.
        absent: True if the engine does not claim this.
    """

    part: str
    sound: bool
    message: str
    reachable: bool = True
    absent: bool = False


def server(client: Client, url: str) -> Finding:
    """Whether a healthy API at the URL answers as the contract says."""
    try:
        client.get(new_job_id())
    except NotFound as answer:
        if answer.message != "Not found":
            return Finding("server", False, f"{url} answers, but it is not a job API: {answer}")
        return _health(client, url)
    except Refused as refused:
        return Finding("server", False, f"{url} says: {refused}")
    except Unreachable as error:
        return Finding("server", False, str(error), reachable=False)
    return Finding("server", False, f"{url} has a job that was never submitted")


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
