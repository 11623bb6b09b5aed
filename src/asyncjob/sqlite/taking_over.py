"""Sorts what waits anew when a server starts: functions, their limits and rules may have come, gone or changed."""

import json
import sqlite3

from asyncjob.keys import limit_key
from asyncjob.registry import JobFunction
from asyncjob.sqlite import unique
from asyncjob.sqlite.gates import Gates
from asyncjob.sqlite.places import Places
from asyncjob.sqlite.promotion import set_back
from asyncjob.sqlite.statements import SQL


def take_over(connection: sqlite3.Connection, places: Places, gates: Gates, now: int) -> dict[str, int]:
    """Put each waiting job where it belongs; how many jobs wait for a function that the server does not have, by type.

    Args:
        connection: inside a transaction.
        places: knows the functions.
        gates: of these functions.
        now: in milliseconds since 1970.
    """
    functions = list((places.functions or {}).values())
    known = {"types": json.dumps([function.name for function in functions]), "now": now}
    for name in ("set_aside", "hold_suspects"):
        connection.execute(SQL[name], known)
    set_back(connection, now)
    for function in functions:
        if function.limits.per is not None:
            _find_keys(connection, function, function.limits.per)
        if function.unique is not None:
            unique.take_over(connection, function)
    free = [function.name for function in functions if not function.limits]
    connection.execute(SQL["put_in_queue"], {"types": json.dumps(free), "now": now})
    for stage in (0, 1):
        limited = [one.name for one in functions if one.limits and (one.limits.per is None) == bool(stage)]
        connection.execute(SQL["put_before_gates"], {"types": json.dumps(limited), "now": now, "stage": stage})
    gates.touch_all(connection)
    return dict(connection.execute(SQL["count_parked"], known).fetchall())


def _find_keys(connection: sqlite3.Connection, function: JobFunction, per: str) -> None:
    """Save under which value of the parameter each job is counted, where that is not known yet."""
    values = {"type": function.name, "per": per, "after": 0}
    while rows := connection.execute(SQL["without_key"], values).fetchall():
        found = [{"sequence": sequence, "limit_key": limit_key(function, given)} for sequence, given in rows]
        connection.executemany(SQL["set_key"], found)
        values["after"] = rows[-1][0]


def current_key(
    connection: sqlite3.Connection, function: JobFunction | None, job_id: str, key: str | None
) -> str | None:
    """The key of a job that had ended when the server started, and runs again.

    Args:
        connection: inside a transaction.
        function: the job's, if the server has it.
        job_id: the job's.
        key: that was saved.
    """
    per = None if function is None else function.limits.per
    if function is None or per is None or (key or "").startswith(f"{per}="):
        return key
    sequence, parameters = connection.execute(SQL["find_parameters"], {"job_id": job_id}).fetchone()
    key = limit_key(function, parameters)
    connection.execute(SQL["set_key"], {"sequence": sequence, "limit_key": key})
    return key
