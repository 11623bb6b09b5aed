"""Reverse proxies that serve an API below a prefix of a host, and nothing else there: a small one, and nginx."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving import FUNCTIONS, Server

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "nginx-prefix.conf"
PREFIX = "/work"
KEY = "a key that is long enough"
REQUIRED = "ASYNCJOB_NGINX"  # set where nginx must be there, as in CI
CERTIFY = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem -out cert.pem "
    "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
)
PER_HOP = ("connection", "keep-alive", "transfer-encoding")


class _Handler(BaseHTTPRequestHandler):
    """Hands on what is asked below the prefix, and each part of the answer as it comes."""

    protocol_version = "HTTP/1.1"
    upstream: str
    strips: bool

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65_537)
        if self.raw_requestline and self.parse_request():
            path = urlsplit(self.path).path
            if path == PREFIX or path.startswith(f"{PREFIX}/"):
                self._hand_on()
            else:
                self.send_error(404, "nothing of the API is here")

    def _hand_on(self) -> None:
        target = (self.path.removeprefix(PREFIX) or "/") if self.strips else self.path
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in PER_HOP}
        with closing(HTTPConnection(self.upstream)) as connection:
            connection.request(self.command, target, body or None, headers)
            answer = connection.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in PER_HOP:
                    self.send_header(name, value)
            self.send_header("connection", "close")
            self.end_headers()
            while part := answer.read1(65_536):
                self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A browser that closes a page is no fault."""


@contextmanager
def small_proxy(upstream: str, strips: bool, folder: Path) -> Iterator[str]:
    """A proxy in a thread.

    Args:
        upstream: host and port of the API.
        strips: whether the prefix is taken away from what is handed on.
        folder: for its files, of which it has none.

    Yields:
        Where the API is, by way of it.
    """
    handler = type("Handler", (_Handler,), {"upstream": upstream, "strips": strips})
    with _Listener(("127.0.0.1", 0), handler) as listener:
        thread = Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}{PREFIX}"
        finally:
            listener.shutdown()
            thread.join()


@contextmanager
def nginx(upstream: str, strips: bool, folder: Path) -> Iterator[str]:
    """nginx, with the example of the documentation and a certificate that nobody has signed; arguments as above."""
    command = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if command is None or shutil.which("openssl") is None:
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)("nginx or openssl is not installed")
    subprocess.run(["openssl", *CERTIFY.split()], cwd=folder, check=True, capture_output=True)
    arguments = ["-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with socket.create_server(("127.0.0.1", 0)) as listener:  # handed over as from one nginx to its next version
        port, number = listener.getsockname()[1], listener.fileno()
        (folder / "nginx.conf").write_text(_configuration(upstream, strips, folder, port))
        env = {**os.environ, "NGINX": f"{number};"}
        process = subprocess.Popen(
            [command, *arguments], cwd=folder, env=env, pass_fds=[number], stderr=subprocess.DEVNULL
        )
    try:
        yield f"https://127.0.0.1:{port}{PREFIX}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        log = (folder / "error.log").read_text()
        assert "[emerg]" not in log, log


def _configuration(upstream: str, strips: bool, folder: Path, port: int) -> str:
    """The example, on loopback, and around it what a distribution's nginx.conf says."""
    site = EXAMPLE.read_text()
    for pattern, here in {
        r"server 127\.0\.0\.1:8000;": f"server {upstream};",
        r"listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        r"ssl_certificate \S+;": "ssl_certificate cert.pem;",
        r"ssl_certificate_key \S+;": "ssl_certificate_key key.pem;",
        r"proxy_pass http://asyncjob;": f"proxy_pass http://asyncjob{'/' if strips else ''};",
    }.items():
        site, found = re.subn(pattern, here, site)
        assert found == 1, pattern
    user = "user root;" if os.geteuid() == 0 else ""  # the folder of the test is nobody else's
    kept = "".join(f"{kind}_temp_path {folder};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""{user}
daemon off;
pid nginx.pid;
events {{}}
http {{
access_log off;
{kept}
{site}
}}
"""


WAYS = {
    "kept": (small_proxy, False),
    "stripped": (small_proxy, True),
    "kept by nginx": (nginx, False),
    "stripped by nginx": (nginx, True),
}


class Front(NamedTuple):
    """A server behind a proxy.

    Attributes:
        server: with the prefix, and the key.
        url: where it is, by way of the proxy.
        certificate: of the proxy, if it speaks https; else None.
    """

    server: Server
    url: str
    certificate: Path | None

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """What the API answers, by way of the proxy, to whoever has the key."""
        answer = httpx.request(method, self.url + path, headers={"x-api-key": KEY}, timeout=60, **more)
        assert answer.is_success, answer.text
        return answer


@contextmanager
def behind(way: str, folder: Path) -> Iterator[Front]:
    """A server of its own, behind a proxy of `WAYS`."""
    kind, strips = WAYS[way]
    arguments = ("--root-path", PREFIX, "--api-key", KEY, "--workers", "2")
    with (
        Server(folder / "jobs.db", *arguments, target=FUNCTIONS) as server,
        kind(httpx.URL(server.url).netloc.decode(), strips, folder) as url,
    ):
        server.client.headers["x-api-key"] = KEY
        yield Front(server, url, folder / "cert.pem" if url.startswith("https") else None)
