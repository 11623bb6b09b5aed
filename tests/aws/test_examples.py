"""The examples, each on both engines: the local server, and the built folder in the double."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import httpx
import pytest
from PIL import Image

from tests.aws.building import built, deployed_folder
from tests.aws.conftest import ROOT
from tests.serving import Server

EXAMPLES = ROOT / "examples"

Run = Callable[..., dict[str, Any]]


@pytest.fixture(params=["local", "aws"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts an engine with an example; what it gives runs a job to its end."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> Run:
            if request.param == "local":
                server = stack.enter_context(Server(tmp_path / "jobs.db", target=str(EXAMPLES / name)))
                return lambda **body: server.result(_accepted(server.client, body))
            api = stack.enter_context(deployed_folder(built(tmp_path, EXAMPLES / name, *arguments)))
            return lambda **body: api.job(_accepted(api.client, body))

        yield start


def _accepted(client: httpx.Client, body: dict[str, Any]) -> str:
    job_id = f"{uuid4()}"
    answer = client.post("/jobs", json={"jobId": job_id, **body})
    assert answer.status_code == 202, answer.text
    return job_id


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 200 if self.path == "/there" else 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"x" * status)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A web site of one page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_report_is_rendered_from_a_csv_to_a_chart(serve: Callable[..., Run]) -> None:
    run = serve("report.py")
    table = "name,price\nbread & butter,3\nmilk,2\ncheese,7\n"
    results = run(table=table, label="name", value="price")["results"]
    chart = ElementTree.fromstring(results.pop("chart"))
    assert results == {"rows": 3, "mean": 4.0, "median": 3.0}
    bars = [float(bar.get("width", "")) for bar in chart.iter("{http://www.w3.org/2000/svg}rect")]
    assert [bar / max(bars) for bar in bars] == pytest.approx([3 / 7, 2 / 7, 1], abs=0.01)
    assert next(text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")) == "bread & butter: 3"
    assert run(table=table, label="name", value="weight")["error"]["type"] == "KeyError"


def test_pages_are_read_all_at_once(serve: Callable[..., Run], site: str) -> None:
    run = serve("fanout.py")
    urls = [f"{site}/there", f"{site}/nowhere", *(f"{site}/there?{number}" for number in range(5))]
    job = run(urls=urls, at_once=3)
    missing = {"status": 404, "size": 404}
    assert job["results"] == {url: {"status": 200, "size": 200} if url == urls[0] else missing for url in urls}
    assert job["progress"]["fraction"] == 1.0
    assert run(urls=["file:///etc/passwd"])["error"]["type"] == "ValueError"
    lost = run(urls=["http://127.0.0.1:1/"])
    assert (lost["status"], lost["attempt"]) == ("Failure", 4)


def test_a_thumbnail_is_made_of_an_uploaded_image(serve: Callable[..., Run], tmp_path: Path) -> None:
    run = serve("thumbnail.py", "--requirements", str(EXAMPLES / "requirements.txt"))
    upload = tmp_path / "cat.jpg"
    Image.new("RGB", (640, 320), "orange").save(upload)
    job = run(path=str(upload), size=64)
    assert job["results"] == {"path": str(tmp_path / "cat.64.png"), "width": 64, "height": 32}
    with Image.open(tmp_path / "cat.64.png") as image:
        assert image.size == (64, 32)
    assert run(path=str(tmp_path / "dog.jpg"))["error"]["type"] == "FileNotFoundError"
