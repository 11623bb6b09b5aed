"""Lambda's versions of Python: which one is taken, and what is said of the others."""

import json
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import boto3
import pytest

from asyncjob.aws.build.lambdas import DEFAULT_PYTHON, LAST_CREATION, PREVIEWS, Python, refusal
from tests.aws.conftest import ROOT
from tests.aws.double.interpreter import INTERPRETER, said
from tests.aws.user import Build, refused


def _lifecycle() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = json.loads(
        (files("cfnlint.data.AdditionalSpecs") / "LmbdRuntimeLifecycle.json").read_text()
    )
    return {name.removeprefix("python"): row for name, row in table.items() if name.startswith("python")}


def test_the_days_are_those_of_cfn_lint() -> None:
    table = _lifecycle()
    assert {python: date.fromisoformat(table[python]["create-block"]) for python in LAST_CREATION} == LAST_CREATION


def test_a_version_is_in_production_or_a_preview_and_lambda_has_it() -> None:
    assert set(Python) == set(LAST_CREATION) | PREVIEWS
    assert not PREVIEWS & set(LAST_CREATION)
    assert not PREVIEWS & set(_lifecycle()), "one that was a preview is generally available now"
    shape = boto3.client("lambda", region_name="us-east-1").meta.service_model.shape_for("Runtime")
    assert {f"python{python}" for python in Python} <= set(shape.enum)


def test_the_default_is_the_one_that_the_double_runs_where_it_is() -> None:
    assert DEFAULT_PYTHON in LAST_CREATION
    assert f"LAMBDA := {DEFAULT_PYTHON}\n" in (ROOT / "Makefile").read_text()
    apart = Path(INTERPRETER.libraries).is_relative_to(ROOT / ".venv/lambda-env")
    assert apart is (INTERPRETER.version == DEFAULT_PYTHON) or not (ROOT / ".venv/lambda-env").exists()
    assert ("is not on this machine" in said()) is (INTERPRETER.version != DEFAULT_PYTHON)


def test_a_version_that_can_no_longer_be_created_is_refused_with_the_reason() -> None:
    for python, last in LAST_CREATION.items():
        assert refusal(python, last - timedelta(days=1)) is None
        assert refusal(python, last) == (
            f"Lambda creates no functions with Python {python} since {last}: name a newer one with --python"
        )
    for python in PREVIEWS:
        assert refusal(python, date.max) is None


def test_a_build_for_such_a_version_is_refused(build: Build, mine: Path, tmp_path: Path) -> None:
    """The build asks the day of today; this process's is moved."""
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "sitecustomize.py").write_text(
        "import datetime\n\n"
        "class Later(datetime.date):\n"
        "    @classmethod\n"
        "    def today(cls):\n"
        "        return cls(2028, 1, 1)\n\n"
        "datetime.date = Later\n"
    )
    line = refused(build("--python", "3.11", PYTHONPATH=str(tmp_path / "later")))
    assert line == "Lambda creates no functions with Python 3.11 since 2027-07-31: name a newer one with --python"
    assert not (mine / "build").exists()


@pytest.mark.parametrize("python", sorted(PREVIEWS))
def test_a_preview_gets_a_warning(build: Build, python: str) -> None:
    done = build("--python", python)
    assert f"asyncjob: Python {python} is a preview on Lambda, not for production use" in done.stderr.splitlines()[0]
