"""A tool that reads the published description tries everything that it allows, and everything that it does not."""

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


def test_the_server_answers_as_its_description_says(tmp_path: Path) -> None:
    target = tmp_path / "quick.py"
    target.write_text(QUICK)
    (tmp_path / "schemathesis.toml").write_text('[parameters]\n"query.wait" = 0.1\n')  # delayed jobs do not end
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
        )
        assert done.returncode == 0, done.stdout
