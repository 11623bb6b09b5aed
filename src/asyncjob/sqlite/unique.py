"""Which jobs are the same: what is saved of each to tell, and what becomes of that when the rule of a function changes.

That no two are, is the work of a partial unique index for each kind of rule, so nothing can be left behind.
"""

import sqlite3
from typing import Any

from asyncjob.job import timestamp
from asyncjob.keys import KIND_LENGTH, unique_key, unique_kind
from asyncjob.registry import JobFunction
from asyncjob.sqlite.places import Places
from asyncjob.sqlite.reading import Lookup
from asyncjob.sqlite.statements import SQL
from asyncjob.sqlite.writing import State
from asyncjob.store import Duplicate

Columns = dict[str, Any]  # unique_key and unique_in, and what a search for the same one needs beside them


def columns(function: JobFunction | None, parameters: bytes, now: int) -> Columns:
    """What says which other jobs are the same as one of this function.

    Args:
        function: the job's, if it is known.
        parameters: the job's, as JSON.
        now: in milliseconds since 1970.
    """
    unique = None if function is None else function.unique
    if function is None or unique is None:
        return {"unique_key": None, "unique_in": None}
    key = {"unique_key": unique_key(function, parameters), "unique_in": unique.while_ or "within"}
    if unique.within is None:
        return key
    period = round(unique.within * 1000)
    return key | {"since": timestamp(now - period), "until": timestamp(now + period)}


def find_same(lookup: Lookup, places: Places, type_: str, parameters: bytes, now: int) -> Duplicate | None:
    """The job that a new one of this type and with these parameters would be the same as."""
    same = columns(places.function(type_), parameters, now)
    found = None if same["unique_in"] is None else lookup.one(f"same_{same['unique_in']}", **same)
    if found is None or (found[1] is not None and found[1] < now):  # it is too late for that one
        return None
    return Duplicate(found[0])


def find_unfinished(
    connection: sqlite3.Connection, function: JobFunction | None, job_id: str, state: State
) -> str | None:
    """The id of another job that has not ended, and is the same as this one, which has ended and is to run again.

    If the rule of its function has changed meanwhile, it goes by the new one from here on.
    """
    rule, key = _rule(function), state.unique_key
    if (state.unique_in, key and key[:KIND_LENGTH]) != (rule["unique_in"], rule["kind"]):
        sequence, parameters = connection.execute(SQL["find_parameters"], {"job_id": job_id}).fetchone()
        given = columns(function, parameters, 0)
        key = given["unique_key"]
        connection.execute(SQL["set_unique"], given | {"sequence": sequence})
    if rule["unique_in"] != "unfinished":
        return None
    row = connection.execute(SQL["same_unfinished"], {"unique_key": key}).fetchone()
    return None if row is None else str(row[0])


def take_over(connection: sqlite3.Connection, function: JobFunction) -> None:
    """Have the rule of this function, which has one, hold for its jobs that have not ended.

    Of several that are the same by a rule that is new, the newest counts, since it is the last to run.
    """
    rows = connection.execute(SQL["with_other_rule"], {"type": function.name} | _rule(function)).fetchall()
    none = {"unique_key": None, "unique_in": None}
    connection.executemany(SQL["set_unique"], [none | {"sequence": sequence} for (sequence,) in rows])
    for (sequence,) in rows:
        (parameters,) = connection.execute(SQL["parameters_of"], {"sequence": sequence}).fetchone()
        connection.execute(SQL["set_unique"], columns(function, parameters, 0) | {"sequence": sequence})


def _rule(function: JobFunction | None) -> Columns:
    unique = None if function is None else function.unique
    kind = None if function is None else unique_kind(function)
    return {"unique_in": unique and (unique.while_ or "within"), "kind": kind, "length": KIND_LENGTH}
