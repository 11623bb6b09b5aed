"""The pages for whoever comes from elsewhere: the function that moves from Celery, and the one with a model."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjob import WorkerContext
from tests.server.conftest import wait_for
from tests.serving import COMMAND, Server

DOCS = Path(__file__).parent.parent.parent / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRESS = {"update_state", "progress"}
FOR_EVER = 10**8


def _code(page: str) -> list[str]:
    return PYTHON.findall((DOCS / page).read_text())


def _work(code: str) -> list[str]:
    """What the function of a block does, except that it tells its progress."""
    (function,) = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    for node in ast.walk(function):
        if isinstance(node, ast.For):
            node.body = [one for one in node.body if not _tells(one)]
    return [ast.dump(statement) for statement in function.body]


def _tells(statement: ast.stmt) -> bool:
    called = statement.value.func if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in PROGRESS


def test_a_function_of_celery_moves_with_what_it_does_and_runs(tmp_path: Path) -> None:
    before, after, use, _ = _code("celery.md")
    assert _work(before) == _work(after)
    (tmp_path / "mine.py").write_text(after)
    with Server(tmp_path / "jobs.db", target=str(tmp_path / "mine.py")) as server:
        code = use.replace("http://127.0.0.1:8000", server.url)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "{'a': 2, 'b': 1}\n"), done.stderr


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Server]:
    """A server of the chain, with one place."""
    *_, code = _code("celery.md")
    (tmp_path / "chain.py").write_text(code)
    with Server(tmp_path / "jobs.db", "--concurrency", "1", target=str(tmp_path / "chain.py")) as server:
        yield server


def _retry(server: Server, job_id: str) -> dict[str, Any]:
    """What the command says in the end."""
    line = [str(COMMAND), "retry", job_id, "--wait", "--json", "--url", server.url]
    done = subprocess.run(line, capture_output=True, text=True)
    assert not done.stderr
    job: dict[str, Any] = json.loads(done.stdout)
    return job


def test_a_retry_of_a_chain_runs_what_has_failed_and_nothing_else(chain: Server, tmp_path: Path) -> None:
    whole = chain.submit("report", text="a b a", file="out/counts.json")
    failed = chain.result(whole)
    assert (failed["status"], failed["error"]["type"]) == ("Failure", "JobFailed")
    first, second = chain.get(f"{whole}.1"), chain.get(f"{whole}.2")
    assert (first["status"], second["status"], second["attempt"]) == ("Success", "Failure", 1)

    assert _retry(chain, whole)["status"] == "Failure"  # for the cause is still there
    (tmp_path / "out").mkdir()
    assert _retry(chain, whole)["status"] == "Success"
    assert json.loads((tmp_path / "out" / "counts.json").read_text()) == {"a": 2, "b": 1}
    assert chain.get(f"{whole}.1") == first
    assert chain.get(f"{whole}.2")["attempt"] == 3


def test_a_retry_of_a_chain_runs_a_step_that_was_canceled(chain: Server, tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    os.mkfifo(file)
    whole = chain.submit("report", text="a", file=str(file))
    wait_for(lambda: chain.client.get(f"/jobs/{whole}.2").json().get("status") == "Running", "the second step")
    chain.client.post(f"/jobs/{whole}.2/cancel").raise_for_status()
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK)):  # which the writing function waits for
        assert chain.result(whole)["error"]["type"] == "AwaitedJobCanceled"
        first = chain.get(f"{whole}.1")
        file.unlink()
        assert _retry(chain, whole)["status"] == "Success"
    assert json.loads(file.read_text()) == {"a": 1}
    assert chain.get(f"{whole}.1") == first


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (code,) = _code("models.md")
    target = tmp_path / "model.py"
    target.write_text(code)
    return target


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment as it was, which the code changes."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "before")
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("unset")
def test_each_worker_has_a_card_and_one_beyond_the_last_shares_the_first(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDS", "2")
    names: dict[str, object] = {}
    exec(model.read_text(), names)
    load = names["load"]
    cards = [next(load(WorkerContext(number))).card for number in range(3)]  # type: ignore[operator]
    assert cards == ["0", "1", "0"]


def test_a_cancel_in_the_middle_of_a_text_frees_the_card_for_the_next_one(model: Path, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", "--concurrency", "2", target=str(model)) as server:
        endless = server.submit("write", prompt="a", words=FOR_EVER)
        wait_for(lambda: "progress" in server.get(endless), "the beginning of the text")
        worker = server.worker_pids()
        waits = server.submit("write", prompt="na", words=2)
        assert server.client.post(f"/jobs/{endless}/cancel").json()["status"] == "Canceled"
        assert server.result(waits)["results"] == {"text": "na0 na1", "card": "0"}
        assert server.worker_pids() == worker  # and so with the same model


def test_the_server_itself_loads_no_model(model: Path, tmp_path: Path) -> None:
    code = model.read_text().replace(
        "self.lock =", f"open({str(tmp_path / 'loaded')!r}, 'a').write(f'{{os.getpid()}} '); self.lock ="
    )
    model.write_text(code)
    with Server(tmp_path / "jobs.db", "--workers", "1", target=str(model)) as server:
        server.result(server.submit("write", prompt="a", words=1))
        loaded = [int(pid) for pid in (tmp_path / "loaded").read_text().split()]
        assert loaded == server.worker_pids()
