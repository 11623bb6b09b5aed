"""Who may come in: programs by their API key, a browser by its session, or only this machine.

A browser sends its cookie by itself, so a request that changes something must also come from this server's own page.
What a name in `Host` leads to is decided by others, so where no key is asked for, only names count that nobody else can
point at this server (DNS rebinding). routes.py says which routes are open to everybody.
"""

import asyncio
import hmac
import logging
import socket
import time
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from asyncjob.contract import ApiError
from asyncjob.server.http.cors import Cors
from asyncjob.server.http.sessions import Headers, Session, Sessions
from asyncjob.server.logs import log
from asyncjob.server.settings import Settings, is_address, is_loopback

LOCAL_ONLY = "for this machine only"
CLOSE = {"connection": "close"}
CHALLENGE = 'Bearer realm="asyncjob"'
BEARER = b"bearer "
SAFE_METHODS = ("GET", "HEAD")
WRONG_KEY_SECONDS = 1.0  # until a wrong key is answered
MAX_DELAYED = 32  # answers to wrong keys that wait at once; further ones are given at once, since waiting costs too
LOG_SECONDS = 10.0  # between two log lines about wrong keys


class Unauthorized(ApiError):
    """A request without a key that is ours: 401, which says what would let it in."""

    def __init__(self, message: str, challenge: str = CHALLENGE) -> None:
        super().__init__(401, f"Unauthorized: {message}", {"www-authenticate": challenge})


class WrongKey(Unauthorized):
    """One with a key that is not ours: it is logged, and answered late."""

    def __init__(self, message: str) -> None:
        super().__init__(message, f'{CHALLENGE}, error="invalid_token"')


class Access:
    """Whom a server lets in.

    Attributes:
        sessions: of browsers that have shown the key.
        cors: the pages of other origins that may come.

    Args:
        settings: of the server.
        any_host: whether another application has looked at `Host` already, or not, as it likes.
    """

    def __init__(self, settings: Settings, *, any_host: bool = False) -> None:
        self.sessions = Sessions()
        self.cors = Cors(settings.cors_origin)
        self._api_key = None if settings.api_key is None else settings.api_key.encode()
        self._insecure = settings.insecure or any_host
        self._any_host = any_host
        self._hosts = tuple(host.lower() for host in settings.allow_host)
        self._own_hosts = (*self._hosts, settings.host.lower(), socket.gethostname().lower())
        self._delayed = 0
        self._wrong_keys, self._logged = 0, -LOG_SECONDS

    @property
    def needs_key(self) -> bool:
        """Whether there is an API key."""
        return self._api_key is not None

    def check(self, method: str, is_open: bool, headers: Headers) -> Session | None:
        """Let a request in.

        Args:
            method: of the request.
            is_open: whether its route needs no key.
            headers: of the request.

        Returns:
            The session that lets it in, if one does.

        Raises:
            Unauthorized: 401, it has brought no key; or WrongKey, another one.
            ApiError: 403. If a body follows, the connection is closed: a stranger's is not read.
        """
        try:
            if self._api_key is not None:
                return self._check_key(method, is_open, headers)
            if not self._insecure:
                check_origin(headers, self._hosts)
                return None
            if not self._any_host:
                _check_host(headers, self._own_hosts)
            if method not in SAFE_METHODS and not self.cors.allows(headers):
                check_page(headers)
        except ApiError as refusal:
            if b"content-length" in headers or b"transfer-encoding" in headers:
                refusal.headers |= CLOSE
            raise
        return None

    def has_key(self, given: bytes) -> bool:
        """Whether that is the API key, compared in constant time."""
        return self._api_key is not None and hmac.compare_digest(given, self._api_key)

    async def refuse_late(self, client: Sequence[object] | None) -> None:
        """Log a wrong key, without the key itself, and wait for a moment.

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

    def _check_key(self, method: str, is_open: bool, headers: Headers) -> Session | None:
        if self._hosts:
            _check_host(headers, self._hosts)
        if is_open:
            return None
        given = _given_keys(headers)
        if any(self.has_key(key) for key in given):
            return None
        return self._check_cookie(method, headers, is_guess=any(given))

    def _check_cookie(self, method: str, headers: Headers, is_guess: bool) -> Session:
        session = self.sessions.find(headers)
        if session is None:
            refused = WrongKey if is_guess else Unauthorized
            raise refused("send the server's API key as x-api-key, or as Authorization: Bearer")
        if method not in SAFE_METHODS and is_from_page(headers) is not True:
            raise ApiError(403, "Forbidden: only this server's own page may do that with its cookie")
        return session


def _given_keys(headers: Headers) -> list[bytes]:
    """The API keys that a request brings; another kind of `Authorization` is for somebody else."""
    keys = [headers[b"x-api-key"]] if b"x-api-key" in headers else []
    authorization = headers.get(b"authorization", b"")
    if authorization[: len(BEARER)].lower() == BEARER:
        keys.append(authorization[len(BEARER) :].strip(b" "))
    return keys


def is_from_page(headers: Headers) -> bool | None:
    """Whether a browser says that the request comes from this server's own page; None if it says nothing."""
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
    """Keep web pages from elsewhere out of a server that lets in everybody on this machine, browsers included.

    A page can post without asking, and can read the answers once its own name resolves to 127.0.0.1 (DNS rebinding).

    Args:
        headers: of the request.
        hosts: further names that count as this machine's, in lower case.

    Raises:
        ApiError: 403.
    """
    host = headers.get(b"host", b"")
    name = _name(host)
    if not (host == b"" or is_loopback(name) or name in hosts):
        raise ApiError(403, f"Forbidden: this server is {LOCAL_ONLY}; start it with an --api-key to serve others")
    origin = headers.get(b"origin")
    if origin is not None and origin != b"http://" + host:
        raise ApiError(403, f"Forbidden: this server is {LOCAL_ONLY}, not for pages of another origin")


def _check_host(headers: Headers, hosts: tuple[str, ...]) -> None:
    """Serve the given names, and those that nobody on the internet can own: addresses, and names without a dot.

    Raises:
        ApiError: 403.
    """
    name = _name(headers.get(b"host", b""))
    if not (is_address(name) or ("." not in name and ":" not in name) or name in hosts):
        raise ApiError(403, f"Forbidden: this server does not go by the name {name}; start it with --allow-host {name}")


@lru_cache(maxsize=64)
def _name(host: bytes) -> str:
    """The name or address in a `Host`, in lower case; a name that is never served if it is malformed."""
    try:
        return urlsplit(f"//{host.decode('latin-1')}").hostname or ""
    except ValueError:
        return "malformed.invalid"
