"""What a user's module brings into the server's own process: the types of its parameters, and other streams."""

from pathlib import Path

import pytest

from tests.serving import Server

TYPES = """
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from asyncjob import Jobs

jobs = Jobs()


@dataclass
class Raises:
    raised: str

    def __post_init__(self):
        raise {"KeyError": KeyError, "SystemExit": SystemExit}[self.raised](self.raised)


class Struct(msgspec.Struct):
    raised: str

    def __post_init__(self):
        Raises.__post_init__(self)


@jobs.job
def dataclass(value: Raises) -> None: ...


@jobs.job
def struct(value: Struct) -> None: ...


@jobs.job
def decimal(value: Raises, price: Decimal = Decimal(1)) -> None: ...
"""
STREAMS = """
import sys

from asyncjob import Jobs

jobs = Jobs()


class Broken:
    def write(self, text):
        raise RuntimeError(text)

    flush = write


@jobs.job
def prints() -> str:
    print("printed")
    return "done"


sys.stderr = Broken()
"""


@pytest.mark.parametrize("raised", ["KeyError", "SystemExit"])
@pytest.mark.parametrize("type", ["dataclass", "struct", "decimal"])
def test_a_type_that_raises_refuses_its_parameters(tmp_path: Path, type: str, raised: str) -> None:
    target = tmp_path / "mine.py"
    target.write_text(TYPES)
    with Server(tmp_path / "jobs.db", target=str(target)) as server:
        for _ in range(2):  # the second one is tried on the lane first
            answer = server.client.post("/jobs", json={"type": type, "value": {"raised": raised}})
            assert answer.status_code == 400
            said = answer.json()["message"].replace("'", "")
            assert said == f"a parameter cannot be made of this: {raised}: {raised}"
        assert "unexpected error" not in server.log.read_text()


def test_a_stream_that_raises_costs_no_job_and_not_the_log(tmp_path: Path) -> None:
    target = tmp_path / "mine.py"
    target.write_text(STREAMS)
    with Server(tmp_path / "jobs.db", target=str(target)) as server:
        job = server.result(server.submit("prints"))
        assert (job["status"], job["attempt"]) == ("Success", 1)
        assert server.stop() == 0
        said = server.log.read_text()
    assert "worker ready" in said
    assert "stopped" in said
    assert "Traceback" not in said
