"""The comparison with other stacks: what cannot be measured here is named, and nothing is left running.

No peer is measured, since each would first be installed; what ends their processes is what ends ours.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.server.conftest import alive, wait_for

PEERS = Path(__file__).parent.parent.parent / "bench" / "peers.py"
COMMAND = [sys.executable, str(PEERS), "--peer", "celery_redis", "--peer", "taskiq_redis", "--rounds", "1"]


def test_a_peer_whose_service_is_not_installed_is_skipped_by_name(tmp_path: Path) -> None:
    written = tmp_path / "results.json"
    done = subprocess.run(
        [*COMMAND, "--seconds", "0.5", "--json", str(written)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(written.read_text())
    assert results["skipped"] == ["Celery+Redis", "taskiq+Redis"]
    for name in results["skipped"]:
        assert f"{name}: skipped, there is no redis-server on the PATH" in done.stdout
    assert all(list(stacks) == ["ours"] and stacks["ours"][0] > 0 for stacks in results["figures"].values())


def test_ctrl_c_leaves_no_process_of_a_stack(tmp_path: Path) -> None:
    environment = os.environ | {"PATH": str(tmp_path)}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as runner:
        wait_for(lambda: len(descendants(runner.pid)) >= 3, "the server and its workers")
        started = descendants(runner.pid)
        runner.send_signal(signal.SIGINT)
        runner.communicate(timeout=60)
        assert not any(alive(pid) for pid in started)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [further for child in children for further in descendants(child)]
