"""A tool that reads the published description tries everything that it allows, and everything that it does not."""

import os
import subprocess
import sys
from pathlib import Path

from tests.serving import Server

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = "25"
# Jobs that end at once, so that no wait is long. No int among the parameters: JSON Schema takes 9.0 for one, the
# contract does not (docs/functions.md).
QUICK = """
from datetime import datetime
from typing import Annotated, Any, Literal

from asyncjob import Jobs
from msgspec import Meta

jobs = Jobs()

@jobs.job
def echo(value: Any = None) -> Any:
    return value

@jobs.job
def paint(
    points: Annotated[list[tuple[float, float]], Meta(max_length=3)],
    color: Literal["red", "blue"] = "red",
    at: Annotated[datetime, Meta(tz=True)] | None = None,
    note: Annotated[str, Meta(max_length=20)] = "",
) -> int:
    return len(points)
"""

# Delayed jobs do not end, so no wait is long. The tool has keys of its own that break the pattern, so it is given one;
# that another request has taken it is no fault of its form.
CONFIG = """
[parameters]
"query.wait" = 0.1
"header.Prefer" = "wait=0"
"header.Idempotency-Key" = '"one-key"'
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]
"""
# What is beyond JSON Schema: a key and an id must be the same, and a whole number has no fraction, not even .0.
ADJUST = """
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    if not isinstance(case.body, dict):
        return
    if "jobId" in case.body and case.headers is not None:
        case.headers.pop("Idempotency-Key", None)
    options = case.body.get("options")
    priority = options.get("priority") if isinstance(options, dict) else None
    if isinstance(priority, float) and priority.is_integer():
        options["priority"] = int(priority)
"""


def test_the_server_answers_as_its_description_says(tmp_path: Path) -> None:
    target = tmp_path / "quick.py"
    target.write_text(QUICK)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    (tmp_path / "adjust.py").write_text(ADJUST)
    with Server(tmp_path / "jobs.db", target=str(target)) as server:
        command = [str(SCHEMATHESIS), "run", f"{server.url}/openapi.json", "--checks", "all", "--no-color"]
        done = subprocess.run(
            # A stream of events does not end by itself. What a schedule's parameters may be depends on its type, and no
            # pattern says what is a cron expression or a time zone: the conformance suite tries these.
            [
                *(*command, "--exclude-path-regex", "/events$", "--exclude-operation-id", "putSchedule"),
                *("--max-examples", EXAMPLES, "--generation-deterministic"),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "adjust"},
        )
        assert done.returncode == 0, done.stdout
