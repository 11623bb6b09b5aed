"""Load over keep-alive connections: from wrk if it is installed, else from the few lines below in their own process.

python bench/load.py URL --connections 64 --seconds 5 [--body JSON]
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import uvloop

WRK_LINE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s) ?$", re.MULTILINE)
WRK_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    """What was measured: answers with status 2xx, all other answers, seconds, and latencies in milliseconds."""

    answered: int
    refused: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        """Answers with status 2xx per second."""
        return self.answered / self.seconds


def generator() -> str:
    """Whatever makes the load on this machine: `wrk`, or this file."""
    return "wrk" if shutil.which("wrk") else "bench/load.py"


def measure(
    url: str, *, connections: int = 64, seconds: float = 5.0, requests: int | None = None, body: str | None = None
) -> Load:
    """Send the same request over and over, from another process.

    Args:
        url: where to.
        connections: how many at once, each with one request under way.
        seconds: for how long.
        requests: how many all connections send together, a multiple of their number; None for no limit.
        body: JSON to POST; without it, GET.
    """
    if requests is None and seconds == int(seconds) and generator() == "wrk":  # whole seconds are its only limit
        return _wrk(url, connections, seconds, body)
    command = [sys.executable, __file__, url, "--connections", str(connections), "--seconds", str(seconds)]
    command += [] if requests is None else ["--requests", str(requests)]
    command += [] if body is None else ["--body", body]
    return Load(*json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def _wrk(url: str, connections: int, seconds: float, body: str | None) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        lines = ["wrk.method = 'POST'", "wrk.headers['content-type'] = 'application/json'", f"wrk.body = {_lua(body)}"]
        script.write_text("" if body is None else "\n".join(lines))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    total = re.search(r"(\d+) requests in ([\d.]+)(m?s),", said)
    assert total is not None, said
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = 0 if refused is None else int(refused[1])
    latency = {name: float(value) * WRK_UNITS[unit] for name, value, unit in WRK_LINE.findall(said)}
    took = float(total[2]) * (1.0 if total[3] == "s" else 0.001)
    return Load(int(total[1]) - errors, errors, took, latency["50"], latency["99"])


def _lua(text: str | None) -> str:
    return f"[==[{text}]==]"


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends the next request when the answer to the last one is complete."""

    def __init__(self, request: bytes, until: float, limit: float) -> None:
        self.statuses: list[int] = []
        self.latencies: list[float] = []
        self.closed = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._limit = limit
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._send()

    def _send(self) -> None:
        self._begin = time.perf_counter()
        if self._begin >= self._until or len(self.statuses) >= self._limit:
            self._transport.close()
        else:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length is not None and len(rest) >= int(length[1]):
            self.latencies.append(time.perf_counter() - self._begin)
            self.statuses.append(int(head[9:12]))
            self._buffer = b""
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)


async def send(
    url: str, connections: int, seconds: float, requests: int | None, body: str | None
) -> tuple[list[Connection], float]:
    """Do what `measure` says, in this process; return the connections with all they saw, and the seconds it took."""
    limit = float("inf") if requests is None else requests / connections
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
    if body is not None:
        request += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    encoded = f"{request}\r\n{body or ''}".encode()
    loop = asyncio.get_running_loop()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    begin = time.perf_counter()
    made = [
        (await loop.create_connection(lambda: Connection(encoded, begin + seconds, limit), host, port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*[connection.closed for connection in made])
    return made, time.perf_counter() - begin


async def _load(url: str, connections: int, seconds: float, requests: int | None, body: str | None) -> Load:
    made, took = await send(url, connections, seconds, requests, body)
    latencies = sorted(latency for connection in made for latency in connection.latencies)
    good = sum(200 <= status < 300 for connection in made for status in connection.statuses)
    p50, p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
    return Load(good, len(latencies) - good, took, p50, p99)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--body")
    given = parser.parse_args()
    print(json.dumps(uvloop.run(_load(given.url, given.connections, given.seconds, given.requests, given.body))))
