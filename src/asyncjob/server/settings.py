"""The settings of `asyncjob serve`: checked once, then never changed."""

import os
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from asyncjob.server.logs import LogFormat, LogLevel
from asyncjob.server.webhooks.receivers import NotifyPolicy

DURATION = re.compile(r"([0-9]{1,6}) *([smhdw])")
ORIGIN = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)  # as browsers send it
ROOT_PATH = re.compile(r"(/(?!\.)[A-Za-z0-9_.~-]+)+")  # as in a URL: nothing in it is percent-encoded
NO_HOST = re.compile(r"[\s/:@\[\]]")  # in what is no address: of a port, of a URL
HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

MIN_SECRET, MAX_SECRET = 24, 64  # bytes, the limits of Standard Webhooks
MIN_KEY = 16  # characters
MAX_SECONDS = 36_500 * SECONDS["d"]

RANGES: Mapping[str, tuple[int, int | None]] = {
    "port": (0, 65_535),
    "workers": (1, 1_000),
    "concurrency": (1, 100_000),
    "max_pending": (1, None),
    "max_scheduled": (1, None),
    "grace": (0, 86_400),
    "backoff": (0, 300),
}  # the least and the most
FRACTIONS = {"grace", "backoff"}  # seconds; the others are whole numbers


class SettingsError(Exception):
    """Settings that contradict each other or cannot be used; the message says what to change."""


def default_workers() -> int:
    """One worker for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one server.

    Attributes:
        target: the registry, named as for `asyncjob serve`; None for the built-in job.
        host: the address to listen on.
        port: the TCP port; 0 for any free one.
        root_path: the prefix that a proxy in front has, such as `/work`; empty for none.
        url: where the server's own job functions reach it; None if they do not.
        database: the SQLite file.
        workers: how many worker processes there may be; see `worker_count`.
        concurrency: how many jobs run at once, in all workers together.
        max_pending: how many jobs may wait before submissions are answered with 429.
        max_scheduled: how many jobs may wait for a time, beside those; above it, 429 too.
        keep: seconds after which final jobs are deleted; None to keep them for ever.
        grace: seconds that running jobs get when the server is told to stop.
        backoff: the most seconds before the second attempt; each further one may wait twice as long.
        api_key: what clients must send as `x-api-key`; None to let everybody in.
        insecure: allow an address other than loopback without an API key.
        allow_host: names that `Host` may have, beside those that nobody else can point at this server.
        cors_origin: origins whose pages may use the API from a browser; `*` for all.
        notify_allow: hosts that may be notified when a job has ended, as `NotifyPolicy` takes them.
        notify_secret: the key that signs notifications: `whsec_` and base64.
        log_format: what log lines look like.
        log_level: the lowest level that is logged.
        path: folders from which workers import, beside the target's.

    Raises:
        SettingsError: they contradict each other, or one cannot be used.
    """

    target: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    root_path: str = ""
    url: str | None = None
    database: Path = Path("jobs.db")
    workers: int = field(default_factory=default_workers)
    concurrency: int = 1_000
    max_pending: int = 100_000
    max_scheduled: int = 1_000_000
    keep: float | None = None
    grace: float = 10.0
    backoff: float = 1.0
    api_key: str | None = None
    insecure: bool = False
    allow_host: Sequence[str] = ()
    cors_origin: Sequence[str] = ()
    notify_allow: Sequence[str] = ()
    notify_secret: str | None = None
    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    path: Sequence[str] = ()

    @property
    def worker_count(self) -> int:
        """How many worker processes there are: each runs at least one job."""
        return min(self.workers, self.concurrency)

    def __post_init__(self) -> None:
        for name in RANGES:
            _check_number(name, getattr(self, name))
        if str(self.database) == ":memory:":
            raise SettingsError("--database must be a file: a job is on the disk before its 202 leaves")
        if NO_HOST.search(self.host) and not is_address(self.host):
            raise SettingsError(
                f"--host {self.host!r} is neither an address nor a name: write 127.0.0.1, ::1 or localhost, say, "
                "and the port as --port"
            )
        if not (is_loopback(self.host) or self.api_key is not None or self.insecure):
            raise SettingsError(
                f"--host {self.host} lets other machines in: give an --api-key that they must send as x-api-key, "
                "or say --insecure if everybody who reaches this address may submit and read jobs"
            )
        if self.root_path and not ROOT_PATH.fullmatch(self.root_path):
            raise SettingsError(
                f"--root-path {self.root_path!r} is not a prefix: write one such as /work or /team/work"
            )
        if self.api_key is not None:
            _check_key(self.api_key)
        for host in self.allow_host:
            if not HOST_NAME.fullmatch(host):
                raise SettingsError(f"--allow-host {host!r} is not a name: write one such as jobs.example.com")
        self._check_cors()
        self._check_notify()

    def _check_cors(self) -> None:
        for origin in self.cors_origin:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise SettingsError(
                    f"--cors-origin {origin!r} is not an origin: write one such as https://app.example.com, without a "
                    "path, or * for all"
                )
        if self.cors_origin and self.api_key is None and not self.insecure:
            raise SettingsError(
                "--cors-origin lets web pages use this server: give an --api-key that they must send, or say "
                "--insecure if every such page may submit and read jobs"
            )

    def _check_notify(self) -> None:
        try:
            NotifyPolicy(self.notify_allow)
        except ValueError as error:
            raise SettingsError(f"--notify-allow {error}") from None
        if self.notify_allow and self.notify_secret is None:
            raise SettingsError(
                "--notify-allow needs ASYNCJOB_NOTIFY_SECRET, which notifications are signed with; "
                'make one: echo "whsec_$(openssl rand -base64 32)"'
            )
        if self.notify_secret is not None:
            _check_secret(self.notify_secret)


def _check_number(name: str, value: object) -> None:
    """Check what nobody else may have: an application's arguments are not checked by a command, which lets NaN pass."""
    least, most = RANGES[name]
    kinds = (int, float) if name in FRACTIONS else (int,)
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not least <= value or (most is not None and value > most):  # type: ignore[operator]
        number = "a number" if name in FRACTIONS else "a whole number"
        within = f"of {least} or more" if most is None else f"from {least} to {most:,}"
        raise SettingsError(f"--{name.replace('_', '-')} must be {number} {within}, not {value!r}")


def _check_key(key: str) -> None:
    if not (key.isascii() and key.isprintable()) or key != key.strip() or len(key) < MIN_KEY:
        raise SettingsError(
            f"--api-key (ASYNCJOB_API_KEY) must be at least {MIN_KEY} printable ASCII characters, with no space around "
            "them; make one: openssl rand -hex 24"
        )


def _check_secret(secret: str) -> None:
    try:
        size = len(b64decode(secret.removeprefix("whsec_"), validate=True)) if secret.startswith("whsec_") else 0
    except ValueError:
        size = 0
    if not MIN_SECRET <= size <= MAX_SECRET:
        raise SettingsError(
            f"--notify-secret must be whsec_ and the base64 of {MIN_SECRET} to {MAX_SECRET} random bytes; "
            'make one: echo "whsec_$(openssl rand -base64 32)"'
        )


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def is_address(host: str) -> bool:
    """Whether it is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_duration(text: str) -> float:
    """The seconds of a duration such as `30d`, `12h` or `90s`; the units are s, m, h, d and w.

    Raises:
        ValueError: it is not written like that, or longer than 36,500 days.
    """
    match = DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or not 0 < int(match[1]) * SECONDS[match[2]] <= MAX_SECONDS:
        raise ValueError(f"{text!r} is not a duration: write a number and one of s m h d w, such as 30d, up to 36500d")
    return float(match[1]) * SECONDS[match[2]]
