"""Reads server-sent events as a browser would."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx


class Event(NamedTuple):
    """One block of the stream; `data` is None where it carries none."""

    id: str | None
    name: str
    data: Any


def read(answer: httpx.Response) -> Iterator[Event]:
    """The events of an answer that is being streamed, for as long as it lasts."""
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    return parse(answer.iter_lines())


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """The events of the lines of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields.keys() - {""}:
            data = fields.get("data")
            yield Event(fields.get("id"), fields.get("event", "message"), None if data is None else json.loads(data))
            fields = {}
