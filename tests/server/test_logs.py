"""What functions log and print: it becomes lines of their jobs, and of the server's log, whatever they do."""

import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from asyncjob.server.workers.attempt_log import AT_ONCE
from asyncjob.server.workers.lines import MAX_CHARACTERS, MAX_LINE_CHARACTERS, MAX_LINES
from tests.eventstream import read
from tests.server.conftest import lines as lines_of
from tests.server.conftest import wait_for
from tests.serving import Server

TALKERS = str(Path(__file__).parent.parent / "talkers.py")

Line = dict[str, Any]


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests that harm nobody."""
    folder = tmp_path_factory.mktemp("talker")
    arguments = ("--workers", "1", "--log-format", "json", "--concurrency", "100")
    with Server(folder / "jobs.db", *arguments, target=TALKERS) as server:
        yield server


def log_of(server: Server, job_id: str, query: str = "?limit=1000") -> list[Line]:
    found: list[Line] = server.client.get(f"/jobs/{job_id}/logs{query}").json()["logs"]
    return found


def said(server: Server, type: str, **parameters: Any) -> list[tuple[str, str, str]]:
    """What a job's log has, once it has succeeded: level, logger and message of each line."""
    job = server.result(server.submit(type, **parameters))
    assert job["status"] == "Success", job
    return [(line["level"], line["logger"], line["message"]) for line in log_of(server, job["jobId"])]


def printed(server: Server, type: str, **parameters: Any) -> list[str]:
    """The messages alone."""
    return [message for _, _, message in said(server, type, **parameters)]


def server_log(server: Server) -> list[Line]:
    """The server's log, which must be JSON to the last line."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def test_a_line_has_its_level_logger_job_and_attempt_in_both_logs(talker: Server) -> None:
    job_id = talker.submit("says", text="hello", level=logging.WARNING)
    job = talker.result(job_id)
    (line,) = log_of(talker, job_id)
    assert job["startedAt"] <= line["at"] <= job["finishedAt"]
    assert line == {
        "at": line["at"],
        "attempt": 1,
        "number": 1,
        "level": "warning",
        "logger": "talkers",
        "message": "hello",
    }
    (shown,) = [one for one in server_log(talker) if one.get("job_id") == job_id and one.get("logger")]
    assert shown == {
        "time": line["at"],
        "level": "warning",
        "event": "hello",
        "job_id": job_id,
        "attempt": 1,
        "logger": "talkers",
    }


def test_a_line_below_the_level_is_no_line(talker: Server) -> None:
    assert said(talker, "says", text="quiet", level=logging.DEBUG) == []


def test_with_a_higher_level_only_what_matters_is_a_line(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--log-level", "error", "--workers", "1", target=TALKERS) as server:
        assert printed(server, "says", text="warning", level=logging.WARNING) == []
        assert printed(server, "prints", text="printed\n", stream="stderr") == []
        assert printed(server, "says", text="error", level=logging.ERROR) == ["error"]
        assert "error job_id=" in server.log.read_text() and "warning" not in server.log.read_text()


def test_what_is_printed_is_a_line_with_the_name_of_its_stream(talker: Server) -> None:
    assert said(talker, "prints", text="one\ntwo\n") == [("info", "stdout", "one"), ("info", "stdout", "two")]
    assert said(talker, "prints", text="without an end", stream="stderr") == [("warning", "stderr", "without an end")]


def test_bytes_that_are_no_text_are_shown_as_escapes(talker: Server) -> None:
    assert printed(talker, "prints_bytes", numbers=[0xFF, 0x41, 0x0A]) == ["\\xffA"]


def test_a_progress_bar_is_one_line(talker: Server) -> None:
    assert printed(talker, "shows_progress") == ["100%"]


def test_an_exception_keeps_its_traceback_and_its_stack(talker: Server) -> None:
    job_id = talker.submit("logs_exception")
    talker.result(job_id)
    (line,) = log_of(talker, job_id)
    assert (line["level"], line["message"]) == ("error", "it went wrong")
    assert "KeyError: 'inner'" in line["traceback"] and "Stack (most recent call last)" in line["traceback"]
    (shown,) = [one for one in server_log(talker) if one["event"] == "it went wrong"]
    assert shown["exception"] == line["traceback"]


def test_how_a_job_failed_is_its_last_line_and_its_message_stays_out_of_the_servers_log(talker: Server) -> None:
    job_id = talker.submit("fails", message="a secret of the owner's")
    assert talker.result(job_id)["status"] == "Failure"
    before, last = log_of(talker, job_id)
    assert (before["message"], last["number"]) == ("before", 2)
    assert (last["level"], last["logger"]) == ("error", "asyncjob")
    assert last["message"] == "ValueError: a secret of the owner's"
    assert "raise ValueError(message)" in last["traceback"]
    assert "a secret" not in talker.log.read_text()


def test_what_cannot_be_formatted_or_shown_is_a_line_all_the_same(talker: Server) -> None:
    assert said(talker, "logs_badly") == [
        ("info", "talkers", "'%d' with ('no number',) cannot be formatted: TypeError"),
        ("info", "talkers", "'%s' cannot be formatted: RuntimeError"),
        ("warning", "talkers", "? and � and red"),
        ("info", "talkers", "after"),
    ]


def test_a_thread_belongs_to_the_job_that_started_it_or_whose_call_it_runs(talker: Server) -> None:
    expected = ["thread", "timer", "inner pool", "shared pool", "thread pool"]
    assert printed(talker, "in_threads") == expected
    assert printed(talker, "in_threads") == expected  # the shared pool's threads were another job's


def test_tasks_and_the_threads_they_call_belong_to_their_job(talker: Server) -> None:
    ids = [talker.submit("in_tasks", text=text) for text in ("a", "b", "c")]
    for job_id, text in zip(ids, ("a", "b", "c"), strict=True):
        talker.result(job_id)
        words = [line["message"] for line in log_of(talker, job_id)]
        assert sorted(words) == sorted(f"{text} {word}" for word in ("task", "gathered", "to_thread", "executor"))


def test_jobs_that_take_turns_on_one_loop_do_not_mix_their_lines(talker: Server) -> None:
    ids = [talker.submit("takes_turns", text=str(number), turns=20) for number in range(10)]
    for number, job_id in enumerate(ids):
        talker.result(job_id)
        assert [line["message"] for line in log_of(talker, job_id)] == [f"{number} {turn}" for turn in range(20)]


def test_a_function_that_configures_logging_doubles_nothing_and_ends_nothing(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=TALKERS) as server:
        for _ in range(2):
            assert printed(server, "configures") == ["one", "two", "three", "four", "five"]
        assert printed(server, "says", text="as before") == ["as before"]


def test_a_handler_that_logs_and_prints_does_not_go_on_for_ever(talker: Server) -> None:
    assert said(talker, "handles") == [("info", "talkers", "once"), ("info", "echo", "again: once")]


def test_what_breaks_a_handler_is_told(talker: Server) -> None:
    first, *more = said(talker, "breaks_a_handler")
    assert first == ("info", "talkers", "once")
    assert ("warning", "stderr", "OSError: the disk of the log is full") in more


def test_a_warning_is_one_line_of_its_level(talker: Server) -> None:
    (line,) = said(talker, "warns")
    assert line[:2] == ("warning", "py.warnings") and "UserWarning: take care" in line[2]


def test_a_function_may_have_its_own_output_for_a_while(talker: Server) -> None:
    job = talker.result(talker.submit("redirects"))
    assert job["results"] == "for itself\n"
    assert [line["message"] for line in log_of(talker, job["jobId"])] == ["for the log"]


def test_a_function_that_replaces_or_closes_the_streams_takes_them_from_nobody(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=TALKERS) as server:
        assert printed(server, "replaces") == []
        assert printed(server, "closes") == ["still open"]
        assert printed(server, "wraps") == ["wrapped"]
        assert printed(server, "prints", text="as before") == ["as before"]


def test_the_streams_are_no_terminal(talker: Server) -> None:
    assert talker.result(talker.submit("is_terminal"))["results"] == [False, False]


def test_what_is_written_past_python_is_a_line_of_the_worker(talker: Server) -> None:
    job_id = talker.submit("starts_children")
    talker.result(job_id)
    wanted = {("from a child", "stdout"), ("in its errors", "stderr"), ("past Python", "stdout")}

    def found() -> set[tuple[str, str]]:
        return {(line["event"], line["logger"]) for line in server_log(talker) if "worker" in line and "logger" in line}

    wait_for(lambda: wanted <= found(), "the lines of the children")
    assert log_of(talker, job_id) == []


def test_what_is_printed_at_the_import_is_a_line_of_the_worker(talker: Server) -> None:
    words = ("imported", "logged at the import", "logged in the server")

    def told() -> dict[str, Line]:
        return {line["event"]: line for line in server_log(talker)}

    wait_for(lambda: told().keys() >= {*words}, "the lines of the import")
    printed, logged, in_server = map(told().__getitem__, words)
    assert (printed["logger"], printed["level"], "worker" in printed, "job_id" in printed) == (
        "stdout",
        "info",
        True,
        False,
    )
    assert (logged["logger"], logged["level"], "worker" in logged) == ("talkers", "warning", True)
    assert (in_server["level"], "worker" in in_server) == ("warning", False)


def test_a_fork_is_not_the_worker_and_its_words_come_out(tmp_path: Path) -> None:
    arguments = ("--workers", "1", "--log-format", "json")
    with Server(tmp_path / "jobs.db", *arguments, target=TALKERS) as server:
        assert printed(server, "forks") == ["printed in the parent"]
        wanted = {"printed in a fork", "INFO talkers: logged in a fork", "printed in a process"}
        wait_for(lambda: wanted <= {line["event"] for line in server_log(server)}, "the words of the forks")


def test_of_a_flood_the_first_lines_and_the_last_are_kept_and_others_are_counted(talker: Server) -> None:
    count = 20 * MAX_LINES
    job_id = talker.submit("floods", lines=count)
    talker.result(job_id)
    kept = log_of(talker, job_id)
    assert [line["number"] for line in kept] == [*range(1, MAX_LINES + 1), *range(count - MAX_LINES + 1, count + 1)]
    assert [line["leftOut"] for line in kept if "leftOut" in line] == [count - 2 * MAX_LINES]
    assert kept[-1]["message"].startswith(f"{count - 1} ")
    shown = [line for line in server_log(talker) if line.get("job_id") == job_id]
    logged = [line for line in shown if "logger" in line]
    left_out = sum(line.get("left_out", 0) for line in logged) + sum(line.get("lines", 0) for line in shown)
    assert len(logged) < 2 * AT_ONCE and len(logged) + left_out == count


def test_long_lines_are_cut_and_count_by_their_length(talker: Server) -> None:
    job_id = talker.submit("floods", lines=200, length=2 * MAX_LINE_CHARACTERS)
    talker.result(job_id)
    kept = log_of(talker, job_id)
    assert all(line["message"].endswith("x…") and len(line["message"]) <= MAX_LINE_CHARACTERS + 1 for line in kept)
    assert sum(len(line["message"]) for line in kept) <= 2 * MAX_CHARACTERS
    assert kept[0]["number"] == 1 and kept[-1]["number"] == 200


def test_a_child_that_floods_its_pipe_fills_neither_the_memory_nor_the_log(tmp_path: Path) -> None:
    arguments = ("--workers", "1", "--log-format", "json")
    with Server(tmp_path / "jobs.db", *arguments, target=TALKERS) as server:
        server.result(server.submit("says", text="warm"))
        before = server.memory_kb()
        assert printed(server, "floods_the_pipe", megabytes=5) == []
        assert server.memory_kb() - before < 20_000
        assert sum(line["event"] == "from a child" for line in server_log(server)) < 2 * AT_ONCE


def test_the_last_words_of_a_job_that_ends_its_process_are_kept(tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", "--workers", "1", target=TALKERS) as server:
        job_id = server.submit("says_and_dies", how="exit")
        assert server.result(job_id)["error"]["type"] == "WorkerLost"
        messages = [line["message"] for line in log_of(server, job_id)]
        assert messages[:2] == ["last words", "and these"] and messages[2].startswith("WorkerLost: ")
        printed(server, "says", text="some time after the import of the new worker")
        killed = server.submit("says_and_dies", how="kill")
        server.result(killed)
        assert log_of(server, killed)[0]["message"] == "last words"


def test_a_job_that_is_over_time_says_so_last(talker: Server) -> None:
    job_id = talker.submit("overruns")
    assert talker.result(job_id)["error"]["type"] == "Timeout"
    assert [line["message"].partition(":")[0] for line in log_of(talker, job_id)] == ["begins", "Timeout"]


def test_of_very_many_attempts_the_last_ten_have_their_lines(talker: Server) -> None:
    job_id = talker.submit("repeats", attempts=15)
    assert talker.result(job_id)["attempt"] == 15
    kept = [(line["attempt"], line["message"]) for line in log_of(talker, job_id)]
    assert kept[0] == (6, "attempt 6") and kept[-1] == (15, "attempt 15")
    assert kept[1] == (6, "RetryLater: again")


def test_a_log_grows_while_the_job_runs_and_a_stream_tells_of_it(talker: Server, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    job_id = talker.submit("goes_on", started=str(started), gate=str(gate))
    seen = []
    with talker.client.stream("GET", f"/jobs/{job_id}/events?logs=true") as answer:
        for event in read(answer):
            if event.name == "log":
                seen.append(event.data["message"])
                gate.touch()
            else:
                last = event
    assert seen == ["before the gate", "after the gate", "the end"]
    assert last.data["status"] == "Success"


def test_lines_outlive_a_server_that_is_killed_and_the_next_one_says_what_happened(tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    with Server(tmp_path / "jobs.db", "--workers", "1", target=TALKERS) as server:
        job_id = server.submit("goes_on", started=str(started), gate=str(gate))
        wait_for(lambda: log_of(server, job_id), "the first line is saved")
        os.killpg(server.process.pid, signal.SIGKILL)
        server.wait()
        gate.touch()
        server.start()
        assert server.result(job_id)["attempt"] == 2
        kept = [(line["attempt"], line["number"], line["message"]) for line in log_of(server, job_id)]
    assert kept == [
        (1, 1, "before the gate"),
        (1, 2, "WorkerLost: the server ended while the job ran"),
        (2, 1, "before the gate"),
        (2, 2, "after the gate"),
        (2, 3, "the end"),
    ]


def test_a_process_that_keeps_the_pipes_open_after_its_workers_death_holds_nothing(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with Server(tmp_path / "jobs.db", "--workers", "1", target=TALKERS) as server:
        server.submit("leaves_the_pipe_open", started=str(started))
        wait_for(lambda: "worker ended" in server.log.read_text(), "the worker is buried")
        pid = int(lines_of(started)[0])
        try:
            assert printed(server, "says", text="goes on") == ["goes on"]
            theirs = Path(f"/proc/{pid}/fd/1").readlink()
            wait_for(lambda: theirs not in _open_in(server.process.pid), "the pipe is closed")
            assert server.stop() == 0
        finally:
            os.kill(pid, signal.SIGKILL)


def _open_in(pid: int) -> list[Path]:
    """What a process has open; it may close some of it meanwhile."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(each.readlink())
    return found


@pytest.mark.parametrize("type", ["asks", "asks_async"])
def test_what_a_jobs_own_client_asks_is_no_line_and_what_the_job_asks_is(talker: Server, type: str) -> None:
    (line,) = said(talker, type)
    assert line[:2] == ("info", "httpx")
    assert line[2].startswith(f"HTTP Request: GET {talker.url}/session")
