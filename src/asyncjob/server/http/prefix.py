"""Below which prefix a request has found the API, and what is asked of it there.

ASGI's `root_path` is the prefix that clients see. How much of it is in `path` is another matter: a proxy or a
framework may have taken away all of it, only its own part, or nothing, and Litestar takes away its part without a
word in `root_path`. So the path is read in each of these ways, and the first that leads to a route counts.
"""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

from asyncjob.server.http.requests import Scope
from asyncjob.server.http.routes import Path, find

MAX_DEPTH = 16  # segments of a prefix; a framework's may hold what a client has sent
AS_SENT = "/:@!$()*+,=~"  # what browsers do not encode in a path either


class Place(NamedTuple):
    """What is asked, and where.

    Attributes:
        path: what is there; None if nothing is.
        name: the variable part of the path.
        prefix: what clients write before each path of the API, percent-encoded, such as `/work`; empty for nothing.
    """

    path: Path | None
    name: str
    prefix: str


def locate(scope: Scope, root_path: str = "") -> Place:
    """Find what a request asks for.

    Args:
        scope: ASGI's, of the request.
        root_path: the prefix that a proxy in front of this server has, if the scope names none.
    """
    path, root = scope["path"], (scope.get("root_path") or root_path).rstrip("/")
    sent = _sent(scope)
    if not root and sent == path:
        return Place(*find(path), "")
    if sent != path and not sent.endswith("/"):
        path = path.rstrip("/")  # which Litestar has added
    mounted = sent.removesuffix(path) if sent.endswith(path) else ""
    for below in _readings(path, root):
        found, name = find(below or "/")
        if found is not None:
            break
    else:
        return Place(None, "", link_prefix(root))
    return Place(found, name, link_prefix(_joined(root, mounted)))


def link_prefix(root_path: str) -> str:
    """A prefix as it is written in links: it leads to this host, and says nothing to a header or a page."""
    root_path = root_path.strip("/")
    return f"/{quote(root_path, safe=AS_SENT)}" if root_path else ""


def _sent(scope: Scope) -> str:
    """The whole path that the server was sent, if it tells."""
    path: str = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    if raw is None or raw.decode("latin-1") == path:
        return path
    return unquote(raw.partition(b"?")[0].decode("latin-1"))


def tails(root_path: str) -> Iterator[str]:
    """What of a prefix may be in a path: all of it, or its last segments."""
    segments = root_path.strip("/").split("/", MAX_DEPTH) if root_path else []
    for first in range(len(segments)):
        yield "/" + "/".join(segments[first:])


def _readings(path: str, root_path: str) -> Iterator[str]:
    """The path without what it may have of the prefix."""
    for tail in tails(root_path):
        if path == tail:
            yield path  # such as /jobs, if that is the prefix as well
        if path == tail or path.startswith(tail + "/"):
            yield path[len(tail) :]
    yield path


def _joined(root: str, mounted: str) -> str:
    """The prefix from what ASGI says of it and what is missing in `path`, which may be the same or follow on it."""
    if f"{mounted}/".startswith(f"{root}/"):
        return mounted
    return root if root.endswith(mounted) else root + mounted
