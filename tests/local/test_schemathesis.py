"""A tool that reads the published description tries everything that it allows, and everything that it does not."""

import subprocess
import sys
from pathlib import Path

from tests.serving import Server

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
EXAMPLES = "25"


def test_the_server_answers_as_its_description_says(server: Server) -> None:
    command = [str(SCHEMATHESIS), "run", f"{server.url}/openapi.json", "--checks", "all", "--max-examples", EXAMPLES]
    done = subprocess.run(
        [*command, "--generation-deterministic", "--no-color"],
        capture_output=True,
        text=True,
        cwd=server.database.parent,
    )
    assert done.returncode == 0, done.stdout
