"""What is said of an exception: its class and message to the client, where it was raised to the log.

An exception is an object of somebody else's class. Its methods may raise, exit or return megabytes, so none of them is
trusted: attributes are read past overrides, and every text has a bound.

Messages and notes tend to hold values. They go into the job, which its owner reads, and never into the log.
"""

import itertools
import traceback
from collections.abc import Iterator
from typing import Any

from asyncjob.job import writable

MAX_TYPE_CHARACTERS = 200
MAX_MESSAGE_CHARACTERS = 10_000
MAX_TRACEBACK_CHARACTERS = 20_000
MAX_FRAMES = 20  # shown of one exception
MAX_TOLD = 20  # exceptions shown of one group or one chain
MAX_LEAVES = 10_000  # looked at in one group

_OWN_FILES = (__file__, __file__.replace("failure.py", "runner.py"))


def type_name(error: BaseException) -> str:
    """The name of its class, which a metaclass cannot change."""
    return writable(vars(type)["__name__"].__get__(type(error)), MAX_TYPE_CHARACTERS)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, at any depth, in their order; any other exception yields itself."""
    waiting = [error]
    for _ in range(MAX_LEAVES):
        if not waiting:
            return
        each = waiting.pop()
        if issubclass(type(each), BaseExceptionGroup):
            waiting.extend(reversed(_members(each)))
        else:
            yield each


def message(error: BaseException) -> str:
    """What the job shows: the exception's text, its notes and, of a group, the class and text of each leaf."""
    text = _with_notes(error)
    if issubclass(type(error), BaseExceptionGroup):
        first = itertools.islice(leaves(error), MAX_TOLD + 1)
        told = [f"{type_name(leaf)}: {_with_notes(leaf)}" for leaf in first]
        if len(told) > MAX_TOLD:
            told[MAX_TOLD:] = ["…"]
        text = f"{text}: {'; '.join(told)}"
    return _bounded(text, MAX_MESSAGE_CHARACTERS)


def where(error: BaseException) -> str:
    """What the log shows: the frames of the exception, of its causes and contexts, and of a group's members."""
    sections: list[str] = []
    seen: set[int] = set()
    waiting = [("", error)]
    while waiting and len(sections) < MAX_TOLD:
        relation, each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        frames = "".join(_frames(each)).rstrip("\n")
        head = f"{relation} {type_name(each)}" + (":\n" if frames else "") if relation else ""
        sections.append(head + frames)
        waiting.extend(reversed(list(_related(each))))
    text = "\n".join(section for section in sections if section)
    shown = "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in writable(text))
    return _bounded(shown, MAX_TRACEBACK_CHARACTERS)


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    cause, context = _attribute(error, "__cause__"), _attribute(error, "__context__")
    if cause is not None:
        yield "caused by", cause
    elif context is not None and not _attribute(error, "__suppress_context__"):
        yield "while handling", context
    if issubclass(type(error), BaseExceptionGroup):
        for member in _members(error)[:MAX_TOLD]:
            yield "in the group", member


def _frames(error: BaseException) -> list[str]:
    """The last frames, without the runner's own.

    Clears them too, which frees what the function held: that may be all the memory there is.
    """
    entry = _attribute(error, "__traceback__")
    while entry is not None and entry.tb_frame.f_code.co_filename in _OWN_FILES:
        entry = entry.tb_next
    traceback.clear_frames(entry)
    return traceback.format_tb(entry, limit=-MAX_FRAMES)


def _with_notes(error: BaseException) -> str:
    notes = vars(BaseException)["__dict__"].__get__(error).get("__notes__")
    noted = list.__getitem__(notes, slice(0, MAX_TOLD)) if issubclass(type(notes), list) else []
    return "\n".join(text for text in (_text(error), *map(_text, noted)) if text)


def _text(value: object) -> str:
    try:
        return writable(str(value), MAX_MESSAGE_CHARACTERS + 1)
    except MemoryError:
        raise
    except BaseException:  # its __str__ raised or exited; its class still says something
        return ""


def _members(group: BaseException) -> tuple[BaseException, ...]:
    found: tuple[BaseException, ...] = vars(BaseExceptionGroup)["exceptions"].__get__(group)
    return found


def _attribute(error: BaseException, name: str) -> Any:
    return vars(BaseException)[name].__get__(error)


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
