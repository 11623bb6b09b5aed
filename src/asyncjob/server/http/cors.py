"""CORS: the pages of which other origins may use the API from a browser, with the API key in a header.

A browser's cookie is for this server's own page alone, so `Access-Control-Allow-Credentials` is never sent.
"""

from collections.abc import Sequence

from asyncjob.server.http.sessions import Headers

ANY = b"*"
EXPOSED = b"Allow, ETag, Location, Preference-Applied, Retry-After, WWW-Authenticate"
PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Traceparent, X-Api-Key",
    ),
    (b"access-control-max-age", b"600"),
]


class Cors:
    """Whose pages may come.

    Args:
        origins: such as `https://app.example`, or `*` for all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def allows(self, headers: Headers) -> bool:
        """Whether a request comes from a page that may."""
        origin = headers.get(b"origin")
        return origin is not None and (ANY in self._origins or origin in self._origins)

    def allowing(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """The headers with which a browser lets that page read the answer; none for any other request."""
        if not self.allows(headers):
            return []
        exposing = (b"access-control-expose-headers", EXPOSED)
        if ANY in self._origins:
            return [(b"access-control-allow-origin", ANY), exposing]
        return [(b"access-control-allow-origin", headers[b"origin"]), (b"vary", b"origin"), exposing]

    def is_preflight(self, method: str, headers: Headers) -> bool:
        """Whether a browser asks, before it sends that page's request, whether it may."""
        return method == "OPTIONS" and b"access-control-request-method" in headers and self.allows(headers)
