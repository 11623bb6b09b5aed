"""What `asyncjob serve` can be told, checked once and then never changed."""

import os
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from asyncjob.server.webhooks.receivers import NotifyPolicy

DURATION = re.compile(r"([0-9]{1,6}) *([smhdw])")
HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

MIN_SECRET, MAX_SECRET = 24, 64  # bytes, as Standard Webhooks has it
MIN_KEY = 16  # characters; each hexadecimal digit of random ones makes guessing 16 times as hard
MAX_SECONDS = 36_500 * SECONDS["d"]


class SettingsError(Exception):
    """Settings that cannot be used together, or at all; the message says what to change."""


class LogFormat(StrEnum):
    """How log lines look: for people, or for programs."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def default_workers() -> int:
    """One worker for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one server.

    Attributes:
        target: where the registry is, as `asyncjob serve` takes it; None for the built-in job.
        host: the address to listen on.
        port: the TCP port; 0 for any free one.
        database: the SQLite file.
        workers: how many worker processes; never more than `concurrency`.
        concurrency: how many jobs run at once, in all workers together.
        max_pending: how many jobs may wait before submissions are answered with 429.
        keep: seconds after which final jobs are deleted; None to keep them for ever.
        grace: seconds that running jobs get when the server is told to stop.
        backoff: seconds; the first further attempt waits up to so long, each one after it up to twice as long.
        api_key: what clients must send as `x-api-key`; None to let everybody in.
        insecure: allow an address that is not loopback without an API key.
        allow_host: names in `Host` that are served beside those which nobody else can point here.
        notify_allow: hosts that jobs may have notified of their end, as `NotifyPolicy` takes them.
        notify_secret: what notifications are signed with: `whsec_` and base64.
        log_format: how log lines look.
        log_level: the least level that is logged.

    Raises:
        SettingsError: they contradict each other.
    """

    target: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    database: Path = Path("jobs.db")
    workers: int = field(default_factory=default_workers)
    concurrency: int = 1_000
    max_pending: int = 100_000
    keep: float | None = None
    grace: float = 10.0
    backoff: float = 1.0
    api_key: str | None = None
    insecure: bool = False
    allow_host: Sequence[str] = ()
    notify_allow: Sequence[str] = ()
    notify_secret: str | None = None
    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO

    @property
    def worker_count(self) -> int:
        """How many worker processes there are: each runs at least one job."""
        return min(self.workers, self.concurrency)

    def __post_init__(self) -> None:
        if str(self.database) == ":memory:":
            raise SettingsError("--database must be a file: a job is on the disk before its 202 leaves")
        if not (is_loopback(self.host) or self.api_key is not None or self.insecure):
            raise SettingsError(
                f"--host {self.host} lets other machines in: give an --api-key that they must send as x-api-key, "
                "or say --insecure if everybody who reaches this address may submit and read jobs"
            )
        if self.api_key is not None:
            _check_key(self.api_key)
        for host in self.allow_host:
            if not HOST_NAME.fullmatch(host):
                raise SettingsError(f"--allow-host {host!r} is not a name: write one such as jobs.example.com")
        self._check_notify()

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
    """Whether it is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def parse_duration(text: str) -> float:
    """Seconds of `30d`, `12h`, `90s`; units are s, m, h, d and w.

    Raises:
        ValueError: it is not written like that.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None or not 0 < int(match[1]) * SECONDS[match[2]] <= MAX_SECONDS:
        raise ValueError(f"{text!r} is not a duration: write a number and one of s m h d w, such as 30d, up to 36500d")
    return float(match[1]) * SECONDS[match[2]]
