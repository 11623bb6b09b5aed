"""Processes of the same code know each other, whatever differs between them; those of other code are told apart."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from asyncjob import Jobs
from asyncjob.mounted.identity import identity
from asyncjob.openapi import document
from asyncjob.server.settings import Settings
from tests.mounted.hosted import ROOT, Hosted

WORDS = frozenset({"alpha", "beta", "gamma", "delta", "epsilon"})
SETTINGS = Settings(database=Path("/somewhere/jobs.db"), insecure=True, workers=2)


@dataclass
class Tagged:
    tags: frozenset[str] = WORDS


def _jobs(default: Any = 1, kind: Any = int, result: Any = int, name: str = "default", text: str = "Once.") -> Jobs:
    jobs = Jobs()

    source = f"def made({name}: kind = default, tagged: Tagged | None = None) -> result:\n    '''{text}'''"
    made: dict[str, Any] = {"kind": kind, "default": default, "result": result, "Tagged": Tagged}
    exec(source, made)
    jobs.job(made["made"])
    return jobs


def _sets() -> Jobs:
    jobs = Jobs()

    @jobs.job
    def tag(tags: frozenset[str] = WORDS, others: frozenset[str] | None = WORDS, more: Tagged | None = None) -> Tagged:
        return more or Tagged()

    return jobs


def _told() -> str:
    settings = replace(SETTINGS, cors_origin=frozenset(f"https://{word}" for word in WORDS))  # type: ignore[arg-type]
    return f"{identity(_sets(), settings).hex()} {document(_sets(), '1')}"


def test_they_do_not_depend_on_the_order_of_a_set() -> None:
    command = [sys.executable, "-c", "from tests.mounted import test_identity as this; print(this._told())"]
    told = {
        subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in "123"
    }
    assert len(told) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"database": Path("/elsewhere/jobs.db")},
        {"target": "/app/main.py:jobs"},
        {"path": ("/app",)},
        {"workers": 7},
        {"concurrency": 7},
        {"log_level": "error"},
    ],
)
def test_what_only_an_owner_needs_may_differ(settings: dict[str, Any]) -> None:
    assert identity(_jobs(), replace(SETTINGS, **settings)) == identity(_jobs(), SETTINGS)


@pytest.mark.parametrize("jobs", [{"default": 2}, {"text": "Twice."}])
def test_defaults_and_descriptions_may_differ(jobs: dict[str, Any]) -> None:
    assert identity(_jobs(**jobs), SETTINGS) == identity(_jobs(), SETTINGS)


@pytest.mark.parametrize("jobs", [{"kind": str, "default": ""}, {"result": str}, {"name": "description"}])
def test_other_functions_are_told_apart(jobs: dict[str, Any]) -> None:
    assert identity(_jobs(**jobs), SETTINGS) != identity(_jobs(), SETTINGS)


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "a key of 20 characters"},
        {"cors_origin": ("https://alpha",)},
        {"max_pending": 7},
        {"keep": 60.0},
        {"grace": 7.0},
    ],
)
def test_other_settings_are_told_apart(settings: dict[str, Any]) -> None:
    assert identity(_jobs(), replace(SETTINGS, **settings)) != identity(_jobs(), SETTINGS)


def test_one_database_by_two_names_has_one_owner(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    with Hosted(tmp_path / "release" / "jobs.db") as owner, Hosted(tmp_path / "current" / "jobs.db") as follower:
        assert owner.client.post("/work/jobs", json={"type": "add", "a": 1, "jobId": "one"}).status_code == 202
        assert follower.client.get("/work/jobs/one?wait=30").json()["status"] == "Success"
