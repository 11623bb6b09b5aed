"""All SQL, read once from its files: the statements by name, and the migrations in order."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from asyncjob.job import TRANSITIONS, Status, Transition
from asyncjob.store import LEVEL_MS

_FILES = Path(__file__).parent
_SECTION = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)
_NESTED = re.compile(r"\{NEW\.(\w+)\}")
_VALUE = re.compile(r":(\w+)")
_DESCRIPTION = re.compile(r"(--.*\n)*")


def _read_statements() -> dict[str, str]:
    """The statements by name, without their descriptions and with everything in braces filled in."""
    _, *found = _SECTION.split(_FILES.joinpath("statements.sql").read_text("utf-8"))
    sections = list(zip(found[::3], found[1::3], found[2::3], strict=True))
    parts = {name: sql.strip() for kind, name, sql in sections if kind == "part"}
    statements: dict[str, str] = {}
    for kind, name, text in sections:
        if kind == "name":
            sql = _DESCRIPTION.sub("", text, count=1).strip()
            for part, value in parts.items():
                sql = sql.replace(f"{{{part}}}", value)
            statements.update(_each_status(name, _guarded(name, sql)))
    return {name: _NESTED.sub(lambda found: _nested(found[1], statements), sql) for name, sql in statements.items()}


def _nested(name: str, statements: Mapping[str, str]) -> str:
    return _VALUE.sub(rf"NEW.{name}_\1", statements[name])


def _guarded(name: str, sql: str) -> str:
    sql = sql.replace("{claimed}", f"'{TRANSITIONS['claim'].target}'").replace("{level}", str(LEVEL_MS))
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


def _each_status(name: str, sql: str) -> Iterator[tuple[str, str]]:
    if "{status}" not in sql:
        yield name, sql
        return
    for status in Status:
        yield f"{name}.{status}", sql.replace("{status}", f"'{status}'")


def _read_migrations() -> tuple[str, ...]:
    """The SQL that brings a file to each version of the schema from the one before. The first makes a new file."""
    numbered = {
        int(file.name.partition("_")[0]): file.read_text("utf-8")
        for file in _FILES.joinpath("migrations").iterdir()
        if file.name.endswith(".sql")
    }
    return tuple(numbered[version] for version in range(1, len(numbered) + 1))


SQL: Mapping[str, str] = MappingProxyType(_read_statements())
MIGRATIONS = _read_migrations()
