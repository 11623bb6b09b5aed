"""The files on which growth is measured are such as a server leaves them."""

import re
import subprocess
import sys
from pathlib import Path

from tests.serving import Server

FILLED = Path(__file__).parent.parent.parent / "bench" / "filled.py"
UUID_7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_a_filled_file_is_served_as_one_that_a_server_wrote(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(FILLED), str(tmp_path / "jobs.db"), "250"], check=True)
    with Server(tmp_path / "jobs.db") as server:
        answer = server.client.get("/jobs?limit=1000&status=Success").json()["jobs"]
        ids = [job["jobId"] for job in answer]
        assert len(ids) == 250
        assert ids == sorted(ids, reverse=True)
        assert all(UUID_7.fullmatch(job_id) for job_id in ids)
        assert server.get(ids[0]) == answer[0]
        assert list(server.result(server.submit("sleep", seconds=0))) == list(answer[0])
