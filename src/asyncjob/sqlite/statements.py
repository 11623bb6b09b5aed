"""The SQL of this store, read from its files once."""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from asyncjob.job import TRANSITIONS, Transition


def _statements() -> dict[str, str]:
    """The SQL of statements.sql by name, with the transitions' guards filled in."""
    text = resources.files("asyncjob.sqlite").joinpath("statements.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: _fill(name, sql.strip()) for name, sql in zip(parts[::2], parts[1::2], strict=True)}


def _fill(name: str, sql: str) -> str:
    sql = sql.replace("{claimed}", f"'{TRANSITIONS['claim'].target}'")
    transition = TRANSITIONS.get(name)
    if transition is None:
        return sql
    sources = ", ".join(f"'{status}'" for status in sorted(transition.sources))
    source = f"status IN ({sources})"
    return (
        sql.replace("{set}", _set(transition))
        .replace("{guard}", f"job_id = :job_id AND attempt = :attempt AND {source}")
        .replace("{from}", source)
    )


def _set(transition: Transition) -> str:
    target = f"status = '{transition.target}'"
    return f"{target}, attempt = attempt + 1" if transition.next_attempt else target


SQL: Mapping[str, str] = MappingProxyType(_statements())
