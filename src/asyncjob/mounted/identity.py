"""What the processes of one application have in common, by which the owner of the database knows its own.

It may hold nothing that can differ between processes of the same code, such as a default that is a set or the time, the
number of cores, or the name by which the database was reached. What only an owner needs may differ too.
"""

import hashlib
from dataclasses import replace
from typing import Any

import msgspec

from asyncjob.registry import Jobs
from asyncjob.schema import results_schemas, submission_schemas
from asyncjob.server.logs import LogFormat, LogLevel
from asyncjob.server.settings import Settings
from asyncjob.version import __version__

UNIMPORTANT = ("default", "description")  # in a schema


def identity(jobs: Jobs, settings: Settings) -> bytes:
    """A hash of the version, of what the functions take and return, and of the settings."""
    compared = replace(
        settings,
        database=Settings.database,
        target=None,
        path=(),
        workers=1,
        concurrency=Settings.concurrency,
        cors_origin=tuple(sorted(settings.cors_origin)),
        notify_allow=tuple(sorted(settings.notify_allow)),
        log_format=LogFormat.TEXT,
        log_level=LogLevel.INFO,
    )
    schemas = [*submission_schemas(jobs, "{name}"), *results_schemas(jobs, "{name}")]
    described = msgspec.json.encode([[_shape(each) for each in named.values()] for named in schemas], order="sorted")
    return hashlib.sha256(b"%b %b %b" % (__version__.encode(), described, repr(compared).encode())).digest()


def _shape(schema: Any) -> Any:
    """A schema without what does not say what fits it."""
    if isinstance(schema, list):
        return [_shape(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    shape = {name: _shape(value) for name, value in schema.items() if name not in UNIMPORTANT}
    if isinstance(properties := schema.get("properties"), dict):
        shape["properties"] = {name: _shape(value) for name, value in properties.items()}
    return shape
