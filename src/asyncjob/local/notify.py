"""Who may be notified of a job's end: what `--notify-allow` lets a client name, and where a request may then go.

A client that may have the server send requests can have it speak to what the server alone reaches (SSRF). So nothing
is allowed unless it was named, https alone leaves for the internet, and what a name resolves to is looked at each time
before a connection: an address that is not public must have been allowed as an address. The connection goes to the
very address that was looked at, so that a second answer of the DNS cannot change it.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from asyncjob.contract import ApiError

MAX_URL = 2_000  # characters
_NAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]{0,62}\.?)*")
_GLOBAL_UNICAST = ip_network("2000::/3")  # RFC 4291, section 2.4, and IANA's registry
_URL = re.compile(r"[!-~]+")  # ASCII without spaces: a URL as it goes over the wire

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Unreachable(Exception):
    """The host cannot be reached, or must not be; the message says why."""


class Target(NamedTuple):
    """Where a request goes.

    Attributes:
        url: as the client gave it, but with the address in place of the host.
        host: what the `Host` header says.
        name: the host's name, for its certificate.
    """

    url: str
    host: str
    name: str


class NotifyPolicy:
    """What `--notify-allow` allows.

    Args:
        allowed: host names, `*.` before one for all names below it, addresses, and networks such as `10.0.0.0/8`. A
            name allows only the public addresses that it resolves to; others must be allowed as addresses too.

    Raises:
        ValueError: an entry is none of these.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in allowed:
            try:
                self._networks.append(ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                if not _NAME.fullmatch(entry.lower()):
                    raise ValueError(
                        f"{entry!r} is no host: give a name, *.name, an address or a network, without scheme or port"
                    ) from None
                self._names.add(entry.lower())

    @property
    def allows_any(self) -> bool:
        """Whether anything is allowed."""
        return bool(self._names or self._networks)

    def check(self, url: str) -> None:
        """See that a client may name this URL.

        Raises:
            ApiError: 400, whose message says what is wrong.
        """
        if not self.allows_any:
            raise ApiError(400, "notify is not allowed here: the server was started without --notify-allow")
        try:
            self._check(url)
        except ValueError as error:
            raise ApiError(400, f"notify {error}") from None

    def _check(self, url: str) -> None:
        if len(url) > MAX_URL or not _URL.fullmatch(url):
            raise ValueError(f"must be a URL of at most {MAX_URL:,} ASCII characters")
        parts, host = _split(url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not carry a user or a password")
        address = _address(host)
        if address is None and not self._allows_name(host):
            raise ValueError(f"host {host} is not allowed here, see --notify-allow")
        if address is not None and not self._allows_address(address):
            raise ValueError(f"address {host} is not allowed here, see --notify-allow")
        if parts.scheme != "https" and not (parts.scheme == "http" and (address is not None or host == "localhost")):
            raise ValueError("must begin with https:// (http:// only to an allowed address or localhost)")

    async def resolve(self, url: str, number: int) -> Target:
        """Look up where a request to the URL may go.

        Args:
            url: one that was checked, maybe by an earlier server.
            number: of the try; tries take the host's addresses in turn.

        Raises:
            Unreachable: it may not be notified (any more), or has no address that may be.
        """
        try:
            self._check(url)
        except ValueError as error:
            raise Unreachable(f"the URL {error}") from None
        parts, host = _split(url)
        address = _address(host)
        found = [address] if address is not None else await _look_up(host)
        allowed = [one for one in found if _is_public(one) or self._allows_address(one)]
        if not allowed:
            raise Unreachable(f"{host} is at {', '.join(map(str, found))}, which is not public and not allowed")
        chosen = allowed[number % len(allowed)]
        literal = f"[{chosen}]" if chosen.version == 6 else str(chosen)
        place = literal if parts.port is None else f"{literal}:{parts.port}"
        return Target(parts._replace(netloc=place, fragment="").geturl(), parts.netloc, host)

    def _allows_name(self, host: str) -> bool:
        labels = host.split(".")
        return host in self._names or any(f"*.{'.'.join(labels[at:])}" in self._names for at in range(1, len(labels)))

    def _allows_address(self, address: Address) -> bool:
        return any(address in network for network in self._networks if network.version == address.version)


def _split(url: str) -> tuple[SplitResult, str]:
    """The parts of a URL, and its host.

    Raises:
        ValueError: it has none, or cannot be read.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port  # raises where it is no port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host:
        raise ValueError("must be a URL with a host")
    return parts, host


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def _look_up(host: str) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter: it is no name that the DNS could have
        raise Unreachable(f"{host} has no address: {error}") from None
    return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (
        # What is outside has special uses; what carries an IPv4 address leads to where that leads.
        address not in _GLOBAL_UNICAST or address.sixtofour is not None or address.teredo is not None
    ):
        return False
    return address.is_global and not address.is_multicast
