"""What listeners to `GET /events` cost: no-op jobs accepted per second without any and with many, in one run.

The two take turns, since machines drift. The listeners are bare connections, in a process of their own, that discard
what they read. On a machine with few cores they take some of the processor time that is measured.

    python bench/listeners.py [--listeners 1000] [--rounds 3] [--seconds 4]
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import uvloop
from load import measure

from bench import NO_OP, served, wait_until_idle

REQUEST = b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Listener(asyncio.Protocol):
    """Asks for the events and discards them."""

    def __init__(self) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(REQUEST)  # type: ignore[attr-defined]  # uvloop's is a Transport in all but its class

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            assert data.startswith(b"HTTP/1.1 200"), data
            self.begun.set_result(None)


async def _listen(url: str, number: int) -> None:
    parts = urlsplit(url)
    for _ in range(number):
        _, listener = await asyncio.get_running_loop().create_connection(
            Listener, parts.hostname or "", parts.port or 80
        )
        await listener.begun
    print("listening", flush=True)
    await asyncio.Event().wait()


@contextmanager
def listening(url: str, number: int) -> Iterator[None]:
    """`number` listeners, in a process of their own."""
    command = [sys.executable, __file__, "--listeners", str(number), "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"listening\n"
            yield
        finally:
            process.kill()


def main(listeners: int, rounds: int, seconds: float) -> None:
    """Measure, and print a line for each round and the medians' ratio."""
    without, having = [], []
    with served() as (url, _), httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(rounds):
            without.append(measure(f"{url}/jobs", seconds=seconds, body=NO_OP).per_second)
            wait_until_idle(client)
            with listening(url, listeners):
                having.append(measure(f"{url}/jobs", seconds=seconds, body=NO_OP).per_second)
                wait_until_idle(client)
            print(f"{without[-1]:,.0f} jobs/s, with {listeners:,} listeners {having[-1]:,.0f}", flush=True)
    ratio = statistics.median(having) / statistics.median(without)
    print(f"medians of {rounds}: with {listeners:,} listeners {ratio:.0%} of the throughput without")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--url", help="listen to this server, and measure nothing")
    given = parser.parse_args()
    if given.url is None:
        main(given.listeners, given.rounds, given.seconds)
    else:
        uvloop.run(_listen(given.url, given.listeners))
