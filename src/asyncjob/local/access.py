"""Who may come in: programs by their API key, a browser by a cookie that it gets for the key, or this machine alone.

The cookie is no key: it says until when it holds, signed with what only the key gives. Whoever finds one cannot submit
with it for longer than that, nor from another program's page: a browser sends it by itself, so a request that changes
something must also come from this server's own page.
"""

import hashlib
import hmac
import time
from functools import cached_property, lru_cache
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from asyncjob.contract import ApiError
from asyncjob.local.settings import Settings, is_loopback

LOCAL_ONLY = "for this machine only"
COOKIE = "asyncjob"
COOKIE_SECONDS = 12 * 3_600
SAFE_METHODS = ("GET", "HEAD")
# A load balancer has no key, and a browser cannot send one before it has the page to enter it in.
_OPEN_PATHS = ("/healthz", "/openapi.json", "/docs", "/page/", "/session")

Headers = dict[bytes, bytes]


class Access:
    """What a server lets in.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._api_key = None if settings.api_key is None else settings.api_key.encode()
        self._insecure = settings.insecure

    @property
    def needs_key(self) -> bool:
        """Whether there is an API key."""
        return self._api_key is not None

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Let a request in.

        Raises:
            ApiError: 403.
        """
        if self._api_key is not None:
            if path != "/" and not path.startswith(_OPEN_PATHS) and not self.has_key(headers.get(b"x-api-key", b"")):
                self._check_cookie(method, headers)
        elif not self._insecure:
            check_origin(headers)
        elif method not in SAFE_METHODS:
            check_page(headers)

    def has_key(self, given: bytes) -> bool:
        """Whether that is the API key, compared in constant time."""
        return self._api_key is not None and hmac.compare_digest(given, self._api_key)

    def cookie(self) -> str:
        """A cookie's value for a browser that has shown the key."""
        until = str(int(time.time()) + COOKIE_SECONDS)
        return f"{until}.{self._sign(until)}"

    def has_cookie(self, headers: Headers) -> bool:
        """Whether the request brings a cookie of ours that still holds."""
        try:
            cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            return False
        until, _, signature = ("" if cookie is None else cookie.value).partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(until).encode()):
            return False
        return int(until) > time.time()

    def _check_cookie(self, method: str, headers: Headers) -> None:
        if b"cookie" not in headers or not self.has_cookie(headers):
            raise ApiError(403, "Forbidden: send the server's API key as x-api-key")
        if method not in SAFE_METHODS and is_from_page(headers) is not True:
            raise ApiError(403, "Forbidden: only this server's own page may do that with its cookie")

    def _sign(self, until: str) -> str:
        return hmac.new(self._secret, until.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        """Made with much work, so that a stolen cookie does not give a weak key away."""
        assert self._api_key is not None
        return hashlib.scrypt(self._api_key, salt=b"asyncjob cookie", n=2**14, r=8, p=1)


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


def check_origin(headers: Headers) -> None:
    """Keep web pages from elsewhere out of a server that lets everybody on this machine in, browsers included.

    A page can post without asking, and read the answers once its own name resolves to 127.0.0.1 (DNS rebinding).

    Raises:
        ApiError: 403.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    if not _is_local(host):
        raise ApiError(403, f"Forbidden: this server is {LOCAL_ONLY}; start it with an --api-key to serve others")
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1") != f"http://{host}":
        raise ApiError(403, f"Forbidden: this server is {LOCAL_ONLY}, not for pages of another origin")


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    try:
        return not host or is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
