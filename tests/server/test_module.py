"""What a user's module sets up for itself when it is imported: neither the server nor a worker breaks of it."""

from pathlib import Path

import pytest

from tests.serving import Server

MODULE = """
import io, logging, logging.config, os, socket, sys, time
from dataclasses import dataclass
from asyncjob import Jobs
jobs = Jobs()
{}
@jobs.job
def said(text: str, seconds: float = 0) -> str:
    time.sleep(seconds)
    logging.getLogger("mine").info(text)
    print(text, "printed")
    return text
@jobs.job(retries=0)
def dies() -> None:
    os.kill(os.getpid(), 9)
"""


def _server(folder: Path, at_import: str, *arguments: str) -> Server:
    (folder / "mine.py").write_text(MODULE.format(at_import))
    return Server(folder / "jobs.db", "--workers", "1", *arguments, target="mine.py")


def test_a_module_that_disables_all_loggers_takes_none_of_the_servers_and_workers_lines(tmp_path: Path) -> None:
    at_import = """
logging.config.dictConfig({"version": 1})  # which disables all loggers that there are
logging.disable(logging.CRITICAL)
@jobs.lifespan
def resources():
    logging.disable(logging.NOTSET)
    yield
    raise RuntimeError
"""
    with _server(tmp_path, at_import) as server:
        job_id = server.submit("said", text="hello")
        server.result(job_id)
        server.stop()
        log = server.log.read_text()
    for line in (
        "worker ready",
        f"hello job_id={job_id}",
        f"job ended job_id={job_id}",
        "the lifespan failed",
        "stopped",
    ):
        assert line in log


def test_a_module_that_sets_a_timeout_for_all_sockets_ends_no_worker(tmp_path: Path) -> None:
    with _server(tmp_path, "socket.setdefaulttimeout(0.01)") as server:
        job = server.result(server.submit("said", text="hello", seconds=0.2))
        assert (job["status"], job["attempt"]) == ("Success", 1)
        assert "worker ended" not in server.log.read_text()
        assert server.result(server.submit("dies"))["error"]["type"] == "WorkerLost"
        assert server.result(server.submit("said", text="again"))["attempt"] == 1
        assert server.stop() == 0


WRAPPED = """
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")  # as for a terminal of another encoding
sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding="utf-8")
"""
KEPT_STREAMS = "sys.stdout = sys.stderr = io.StringIO()"
NO_STREAMS = "sys.stdout = sys.stderr = None"


@pytest.mark.parametrize("at_import", [WRAPPED, KEPT_STREAMS, NO_STREAMS], ids=["wrapped", "kept", "none"])
def test_a_module_that_replaces_the_streams_takes_them_from_neither_the_server_nor_its_log(
    tmp_path: Path, at_import: str
) -> None:
    with _server(tmp_path, at_import) as server:
        job_id = server.submit("said", text="hello")
        server.result(job_id)
        assert server.stop() == 0
        log = server.log.read_text()
    for line in ("worker ready", f"hello job_id={job_id}", f"job ended job_id={job_id}", "stopped"):
        assert line in log
    assert (f"hello printed job_id={job_id}" in log) is (at_import == WRAPPED)
