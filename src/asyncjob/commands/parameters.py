"""Reads the parameters of a job from the words of a command line."""

from typing import Annotated, Any

import msgspec
import typer

from asyncjob.commands.completion import complete_type
from asyncjob.commands.connection import USAGE
from asyncjob.commands.output import fail

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TYPE|NAME=VALUE...",
        help="The job function, then its parameters. A VALUE that is not JSON is a string.",
        show_default=False,
        autocompletion=complete_type,
    ),
]
Body = Annotated[
    typer.FileText | None,
    typer.Option(help="A file with a JSON object of parameters; - is standard input.", metavar="FILE"),
]


def parse_words(words: list[str], body: typer.FileText | None) -> tuple[str | None, dict[str, Any]]:
    """The type and the parameters given on the command line."""
    function = words.pop(0) if words and "=" not in words[0] else None
    parameters: dict[str, Any] = {}
    if body is not None:
        try:
            parameters = msgspec.json.decode(body.read(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, OSError, RecursionError) as error:
            fail(f"{body.name if isinstance(body.name, str) else '<stdin>'} is not a JSON object: {error}", USAGE)
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            fail(f"{word!r} is not a parameter: write NAME=VALUE", USAGE)
        if not _is_text(word):
            fail(f"{word!r} is not UTF-8", USAGE)
        parameters[name] = _value(value)
    return function, parameters


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text
    except RecursionError:
        fail("a parameter is JSON that is nested too deeply for this Python to read", USAGE)


def _is_text(word: str) -> bool:
    """False for an argument that is not UTF-8: Python passes such bytes on as surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
