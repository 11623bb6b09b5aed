"""The commands for who uses an API: what they print, to people and to programs, and how they exit."""

import json
import os
import re
import signal
import subprocess
import uuid
from pathlib import Path
from unittest import mock

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from asyncjob import cli
from asyncjob.client import JobSnapshot
from asyncjob.commands import console
from asyncjob.commands.parameters import parse_words
from tests.client.conftest import Run, environment, fields_of
from tests.server.conftest import lines, wait_for
from tests.serving import COMMAND, FUNCTIONS, Server


def test_submit_prints_the_id_and_get_shows_the_job(run: Run, served: Server) -> None:
    job_id = run("submit", "add", "a=1", "b=2").stdout.strip()
    served.result(job_id)
    fields = fields_of(run("get", job_id).stdout)
    assert (fields["job"], fields["type"], fields["status"]) == (job_id, "add", "Success")
    assert (fields["parameters"], fields["results"]) == ('{"a":1,"b":2}', "3")
    assert fields["created"].endswith(("now", "ago"))
    shown = json.loads(run("get", job_id, "--json").stdout)
    assert shown == served.get(job_id)


def test_submit_waits_if_it_is_told_to(run: Run) -> None:
    assert fields_of(run("submit", "add", "a=1", "--wait").stdout)["results"] == "2"
    assert json.loads(run("submit", "add", "a=1", "--wait", "--json").stdout)["results"] == 2


def test_a_value_is_json_where_it_is_json_and_else_a_string(run: Run) -> None:
    for value, meant in [
        *[("3", 3), ("3.5", 3.5), ("true", True), ("null", None), ("[1, 2]", [1, 2]), ('"3"', "3"), ("three", "three")],
        *[("a=b", "a=b"), ("", ""), ("NaN", "NaN"), ("03", "03"), ("{a}", "{a}")],
    ]:
        assert parse_words(["echo", f"value={value}"], None) == ("echo", {"value": meant})
    sent = run("submit", "echo", 'value={"a": [3, "three"]}', "--wait", "--json")
    assert json.loads(sent.stdout)["results"] == {"a": [3, "three"]}


def test_parameters_may_come_from_a_file_or_from_standard_input(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{"a": 1, "b": 5}')
    assert json.loads(run("submit", "add", "--body", str(file), "--wait", "--json").stdout)["results"] == 6
    from_input = run("submit", "add", "b=2", "--body", "-", "--wait", "--json", input='{"a": 1, "b": 5}')
    assert json.loads(from_input.stdout)["results"] == 3
    assert "is not a JSON object" in run("submit", "add", "--body", "-", input="[1]", status=2).stderr


def test_an_id_can_be_chosen(run: Run) -> None:
    chosen = str(uuid.uuid4())
    for _ in range(2):
        assert json.loads(run("submit", "add", "a=1", "--id", chosen, "--json").stdout) == {"jobId": chosen}
    assert (
        "with another type, other parameters or other options"
        in run("submit", "add", "a=2", "--id", chosen, status=2).stderr
    )


def test_a_job_that_failed_or_was_canceled_is_exit_status_1(run: Run, started: str) -> None:
    fields = fields_of(run("submit", "raises", "message=no", "--wait", status=1).stdout)
    assert (fields["status"], fields["error"]) == ("Failure", "LookupError: no")
    job_id = run("submit", "waits", f"started={started}").stdout.strip()
    assert fields_of(run("cancel", job_id).stdout)["status"] == "Canceled"
    assert fields_of(run("wait", job_id, status=1).stdout)["status"] == "Canceled"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["get", "nobody"], "Not found"),
        (["get", "a/b"], "'a/b' cannot be a job's id"),
        (["submit", "add"], "missing required field `a`"),
        (["submit", "add", "a"], "'a' is not a parameter: write NAME=VALUE"),
        (["submit", "add", "=1"], "'=1' is not a parameter"),
        (["submit", "nothing", "a=1"], "type must be one of"),
        (["list", "--status", "Failed"], "Failure"),
        (["list", "--limit", "0"], "--limit"),
        (["get", "x", "--url", "localhost"], "is not the URL of an API"),
        (["openapi", "missing.py"], "there is no file missing.py"),
        (["submit", "--body", "missing.json"], "missing.json"),
    ],
)
def test_a_mistake_is_a_clear_line_and_exit_status_2(run: Run, arguments: list[str], said: str) -> None:
    done = run(*arguments, status=2)
    assert said in re.sub(r"\s+", " ", done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["get", "x"], ["submit"], ["wait", "x"], ["list"], ["stats"], ["check"]])
def test_where_nobody_answers_the_exit_status_is_3(run: Run, command: list[str]) -> None:
    done = run(*command, "--url", "http://127.0.0.1:9", status=3)
    assert "gave no answer" in done.stdout + done.stderr


def test_a_wait_that_is_over_is_exit_status_124(run: Run, started: str, served: Server) -> None:
    done = run("submit", "waits", f"started={started}", "--timeout", "0.2", status=124)
    job_id = done.stderr.split()[2]
    assert "has not ended in time" in done.stderr
    assert "has not ended in time" in run("wait", job_id, "--timeout", "0", status=124).stderr
    assert "it is not a number" in run("wait", job_id, "--timeout", "nan", status=2).stderr
    served.client.post(f"/jobs/{job_id}/cancel")


def test_ctrl_c_ends_a_wait_and_not_the_job(served: Server, started: str) -> None:
    command = [str(COMMAND), "submit", "waits", f"started={started}", "--wait"]
    process = subprocess.Popen(command, env=environment(served), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: lines(Path(started)), "the job")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "asyncjob: interrupted\n")
    running = served.client.get("/jobs?status=Running&type=waits").json()["jobs"]
    (job_id,) = [job["jobId"] for job in running if job["parameters"] == {"started": started}]
    served.client.post(f"/jobs/{job_id}/cancel")


def test_several_jobs_are_shown_canceled_and_retried_at_once(run: Run, served: Server, started: str) -> None:
    waiting = [served.submit("waits", started=f"{started}-{number}") for number in range(2)]
    done = [served.submit("add", a=number) for number in range(2)]
    for job_id in done:
        served.result(job_id)
    shown = [json.loads(line) for line in run("cancel", *waiting, "--json").stdout.splitlines()]
    assert [(job["jobId"], job["status"]) for job in shown] == [(job_id, "Canceled") for job_id in waiting]
    assert run("retry", *done).stdout.split() == done
    again = run("retry", *done, "--wait", "--json").stdout.splitlines() if run("wait", *done) else []
    assert [(json.loads(line)["jobId"], json.loads(line)["attempt"]) for line in again] == [(each, 3) for each in done]
    for_people = run("get", *done, done[0]).stdout
    assert [fields_of(each)["job"] for each in for_people.split("\n\n")] == done
    run("wait", done[0], waiting[0], status=1)


def test_a_job_that_is_refused_keeps_no_other_from_its_turn(run: Run, served: Server) -> None:
    done = [served.submit("add", a=number) for number in range(2)]
    for job_id in done:
        served.result(job_id)
    shown = run("get", done[0], "nobody", done[1], "--json", status=2)
    assert [json.loads(line)["jobId"] for line in shown.stdout.splitlines()] == done
    assert shown.stderr == f"asyncjob: Not found: {served.url}/jobs/nobody (404)\n"
    retried = run("retry", "nobody", done[0], "--wait", "--json", status=2)
    assert json.loads(retried.stdout)["attempt"] == 2
    refused = run("cancel", *done, status=2)
    assert [line.split(": ")[1] for line in refused.stderr.splitlines()] == done
    untouched = run("retry", done[0], "a/b", status=2)
    assert "'a/b' cannot be a job's id" in untouched.stderr
    assert served.get(done[0])["attempt"] == 2


def test_the_commands_find_the_server_that_the_environment_starts(served: Server) -> None:
    port = served.url.rpartition(":")[2]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASYNCJOB_")}

    def listed(**more: str) -> subprocess.CompletedProcess[str]:
        command = [str(COMMAND), "list", "--limit", "1"]
        return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, timeout=60)

    assert listed(ASYNCJOB_PORT=port).returncode == 0
    assert listed(ASYNCJOB_PORT="9", ASYNCJOB_URL=served.url).returncode == 0
    assert "http://127.0.0.1:9/" in listed(ASYNCJOB_PORT="9").stderr
    assert "http://127.0.0.1:9/work/" in listed(ASYNCJOB_PORT="9", ASYNCJOB_ROOT_PATH="/work").stderr
    wrong = listed(ASYNCJOB_PORT="http")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "'http://127.0.0.1:http' is not a URL" in wrong.stderr


def test_ended_jobs_are_deleted_by_their_ids_and_others_are_not(run: Run, served: Server) -> None:
    ended = [run("submit", "add", "a=1", "--wait", "--json").stdout for _ in range(2)]
    first, second = (json.loads(line)["jobId"] for line in ended)
    waits = run("submit", "add", "a=1", "--delay", "1h").stdout.strip()
    deleted = run("delete", first, waits, second, status=2)
    assert deleted.stdout.split() == [first, second]
    assert f"cannot delete job {waits}: it is Pending" in deleted.stderr and len(deleted.stderr.splitlines()) == 1
    assert first in run("get", first, status=2).stderr
    run("cancel", waits)
    assert json.loads(run("delete", waits, "--json").stdout) == {"jobId": waits}


def test_options_of_a_job_are_options_of_submit(run: Run, served: Server) -> None:
    options = ("--delay", "1h30m", "--priority", "3", "--start-by", "2999-12-24T18:00:00+01:00")
    job_id = run("submit", "add", "a=1", *options).stdout.strip()
    shown = fields_of(run("get", job_id).stdout)
    assert (shown["status"], shown["priority"]) == ("Pending", "3")
    assert shown["runs"].endswith(("in 1h", "in 2h")) and shown["expires"].endswith("d")
    assert json.loads(run("run-now", job_id, "--json").stdout)["jobId"] == job_id
    assert json.loads(run("wait", job_id, "--json").stdout)["results"] == 2
    assert "it is Success" in run("run-now", job_id, status=2).stderr
    at = run("submit", "add", "a=1", "--run-at", "2999-12-24T18:00:00Z", "--json").stdout
    assert json.loads(run("cancel", json.loads(at)["jobId"], "--json").stdout)["status"] == "Canceled"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--delay", "soon"), '--delay must be a number of seconds, such as 90, or text such as "90s"'),
        (("--run-at", "tomorrow"), "--run-at must be a time with its offset from UTC"),
        (("--delay", "1s", "--run-at", "2999-12-24T18:00:00Z"), "--delay and --run-at contradict each other"),
    ],
)
def test_a_wrong_option_of_a_job_is_one_line(run: Run, options: tuple[str, ...], message: str) -> None:
    said = run("submit", "add", "a=1", *options, status=2).stderr
    assert message in said and len(said.splitlines()) == 1


def test_retry_runs_a_job_again(run: Run) -> None:
    job_id = json.loads(run("submit", "add", "a=1", "--wait", "--json").stdout)["jobId"]
    assert run("retry", job_id).stdout.strip() == job_id
    run("wait", job_id)
    assert json.loads(run("retry", job_id, "--wait", "--json").stdout)["attempt"] == 3


def test_list_shows_a_line_a_job_with_what_is_asked_for(run: Run, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        here = ("--url", server.url)
        assert run("list", *here).stdout == "no jobs\n"
        ids = [server.submit("add", a=number) for number in range(3)] + [
            server.submit("raises", message="one\n\x1b[2J")
        ]
        for job_id in ids:
            server.result(job_id)
        head, *rows = run("list", *here).stdout.splitlines()
        assert head.split() == ["ID", "TYPE", "STATUS", "PROGRESS", "CREATED", "TOOK"]
        assert [row.split()[0] for row in rows] == ids[::-1]
        assert all(row.index("Success") == head.index("STATUS") for row in rows[1:])
        assert rows[0].endswith("LookupError: one")
        assert len(run("list", *here, "--limit", "2", "--type", "add").stdout.splitlines()) == 3
        documents = [
            json.loads(line) for line in run("list", *here, "--json", "--status", "failure").stdout.splitlines()
        ]
        assert [document["jobId"] for document in documents] == ids[-1:]
        assert run("list", *here, "--type", "echo").stdout == "no jobs\n"


@pytest.mark.parametrize("more", [(), ("--json",), ("--watch",), ("--status", "Failure")])
def test_list_says_which_types_there_are_if_asked_for_another(run: Run, more: tuple[str, ...]) -> None:
    refused = run("list", "--type", "ad", *more, status=2)
    assert (refused.stdout, refused.stderr.count("\n")) == ("", 1)
    assert refused.stderr.startswith("asyncjob: there is no function 'ad' here, only add, echo, once, ")


def _jobs(*ids: str) -> list[JobSnapshot]:
    common = {"type": "resize", "status": "Failure", "parameters": {}, "attempt": 1}
    more = {"error": {"type": "ValueError", "message": "too wide " * 9}, "progress": {"fraction": 0.5}}
    return [JobSnapshot.of({**common, **more, "jobId": each, "createdAt": "2024-06-06T12:34:56.789Z"}) for each in ids]


@settings(max_examples=100, deadline=None)
@given(
    ids=st.lists(st.text("abcxyz-._~019", min_size=1, max_size=128), min_size=1, max_size=5, unique=True),
    width=st.integers(1, 200),
)
def test_an_id_in_a_list_is_whole_on_a_terminal_of_any_width(ids: list[str], width: int) -> None:
    terminal = Console(width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with mock.patch.object(console, "_console", return_value=terminal), terminal.capture() as captured:
        terminal.print(console.table(_jobs(*ids)))
    lines = captured.get().split("\n")[1:]
    assert all(len(line) <= width for line in lines)
    first = min(width, max(36, width // 2), max(map(len, [*ids, "ID"])))
    assert "".join(line[:first].strip() for line in lines) == "".join(ids)


GROUP = typer.main.get_command(cli.app)
HELP = {name: command.get_help(typer.Context(command, info_name=name)) for name, command in GROUP.commands.items()}  # type: ignore[attr-defined]


def test_help_has_words_in_place_of_types() -> None:
    for name, text in HELP.items():
        assert not re.search(r"<|\b(str|int|float|bool|path|range|list\[)\b", text.partition("Options:")[0]), name
        assert not re.search(r"<\w|\brange\b|list\[", text), name
    assert "--timeout SECONDS" in HELP["wait"] and "--limit NUMBER" in HELP["list"] and " ID..." in HELP["get"]


def test_help_says_whole_what_each_command_does(run: Run) -> None:
    shown = " ".join(run("--help").stdout.partition("Commands:")[2].split())
    for name, command in GROUP.commands.items():  # type: ignore[attr-defined]
        assert f"{name} {' '.join(command.help.split())}" in shown


def test_an_error_of_several_lines_is_shown_in_them(run: Run, served: Server) -> None:
    job_id = served.submit("raises", message="one\n\ttwo\nthree\x1b")
    served.result(job_id)
    shown = run("get", job_id).stdout.splitlines()
    start = next(number for number, line in enumerate(shown) if line.startswith("error"))
    column = shown[start].index("LookupError")
    told = [line[column:] for line in shown[start : start + 3]]
    assert told == ["LookupError: one", "        two", r"three\x1b"]
    assert r"\n" not in run("list", "--type", "raises").stdout


def test_list_watches(served: Server) -> None:
    marker = str(uuid.uuid4())
    command = [str(COMMAND), "list", "--type", "once", "--limit", "3", "--watch"]
    for more, shown in [(("--json",), marker), ((), "Success")]:
        with subprocess.Popen([*command, *more], env=environment(served), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            job_id = served.submit("once", value=marker)
            served.result(job_id)
            seen = next(line for line in process.stdout if job_id in line and "Success" in line)
            assert shown in seen
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0


def test_stats_counts_by_type_and_status_and_says_what_it_counted(run: Run, tmp_path: Path) -> None:
    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        here = ("--url", server.url)
        for job_id in [*[server.submit("add", a=number) for number in range(3)], server.submit("raises", message="x")]:
            server.result(job_id)
        *rows, said = run("stats", *here).stdout.splitlines()
        assert [row.split()[:6] for row in rows[1:]] == [
            ["add", "0", "0", "3", "0", "0"],
            ["raises", "0", "0", "0", "1", "0"],
            ["all", "0", "0", "3", "1", "0"],
        ]
        assert said == "all 4 jobs; in all: 0 Pending, 0 Running, 3 Success, 1 Failure, 0 Canceled"
        counted = json.loads(run("stats", *here, "--json").stdout)
        assert (counted["jobs"], counted["more"]) == (4, False)
        assert counted["all"]["statuses"] == {"Success": 3, "Failure": 1}
        assert 0 <= counted["all"]["medianRunSeconds"] < 60
        for number in range(1_000):
            server.submit("add", a=number)
        assert run("stats", *here).stdout.splitlines()[-1].startswith("the newest 1,000 jobs; in all: ")
        assert sum(json.loads(run("stats", *here, "--json").stdout)["statuses"].values()) == 1_004


def test_openapi_comes_from_the_api_or_from_a_file(run: Run) -> None:
    from_server, from_file = run("openapi"), run("openapi", FUNCTIONS)
    assert json.loads(from_server.stdout) == json.loads(from_file.stdout)
    assert len(from_server.stdout.splitlines()) > 100
    assert len(run("openapi", "--json").stdout.splitlines()) == 1
