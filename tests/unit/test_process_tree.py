"""Finding and ending whole trees of real processes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from asyncjob.server.workers.worker.process_tree import Process, children, end, find, thread_has_children
from tests.server.conftest import wait_for

TREE = "sleep 600 & (sleep 600 & echo; wait) & wait"
BUSY = "import os, time\nprint(flush=True)\nwhile True:\n    os.fork() or time.sleep(600)\n    time.sleep(0.01)"


def _start(*command: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_whole_tree_is_found_and_ended() -> None:
    with _start("sh", "-c", TREE) as root:
        process = find(root.pid)
        assert process is not None and process in children(os.getpid())
        killed = end([process])
        assert len(killed) == 4
        assert root.wait() == -9
    wait_for(lambda: not any(find(each.pid) == each for each in killed), "their end")
    assert find(root.pid) is None


def test_a_tree_that_grows_meanwhile_is_ended() -> None:
    with _start(sys.executable, "-c", BUSY) as root:
        process = find(root.pid)
        assert process is not None
        killed = end([process])
        assert root.wait() == -9
    assert process in killed
    wait_for(lambda: not any(find(each.pid) == each for each in killed), "their end")


def test_a_process_with_the_number_of_one_that_has_ended_is_left_alone() -> None:
    with _start("sh", "-c", "echo; exec sleep 600") as root:
        process = find(root.pid)
        assert process is not None
        assert end([Process(process.pid, process.started - 1)]) == []
        assert find(root.pid) == process
        root.kill()


def test_what_is_not_there_has_no_children_and_is_not_ended() -> None:
    assert find(2**22 + 1) is None
    assert children(2**22 + 1) == []
    assert end([Process(2**22 + 1, 0)]) == []


def test_a_thread_knows_whether_it_has_started_a_process_that_is_still_to_be_waited_for() -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        assert not one.submit(thread_has_children).result()
        with one.submit(_start, "sh", "-c", "echo; exec sleep 600").result() as root:
            assert one.submit(thread_has_children).result()
            assert not other.submit(thread_has_children).result()
            root.kill()
        assert not one.submit(thread_has_children).result()
