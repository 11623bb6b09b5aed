"""What job functions log and print, as lines: their levels, their bounds, and text that nothing reads as a command.

A function may print without end, or bytes that are no text. So a line has a bound, and of one attempt's lines the first
ones and the last ones are kept. Worker and server both keep to these bounds, since the server believes no worker.
"""

import logging
import re

from asyncjob.failure import MAX_TRACEBACK_CHARACTERS
from asyncjob.job import writable

MAX_LINE_CHARACTERS = 8_192
MAX_LOGGER_CHARACTERS = 200
MAX_LINES = 500  # kept of the first lines of an attempt, and as many of the last
MAX_CHARACTERS = 128 << 10  # in the first lines, and as many in the last
LINE_SIZE = 64  # what a line counts beside its text

STREAMS = {"stdout": logging.INFO, "stderr": logging.WARNING}  # the levels of what is printed
LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)

_COLOURS = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]")  # and whatever else a terminal would do in place of showing text


def level_of(number: object) -> int:
    """The standard level that a record's is, or is next above."""
    if not isinstance(number, int):
        return logging.INFO
    return next((level for level in LEVELS if number >= level), logging.DEBUG)


def readable(text: str, most: int) -> str:
    """The text with what cannot be shown replaced, and cut to so many characters.

    Args:
        text: of any class derived from `str`, whose methods are not called.
        most: characters.
    """
    text = writable(text, 2 * most + 1)  # escape codes may be half of it
    if not text.isprintable():
        text = _COLOURS.sub("", text)
        text = "".join([letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text])
    return text if len(text) <= most else text[:most] + "…"


def readable_traceback(text: str) -> str:
    """A traceback, without what is in the middle of one that is too long: its last lines say what happened."""
    text = readable(text.rstrip("\n"), 100 * MAX_TRACEBACK_CHARACTERS)
    if len(text) <= MAX_TRACEBACK_CHARACTERS:
        return text
    half = MAX_TRACEBACK_CHARACTERS // 2 - 2
    return f"{text[:half]}\n…\n{text[-half:]}"
