"""Makes the httpx clients, from the caller's arguments and from the environment, and gives each its owner.

A wrong argument is a ValueError. A proxy, certificates or credentials in the environment that cannot be used are a
ClientError, because the caller's program is not wrong.
"""

import asyncio
import os
import re
import urllib.request
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import httpx

from asyncjob.address import default_url
from asyncjob.client.errors import ClientError, Unreachable
from asyncjob.context import asking
from asyncjob.version import __version__

EXAMPLE_URL = "http://127.0.0.1:8000"
UNSENDABLE = (httpx.InvalidURL, UnicodeError, OverflowError, OSError)
"""What httpx raises, besides its own RequestError, for a host, a port or an address that cannot exist."""
PASSWORD = re.compile(r"(?<=//).*@")

HttpClient = TypeVar("HttpClient", httpx.Client, httpx.AsyncClient)
Made = TypeVar("Made")


class BlockingHttp(httpx.Client):
    """httpx's client, whose requests are known to be ours while they are sent."""

    def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        """See httpx."""
        token = asking.set(True)
        try:
            return super().send(request, **more)
        finally:
            asking.reset(token)


class AsynchronousHttp(httpx.AsyncClient):
    """The same for coroutines."""

    async def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        """See httpx."""
        token = asking.set(True)
        try:
            return await super().send(request, **more)
        finally:
            asking.reset(token)


class Owned(Generic[Made]):
    """One httpx client for each owner: a process, or an event loop.

    Two processes at one connection would read each other's answers, and what belongs to a closed loop cannot be used.
    What a forked process inherits is dropped, not closed: a lock in it may be held by a thread that is not there.

    Args:
        make: makes one, the first at once, so that it raises what is wrong now.
        owner: the owner whose code runs.
        is_gone: whether an owner will not be here again.
    """

    def __init__(self, make: Callable[[], Made], owner: Callable[[], Any], is_gone: Callable[[Any], bool]) -> None:
        self._make = make
        self._owner = owner
        self._is_gone = is_gone
        self._unused = [make()]
        self._of: dict[Any, Made] = {}

    def __call__(self) -> Made:
        """The client of the owner whose code runs."""
        owner = self._owner()
        http = self._of.get(owner)
        if http is not None:
            return http
        for other in [each for each in list(self._of) if self._is_gone(each)]:
            self._of.pop(other, None)
        try:
            http = self._unused.pop()
        except IndexError:
            http = self._make()
        return self._of.setdefault(owner, http)


def blocking_http(*api: Any) -> Owned[httpx.Client]:
    """A client for each process; takes and raises what `http_client` does."""
    return Owned(lambda: http_client(BlockingHttp, *api), os.getpid, lambda process: process != os.getpid())


def asynchronous_http(*api: Any) -> Owned[httpx.AsyncClient]:
    """A client for each event loop, and so for each process too; takes and raises what `http_client` does."""
    return Owned(
        lambda: http_client(AsynchronousHttp, *api), asyncio.get_running_loop, lambda loop: bool(loop.is_closed())
    )


def http_client(kind: type[HttpClient], url: str | None, api_key: str | None, aws_iam: bool) -> HttpClient:
    """A client of httpx.

    Args:
        kind: of its class.
        url: of the API. If it is None, URL and key are those of the environment: a key that lies there is for that
            server alone.
        api_key: for it.
        aws_iam: whether to sign requests.

    Raises:
        ValueError: the URL or the key cannot be used.
        ClientError: requests cannot be signed here, or the environment names a proxy or certificates that cannot be
            used.
    """
    if url is None:
        _check_there_is_a_server()
        url, api_key = default_url(), api_key or os.environ.get("ASYNCJOB_API_KEY")
    settings = _settings(url, api_key, aws_iam)
    try:
        return kind(**settings)
    except OSError as error:
        raise ClientError(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {error.strerror or error}"
        ) from None
    except ImportError:
        raise ClientError(
            f"{_environment()}: a SOCKS proxy needs pip install 'httpx[socks]', or set NO_PROXY='*' to do without"
        ) from None
    except (ValueError, httpx.InvalidURL):
        raise ClientError(
            f"{_environment()} and cannot be used: {_correction()}, or set NO_PROXY='*' to do without"
        ) from None


def _check_there_is_a_server() -> None:
    """Refuse to look for the server of this machine in a Lambda function, which would wait for it in vain."""
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and not os.environ.get("ASYNCJOB_URL"):
        raise ClientError(
            "in a Lambda function no server is on this machine: name the API's address, as in "
            "Client('https://...', aws_iam=True)"
        )


def shown(url: httpx.URL) -> str:
    """The URL without the name and password that may be in it."""
    return str(url.copy_with(userinfo=b""))


def through(url: httpx.URL) -> str:
    """Which proxy of the environment requests to a URL go through, without its password; empty if none."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    bypassed = urllib.request.proxy_bypass(url.host) or urllib.request.proxy_bypass(f"{url.host}:{url.port}")
    return "" if not proxy or bypassed else f" through the proxy {_masked(proxy)}"


def unsendable(url: str, error: Exception) -> ClientError:
    """The error for a request that httpx could not even try to send."""
    return Unreachable(f"{url} cannot be asked: {error}")


def _settings(url: str, api_key: str | None, aws_iam: bool) -> dict[str, Any]:
    from asyncjob.client.signing import AwsAuth

    try:
        base_url = httpx.URL(url)
        base_url.raw_host.decode("ascii").encode("idna")  # each label from 1 to 63 characters
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if base_url.scheme not in ("http", "https") or not base_url.host or base_url.query or base_url.fragment:
        raise ValueError(f"{url!r} is not the URL of an API: write it as {EXAMPLE_URL}")
    if not 0 < (base_url.port or 80) <= 65_535:
        raise ValueError(f"{url!r} is not a URL: a port is from 1 to 65535")
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ValueError("the API key must be printable ASCII, as headers are")
    key = {} if api_key is None else {"x-api-key": api_key}
    return {
        "base_url": base_url,
        "headers": {"accept": "application/json", "user-agent": f"asyncjob/{__version__}", **key},
        "auth": AwsAuth(base_url) if aws_iam else None,
        "follow_redirects": False,
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=100),
    }


def _environment() -> str:
    named = ", ".join(f"{name.upper()}_PROXY={_masked(value)}" for name, value in urllib.request.getproxies().items())
    return f"the environment names a proxy ({named})"


def _correction() -> str:
    """What to change in the environment: httpx cannot read each entry that others know in NO_PROXY."""
    proxies = urllib.request.getproxies()
    proxies.pop("no", None)
    try:
        for proxy in proxies.values():
            httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")
    except (ValueError, httpx.InvalidURL):
        return "write it as http://host:port"
    return "NO_PROXY may name hosts and addresses, but no address in brackets and no IPv6 network"


def _masked(url: str) -> str:
    return PASSWORD.sub("***@", url)
