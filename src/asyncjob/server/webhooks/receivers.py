"""Who may be notified of a job's end: which URLs `--notify-allow` lets a client name, and where their requests may go.

A client that makes the server send requests could reach what only the server can reach (SSRF). So nothing is allowed
unless it was named; only https may go to the internet; and before each connection the addresses of a name are checked:
one that is not public must have been allowed as an address. The connection goes to the very address that was checked,
so that a second answer of the DNS cannot change it.
"""

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from asyncjob.server.refusals import NotAllowed
from asyncjob.server.webhooks.addresses import Address, is_public

MAX_URL = 2_000  # characters
MAX_NAME = 253  # characters, as the DNS has it
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PORT = re.compile(r"[0-9]{1,5}")
_URL = re.compile(r"[!-~]+")  # ASCII without spaces: a URL as it goes over the wire
_DEFAULT_PORTS = {"https": 443, "http": 80}

Network = IPv4Network | IPv6Network
Ports = set[int | None]  # None among them: every port


class Undeliverable(Exception):
    """No request may go to the URL, or its host has no address.

    Attributes:
        message: why, for whoever may read the job.
        detail: what else is known, for the log alone, since it holds what the DNS answered.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class Target(NamedTuple):
    """Where a request goes.

    Attributes:
        url: the client's, with the address in place of the host.
        host: for the `Host` header.
        name: the host's name, which its certificate must have.
    """

    url: str
    host: str
    name: str


class NotifyPolicy:
    """What `--notify-allow` allows.

    Args:
        allowed: host names, `*.` and a name for all names below it, addresses, and networks such as `10.0.0.0/8`. Each
            may end with `:` and a port, to allow that port alone; IPv6 is then written in brackets. A name allows only
            the public addresses that it resolves to; others must be allowed as addresses too.

    Raises:
        ValueError: an entry is none of these.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._names: dict[str, Ports] = {}
        self._networks: list[tuple[Network, int | None]] = []
        for entry in allowed:
            host, port = _parse(entry)
            if isinstance(host, str):
                self._names.setdefault(host, set()).add(port)
            else:
                self._networks.append((host, port))

    @property
    def allows_any(self) -> bool:
        """Whether anything is allowed."""
        return bool(self._names or self._networks)

    def check(self, url: str) -> None:
        """Check that a client may name this URL.

        Raises:
            NotAllowed: the message says what is wrong.
        """
        if not self.allows_any:
            raise NotAllowed("options.notify is not allowed here: the server was started without --notify-allow")
        try:
            self._check(url)
        except ValueError as error:
            raise NotAllowed(f"options.notify {error}") from None

    def _check(self, url: str) -> None:
        if len(url) > MAX_URL or not _URL.fullmatch(url):
            raise ValueError(f"must be a URL of at most {MAX_URL:,} ASCII characters")
        parts, host = _split(url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not carry a user or a password")
        address, port = _address(host), _port(parts)
        if address is None and not self._allows_name(host, port):
            raise ValueError(f"host {host} is not allowed here at port {port}, see --notify-allow")
        if address is not None and not self._allows_address(address, port):
            raise ValueError(f"address {host} is not allowed here at port {port}, see --notify-allow")
        if parts.scheme != "https" and not (parts.scheme == "http" and (address is not None or host == "localhost")):
            raise ValueError("must begin with https:// (http:// only to an allowed address or localhost)")

    async def resolve(self, url: str, number: int) -> Target:
        """Look up where a request to the URL may go.

        Args:
            url: one that was checked, though perhaps by an earlier server.
            number: the number of the try; tries take the host's addresses in turn.

        Raises:
            Undeliverable: it may not be notified, or not any more, or has no address that may be.
        """
        try:
            self._check(url)
        except ValueError as error:
            raise Undeliverable(f"the URL {error}") from None
        parts, host = _split(url)
        address = _address(host)
        found = [address] if address is not None else await _look_up(host)
        allowed = [one for one in found if is_public(one) or self._allows_address(one, _port(parts))]
        if not allowed:  # only the log says which: clients may not see the network that it belongs to
            raise Undeliverable(
                f"{host} is at an address that is not public and not allowed", ", ".join(map(str, found))
            )
        chosen = allowed[number % len(allowed)]
        literal = f"[{chosen}]" if chosen.version == 6 else str(chosen)
        place = literal if parts.port is None else f"{literal}:{parts.port}"
        return Target(parts._replace(netloc=place, fragment="").geturl(), parts.netloc, host)

    def _allows_name(self, host: str, port: int | None) -> bool:
        labels = host.split(".")
        names = [host, *(f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels)))]
        return any({None, port} & self._names.get(name, set()) for name in names)

    def _allows_address(self, address: Address, port: int | None) -> bool:
        return any(allowed in (None, port) and address in network for network, allowed in self._networks)


def _parse(entry: str) -> tuple[str | Network, int | None]:
    """An entry of the allow list: a name or a network, and the port that it allows, or None for all.

    Each step looks at each character only once, whatever the entry is.

    Raises:
        ValueError: it is neither.
    """
    network = _network(entry)
    if network is not None:
        return network, None
    host, colon, port = entry.rpartition(":")
    if not colon:
        host, port = entry, ""
    elif not _PORT.fullmatch(port) or not 0 < int(port) < 65_536:
        raise _no_host(entry)
    number = int(port) if port else None
    network = _network(host) if "." in host or host.startswith("[") else None  # IPv6 has a port only with brackets
    return (_name(host, entry) if network is None else network), number


def _name(host: str, entry: str) -> str:
    name = host.lower().removesuffix(".")
    labels = name.removeprefix("*.").split(".")
    # A name that ends in a number is a mistyped address: resolvers take 10.1 for 10.0.0.1.
    if len(name) > MAX_NAME or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise _no_host(entry)
    return name


def _network(text: str) -> Network | None:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return None if "%" in inner else ip_network(inner, strict=False)
    except ValueError:
        return None


def _no_host(entry: str) -> ValueError:
    shown = entry if len(entry) <= MAX_NAME else f"{entry[:MAX_NAME]}…"
    return ValueError(
        f"{shown!r} is not a host: give a name, *.name, an address or a network, without a scheme, and :port to allow "
        "that port alone ([::1]:8443 for IPv6)"
    )


def _split(url: str) -> tuple[SplitResult, str]:
    """The parts of a URL, and its host.

    Raises:
        ValueError: it has no host, or is not a URL.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port  # raises if it is not a port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host:
        raise ValueError("must be a URL with a host")
    if len(host) > MAX_NAME or "%" in host:  # %: an address with the name of an interface of this machine
        raise ValueError("has a host that cannot exist")
    return parts, host


def _port(parts: SplitResult) -> int | None:
    return _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def _look_up(host: str) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: the DNS cannot have such a name
        raise Undeliverable(f"{host} has no address", str(error)) from None
    return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]
