"""`asyncjob build --reserve`: a function with a concurrency has a Lambda of its own, and no more of its jobs run there.

Beside it: what the build says of what functions ask for and AWS will not do.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncjob import Jobs
from asyncjob.aws.build.durable import reserved
from asyncjob.aws.runtime.durable_dispatcher import own_suffix
from asyncjob.loading import load as load_registry
from tests.aws.conftest import PROCESSOR, Api
from tests.aws.double.cloudformation import load
from tests.aws.packaging import packaged
from tests.aws.user import Build

SOURCE = """
import os
import time

from asyncjob import Jobs

jobs = Jobs()


@jobs.job(concurrency=1)
def alone(path: str) -> str:
    os.mkdir(path)  # fails beside another one
    time.sleep(0.05)
    os.rmdir(path)
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]


@jobs.job
def free() -> str:
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]
"""
OWN = f"{PROCESSOR}-{own_suffix('alone')}"


@pytest.fixture
def api(deployed: Callable[..., Api], tmp_path: Path) -> Api:
    (tmp_path / "reserving.py").write_text(SOURCE)
    text = packaged(tmp_path, load_registry(str(tmp_path / "reserving.py")), {"jobs.py": SOURCE}, reserve=True)
    return deployed(text, scale=0.001, bucket=tmp_path, signed=True)


def test_no_more_jobs_of_a_function_run_at_once_than_it_says(api: Api, tmp_path: Path) -> None:
    for number in range(6):
        answer = api.post(jobId=f"alone-{number}", type="alone", path=str(tmp_path / "running"))
        assert answer.status_code == 202
    for number in range(6):
        job = api.job(f"alone-{number}")
        assert (job["status"], job.get("results"), job["attempt"]) == ("Success", OWN, 1)
    assert api.double.services.refused == []


def test_other_functions_share_the_processor(api: Api) -> None:
    assert api.post(jobId="free", type="free").status_code == 202
    assert api.job("free")["results"] == PROCESSOR
    assert api.post(jobId="later", type="free", options={"delay": 1}).status_code == 202
    assert api.job("later")["results"] == PROCESSOR


def test_a_delayed_job_runs_on_its_functions_own_lambda(api: Api, tmp_path: Path) -> None:
    body = {"type": "alone", "path": str(tmp_path / "later"), "options": {"delay": 1}}
    assert api.post(jobId="delayed", **body).status_code == 202
    assert api.job("delayed")["results"] == OWN


def test_each_has_the_names_the_rights_and_the_alarms_of_a_processor(api: Api) -> None:
    stack = api.double.stack
    (own,) = (each for each in stack.of_type("AWS::Lambda::Function") if each.ref == OWN)
    shared = stack.named("Processor")
    differing = {name for name, value in shared.properties.items() if own.properties[name] != value}
    assert differing == {"FunctionName", "Description"}
    assert own.properties["ReservedConcurrentExecutions"] == 1
    events = [each.properties for each in stack.of_type("AWS::Lambda::EventInvokeConfig")]
    assert {each["FunctionName"] for each in events} == {PROCESSOR, OWN}
    assert len({str(each["DestinationConfig"]) for each in events}) == 1


def test_the_names_are_lambdas_however_long_a_functions_is() -> None:
    jobs = Jobs()
    jobs.job(name="a" * 64, concurrency=7)(lambda: None)
    jobs.job(name="per-key.only", rate="1/s")(lambda: None)
    assert reserved(jobs) == {"a" * 64: 7}
    assert len(f"{'x' * 38}-{own_suffix('a' * 64)}") <= 64


ASKS = """
from asyncjob import Cron, Jobs, Options
from asyncjob.policies import Limit, Rate, Unique

jobs = Jobs()


@jobs.job(
    priority=3,
    concurrency=[4, Limit(1, per="width")],
    rate=["60/m", Rate("1/s", per="width")],
    unique=Unique("width"),
    isolate=True,
    memory="1G",
    schedule=Cron("0 9 * * 1-5", tz="Europe/Berlin", parameters={"width": 1}, options=Options(priority=1)),
)
def resize(width: int) -> int:
    return width


@jobs.job
def plain() -> None: ...
"""


def test_the_build_says_by_name_what_a_function_asks_for_and_aws_will_not_do(mine: Path, build: Build) -> None:
    (mine / "jobs.py").write_text(ASKS)
    done = build()
    assert done.returncode == 0, done.stderr
    _, _, rest = done.stdout.partition("What functions ask for and AWS will not do\n")
    said = [line.strip() for line in rest.partition("\n\n")[0].splitlines()]
    assert all(line.startswith("resize: ") for line in said)
    for part in ("priority 3", "concurrency 4, unless", "concurrency 1 per width", "rate 60/m", "rate 1/s per width"):
        assert any(line.startswith(f"resize: {part}") for line in said), part
    for part in ("unique", "isolate"):
        assert any(line.startswith(f"resize: {part}") for line in said), part
    assert any("priority of the schedule resize" in line for line in said)
    assert "resize, of resize: cron(0 9 ? * 2-6 *) in Europe/Berlin" in done.stdout
    done = build("--reserve")
    assert "concurrency 4" not in done.stdout
    text = (mine / "build" / "template.yaml").read_text()
    assert f"Processor{own_suffix('resize')}" in load(text)["Resources"]
    (mine / "linted.yaml").write_text(text.replace('"code.zip"', "{S3Bucket: mine, S3Key: 0123abc}"))
    lint = [str(Path(sys.executable).with_name("cfn-lint")), str(mine / "linted.yaml")]
    linted = subprocess.run(lint, capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_a_schedule_that_cannot_be_kept_exactly_is_refused_before_anything_is_written(mine: Path, build: Build) -> None:
    (mine / "jobs.py").write_text(
        "from asyncjob import Every, Jobs\n\njobs = Jobs()\n\n@jobs.job(schedule=Every(45))\ndef often() -> None: ...\n"
    )
    done = build()
    assert done.returncode == 1
    assert done.stderr.startswith("asyncjob: the schedule often cannot be kept exactly on AWS: its period")
    assert not (mine / "build").exists()
