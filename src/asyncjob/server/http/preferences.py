"""What a client would like: `Prefer` (RFC 7240). Nobody is refused for it: what is malformed or unknown is ignored.

`wait=10` is another way to say `?wait=10`, and `respond-async` asks for the 202 that a submission gets anyway.
"""

import re
from typing import NamedTuple

from asyncjob.contract import MAX_WAIT_SECONDS
from asyncjob.server.http.answers import Header
from asyncjob.server.http.requests import Request

MAX_PREFER_BYTES = 1_024  # of the header; a longer one is ignored, since what follows looks at some of it twice

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARTS = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PREFERENCE = re.compile(rf"[ \t]*({_NAME})[ \t]*(?:=[ \t]*({_NAME}|{_QUOTED})[ \t]*)?(?:;.*)?")
_SECONDS = re.compile(r"[0-9]{1,9}")


class Preferences(NamedTuple):
    """What a request prefers, of what this server knows.

    Attributes:
        wait: for how many seconds it would wait for the job to end, at most 60; None if it does not say.
        respond_async: whether it would rather have a 202 than wait.
    """

    wait: int | None = None
    respond_async: bool = False


NO_PREFERENCES = Preferences()


def preferences(request: Request) -> Preferences:
    """What a request prefers. Its query wins: with `?wait=`, the header's `wait` is ignored."""
    given = request.header(b"prefer")
    if given is None or len(given) > MAX_PREFER_BYTES:
        return NO_PREFERENCES
    found: dict[str, str] = {}
    for part in _PARTS.findall(given):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:  # of one that is given twice, the first counts
            found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    seconds = found.get("wait", "")
    waits = not request.query_string and _SECONDS.fullmatch(seconds) is not None
    wait = min(int(seconds), MAX_WAIT_SECONDS) if waits else None
    return Preferences(wait, found.get("respond-async") == "")


def applied(wait: int | None, respond_async: bool = False) -> list[Header]:
    """The header that says which preferences an answer has followed; none if it has followed none."""
    said = [] if wait is None else [f"wait={wait}"]
    if respond_async:
        said.append("respond-async")
    return [(b"preference-applied", ", ".join(said).encode())] if said else []
