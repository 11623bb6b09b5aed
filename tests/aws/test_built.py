"""What was built runs from its folder alone, in processes that cannot import the working tree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.building import built, deployed_folder
from tests.aws.conftest import Api
from tests.conformance.answers import assert_refused

SOURCES = {
    "jobs.py": "raise ImportError('another module of this name')\n",
    "shop/__init__.py": "",
    "shop/prices.csv": "bread,3\n",
    "shop/jobs.py": '''
import importlib.util
import time
from pathlib import Path

import idna

import asyncjob
import msgspec
from asyncjob import JobContext, Jobs
from shop import names
from near import near

registry = Jobs()
others = Jobs()


@registry.job
def where() -> dict:
    """What the process can import, and from where."""
    forbidden = ("starlette", "uvicorn", "typer", "yaml", "tests", "asyncjob.server", "asyncjob.sqlite", "asyncjob.cli")
    return {
        "files": [asyncjob.__file__, msgspec.__file__, idna.__file__, __file__],
        "beyond": [name for name in forbidden if importlib.util.find_spec(name)],
        "data": Path(__file__).with_name("prices.csv").read_text(),
        "version": idna.__version__,
    }


@registry.job
async def encode(domain: str) -> str:
    return idna.encode(domain).decode()


@registry.job(name="add")
def adds(a: int, b: int = 1) -> int:
    return names.add(a, b) + near(0)


@registry.job(timeout=20)
def reports(context: JobContext) -> None:
    while True:
        context.progress(0.5, "half")
        time.sleep(0.05)
''',
    "shop/names.py": "def add(a, b):\n    return a + b\n",
    "near.py": "def near(number):\n    return number\n",
    "requirements.txt": "idna==3.10\n",
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("user")
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    out = built(folder, "shop.jobs:registry", "--requirements", "requirements.txt")
    for name in ("shop", "near.py", "jobs.py"):
        (folder / name).rename(folder / f"gone-{name}")
    with deployed_folder(out) as api:
        yield api


def _ended(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.post(**body)
    assert answer.status_code == 202, answer.text
    return api.job(body["jobId"])


def test_all_that_runs_comes_from_the_zip(api: Api) -> None:
    results = _ended(api, jobId="where", type="where")["results"]
    expected = ["asyncjob/__init__.py", "msgspec/__init__.py", "idna/__init__.py", "shop/jobs.py"]
    (root,) = {file.removesuffix(name) for file, name in zip(results["files"], expected, strict=True)}
    assert Path(root).name == "task"
    assert results["beyond"] == []
    assert (results["data"], results["version"]) == ("bread,3\n", "3.10")


def test_async_functions_libraries_and_defaults_work(api: Api) -> None:
    assert _ended(api, jobId="encode", type="encode", domain="ドメイン.example")["results"] == "xn--eckwd4c7c.example"
    assert _ended(api, jobId="add", type="add", a=2)["results"] == 3
    assert_refused(api.post(type="add"), 400)
    assert_refused(api.post(type="adds", a=2), 400)


def test_a_job_that_reports_its_progress_can_be_canceled(api: Api) -> None:
    assert api.post(jobId="reports", type="reports").status_code == 202
    api.job("reports", "Running")
    while "progress" not in (job := api.get("reports").json()):
        assert job["status"] == "Running"
    assert job["progress"] == {"fraction": 0.5, "message": "half"}
    assert api.client.post("/jobs/reports/cancel").json()["status"] == "Canceled"
    api.double.idle()
    assert api.job("reports")["status"] == "Canceled"
