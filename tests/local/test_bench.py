"""The benchmark's own load generator, which is there for machines without wrk."""

import json
import subprocess
import sys
from pathlib import Path

from tests.serving import Server

LOAD = Path(__file__).parent.parent.parent / "bench" / "load.py"


def test_the_bundled_generator_sends_what_it_is_asked_to(server: Server) -> None:
    command = [sys.executable, str(LOAD), f"{server.url}/jobs", "--connections", "5", "--requests", "50"]
    body = '{"type": "add", "a": 1}'
    done = subprocess.run([*command, "--body", body], capture_output=True, text=True, timeout=60, check=True)
    answered, refused, seconds, p50, p99 = json.loads(done.stdout)
    assert (answered, refused) == (50, 0)
    assert 0 < p50 <= p99 <= seconds * 1000
    assert len(server.client.get("/jobs?limit=1000").json()["jobs"]) == 50
