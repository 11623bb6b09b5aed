"""The sign-ins of browsers: each is a cookie that this server knows, and can end.

The cookie is not the API key. It holds at the host where it was given, for twelve hours, while the server runs.
"""

import asyncio
import secrets
import time

COOKIE = "asyncjob"
SECURE_COOKIE = "__Host-asyncjob"  # a browser takes it only from this very host, over https, and for all of its paths
PREFIXED_COOKIE = "__Secure-asyncjob"  # over https, below a prefix: other servers of the host do not get it
COOKIES = (COOKIE, SECURE_COOKIE, PREFIXED_COOKIE)
COOKIE_SECONDS = 12 * 3_600
MAX_SESSIONS = 1_000  # one more ends the oldest

Headers = dict[bytes, bytes]


class Session:
    """One sign-in of a browser.

    Attributes:
        cookie: the name of its cookie and its value.

    Args:
        host: the `Host` at which the browser has signed in; the session holds there alone.
        name: of the cookie.
    """

    def __init__(self, host: bytes, name: str) -> None:
        self.cookie = (name, secrets.token_urlsafe(32))
        self._ended = asyncio.Event()
        self._host = host
        self._until = time.monotonic() + COOKIE_SECONDS
        asyncio.get_running_loop().call_later(COOKIE_SECONDS, self.end)

    @property
    def is_over(self) -> bool:
        """Whether it lets nobody in any more."""
        return self._ended.is_set() or time.monotonic() >= self._until

    def holds(self, headers: Headers) -> bool:
        """Whether it lets in this request, which has brought its cookie."""
        return not self.is_over and headers.get(b"host", b"") == self._host

    def end(self) -> None:
        """Let nobody in any more, and end what goes on in it."""
        self._ended.set()

    async def over(self) -> None:
        """Wait for its end."""
        await self._ended.wait()


class Sessions:
    """The sessions that hold."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], Session] = {}

    def start(self, headers: Headers, prefix: str = "") -> Session:
        """A session for a browser that has shown the key.

        Args:
            headers: of its request.
            prefix: below which it has found the API; empty for none.
        """
        for cookie, session in list(self._sessions.items()):
            if session.is_over:
                del self._sessions[cookie]
        if len(self._sessions) >= MAX_SESSIONS:
            self._end(next(iter(self._sessions)))
        # A proxy that ends TLS speaks HTTP with this server, but the browser itself says what it speaks.
        is_secure = headers.get(b"origin", b"").startswith(b"https://")
        name = (PREFIXED_COOKIE if prefix else SECURE_COOKIE) if is_secure else COOKIE
        session = Session(headers.get(b"host", b""), name)
        self._sessions[session.cookie] = session
        return session

    def find(self, headers: Headers) -> Session | None:
        """The session of the request's cookie, if it holds."""
        for cookie in _cookies(headers):
            session = self._sessions.get(cookie)
            if session is not None and session.holds(headers):
                return session
        return None

    def end(self, headers: Headers) -> None:
        """End the sessions whose cookies the request brings, and all that goes on in them."""
        for cookie in _cookies(headers):
            self._end(cookie)

    def _end(self, cookie: tuple[str, str]) -> None:
        session = self._sessions.pop(cookie, None)
        if session is not None:
            session.end()


def _cookies(headers: Headers) -> list[tuple[str, str]]:
    """The request's cookies of ours, whoever has set them; by hand, since http.cookies takes seconds for long ones."""
    found = []
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name in COOKIES:
            found.append((name, value))
    return found
