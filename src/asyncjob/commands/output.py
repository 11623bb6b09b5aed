"""Writes text and JSON so that nothing in it, whoever it comes from, controls the terminal.

Control characters, and with them all escape sequences, and the invisible characters that reorder text are written as
escapes. In JSON the value stays the same.
"""

import json
import re
import sys
from typing import Any, NoReturn

import msgspec
import typer

CONTROLS = (
    "\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
CONTROL = re.compile(f"[{CONTROLS}]")
LINE_END = re.compile(r"[ \t]*[\r\n\t\x85\u2028\u2029]\s*")
IN_JSON = re.compile(f"(?!\n)[{CONTROLS}]")  # in which a line only ends between values


def printable(text: str) -> str:
    """The text, with control characters and other invisible ones written as escapes."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_one_line(text: str) -> str:
    """The same, with a space for each end of a line: what is said in a line may quote somebody's message."""
    return printable(LINE_END.sub(" ", text.strip()))


def print_json(document: Any, *, pretty: bool = False) -> None:
    """Write a JSON document, on one line unless `pretty`."""
    text = msgspec.json.encode(document)
    written = (msgspec.json.format(text) if pretty else text).decode()
    typer.echo(IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], written).encode())


def say(text: str) -> None:
    """Write one line."""
    typer.echo(printable(text))


def complain(problem: Exception | str) -> None:
    """Write one line on standard error."""
    typer.echo(in_one_line(f"asyncjob: {problem}"), err=True)


def fail(problem: Exception | str, status: int) -> NoReturn:
    """End the command with one line on standard error."""
    complain(problem)
    sys.exit(status)
