"""Who may come in: programs by their API key, a browser by a cookie that it gets for the key, or this machine alone.

The cookie is no key: it names a session, which this server keeps and ends. A browser sends it by itself, so a request
that changes something must also come from this server's own page. What a name in `Host` leads to others decide, so
where no key is asked for only names count that nobody else can point at this server (DNS rebinding).
"""

import asyncio
import hmac
import logging
import secrets
import socket
import time
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from asyncjob.contract import ApiError
from asyncjob.server.logs import log
from asyncjob.server.settings import Settings, is_address, is_loopback

LOCAL_ONLY = "for this machine only"
COOKIE = "asyncjob"
SECURE_COOKIE = "__Host-asyncjob"  # which a browser takes from this very host alone, over https
COOKIE_SECONDS = 12 * 3_600
MAX_SESSIONS = 1_000  # the oldest ends for a further one
SAFE_METHODS = ("GET", "HEAD")
WRONG_KEY_SECONDS = 1.0  # until a wrong key is answered
MAX_DELAYED = 32  # answers to wrong keys that wait at once; more are given at once, since waiting has a price here too
LOG_SECONDS = 10.0  # between two log lines about wrong keys
# A load balancer has no key, and a browser cannot send one before it has the page to enter it in.
_OPEN_PATHS = ("/", "/healthz", "/openapi.json", "/docs", "/session")
_OPEN_FOLDERS = ("/docs/", "/page/")

Headers = dict[bytes, bytes]


class WrongKey(ApiError):
    """A request that tried a key which is not ours: it is logged, and answered late."""


class Session:
    """One sign-in of a browser.

    Attributes:
        cookie: the name of its cookie and its value.
        ended: is set once it holds no more.

    Args:
        host: the `Host` that the browser has signed in at; it holds there alone.
        is_secure: whether the browser speaks https.
    """

    def __init__(self, host: bytes, is_secure: bool) -> None:
        self.cookie = (SECURE_COOKIE if is_secure else COOKIE, secrets.token_urlsafe(32))
        self.ended = asyncio.Event()
        self._host = host
        self._until = time.monotonic() + COOKIE_SECONDS
        asyncio.get_running_loop().call_later(COOKIE_SECONDS, self.ended.set)

    def holds(self, headers: Headers) -> bool:
        """Whether it lets this request in, which has brought its cookie."""
        return not self.ended.is_set() and time.monotonic() < self._until and headers.get(b"host", b"") == self._host


class Access:
    """What a server lets in.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._api_key = None if settings.api_key is None else settings.api_key.encode()
        self._insecure = settings.insecure
        self._hosts = tuple(host.lower() for host in settings.allow_host)
        self._own_hosts = (*self._hosts, settings.host.lower(), socket.gethostname().lower())
        self._sessions: dict[tuple[str, str], Session] = {}
        self._delayed = 0
        self._wrong_keys, self._logged = 0, -LOG_SECONDS

    @property
    def needs_key(self) -> bool:
        """Whether there is an API key."""
        return self._api_key is not None

    def check(self, method: str, path: str, headers: Headers) -> Session | None:
        """Let a request in; the session by which it comes in, if it does by one.

        Raises:
            WrongKey: 403, it has brought another key.
            ApiError: 403.
        """
        if self._api_key is not None:
            if self._hosts:
                _check_host(headers, self._hosts)
            if path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS):
                return None
            given = headers.get(b"x-api-key")
            if given is not None and self.has_key(given):
                return None
            return self._check_cookie(method, headers)
        if not self._insecure:
            check_origin(headers, self._hosts)
            return None
        _check_host(headers, self._own_hosts)
        if method not in SAFE_METHODS:
            check_page(headers)
        return None

    def has_key(self, given: bytes) -> bool:
        """Whether that is the API key, compared in constant time."""
        return self._api_key is not None and hmac.compare_digest(given, self._api_key)

    async def refuse_late(self, client: Sequence[object] | None) -> None:
        """Tell the log of a wrong key, never the key itself, and wait for a moment.

        Args:
            client: its address and port.
        """
        self._wrong_keys += 1
        now = time.monotonic()
        if now - self._logged >= LOG_SECONDS:
            log(logging.WARNING, "wrong API key", client=client[0] if client else "unknown", times=self._wrong_keys)
            self._wrong_keys, self._logged = 0, now
        if self._delayed >= MAX_DELAYED:
            return
        self._delayed += 1
        try:
            await asyncio.sleep(WRONG_KEY_SECONDS)
        finally:
            self._delayed -= 1

    def sign_in(self, headers: Headers) -> Session:
        """A session for a browser that has shown the key."""
        for cookie, session in list(self._sessions.items()):
            if session.ended.is_set():
                del self._sessions[cookie]
        if len(self._sessions) >= MAX_SESSIONS:
            self._end(next(iter(self._sessions)))
        # What ends TLS in front of this server speaks HTTP with it, but the browser says what it speaks itself.
        session = Session(headers.get(b"host", b""), headers.get(b"origin", b"").startswith(b"https://"))
        self._sessions[session.cookie] = session
        return session

    def sign_out(self, headers: Headers) -> None:
        """End the sessions whose cookies the request brings, and all that goes on in them."""
        for cookie in _cookies(headers):
            self._end(cookie)

    def session(self, headers: Headers) -> Session | None:
        """The session of the request's cookie, if it holds."""
        for cookie in _cookies(headers):
            session = self._sessions.get(cookie)
            if session is not None and session.holds(headers):
                return session
        return None

    def _end(self, cookie: tuple[str, str]) -> None:
        session = self._sessions.pop(cookie, None)
        if session is not None:
            session.ended.set()

    def _check_cookie(self, method: str, headers: Headers) -> Session:
        session = self.session(headers)
        if session is None:
            refused = WrongKey if headers.get(b"x-api-key") else ApiError
            raise refused(403, "Forbidden: send the server's API key as x-api-key")
        if method not in SAFE_METHODS and is_from_page(headers) is not True:
            raise ApiError(403, "Forbidden: only this server's own page may do that with its cookie")
        return session


def _cookies(headers: Headers) -> list[tuple[str, str]]:
    """The request's cookies of ours, whoever has set them; by hand, since http.cookies takes long for long ones."""
    found = []
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name in (COOKIE, SECURE_COOKIE):
            found.append((name, value))
    return found


def is_from_page(headers: Headers) -> bool | None:
    """Whether a browser says that the request comes from this server's own page; None: it says nothing."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    origin = headers.get(b"origin")
    if origin is None:
        return None
    return origin.partition(b"://")[2] == headers.get(b"host")


def check_page(headers: Headers) -> None:
    """Refuse what another site's page sends.

    Raises:
        ApiError: 403.
    """
    if is_from_page(headers) is False:
        raise ApiError(403, "Forbidden: pages of another origin may not do that")


def check_origin(headers: Headers, hosts: Sequence[str] = ()) -> None:
    """Keep web pages from elsewhere out of a server that lets everybody on this machine in, browsers included.

    A page can post without asking, and read the answers once its own name resolves to 127.0.0.1 (DNS rebinding).

    Args:
        headers: of the request.
        hosts: names that count as this machine's too, in lower case.

    Raises:
        ApiError: 403.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    name = _name(host)
    if not (host == "" or is_loopback(name) or name in hosts):
        raise ApiError(403, f"Forbidden: this server is {LOCAL_ONLY}; start it with an --api-key to serve others")
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") != f"http://{host}":
        raise ApiError(403, f"Forbidden: this server is {LOCAL_ONLY}, not for pages of another origin")


def _check_host(headers: Headers, hosts: tuple[str, ...]) -> None:
    """Serve the given names, and those that nobody on the internet can own: addresses, and names without a dot.

    Raises:
        ApiError: 403.
    """
    name = _name(headers.get(b"host", b"").decode("latin-1"))
    if not (is_address(name) or ("." not in name and ":" not in name) or name in hosts):
        raise ApiError(403, f"Forbidden: this server does not go by the name {name}; start it with --allow-host {name}")


@lru_cache(maxsize=64)
def _name(host: str) -> str:
    """The name or address in a `Host`, in lower case; something that is neither where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return "malformed.invalid"
