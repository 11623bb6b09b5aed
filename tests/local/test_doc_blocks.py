"""Every code block of the documentation is run, or it is said here why it cannot be."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from tests import lifecycle
from tests.local.conftest import wait_for
from tests.local.terminal import ROOT, Command, blocks, commands
from tests.serving import COMMAND, FUNCTIONS, Server

PAGES = ["CONTRIBUTING.md", "README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
# Languages whose blocks are run as they are: of JSON and YAML here, of Python in test_docs.py and test_webhooks.py. A
# block of `text` is a drawing.
RUN = {"python", "json", "yaml", "text", "console"}
# Commands by how they begin: where they are run, or why not.
ELSEWHERE = {
    "aws cloudformation describe-stacks": "asks an AWS account",
    "asyncjob build jobs.py": "tests/aws/test_build_wheels.py: with wheels of an index that is there",
    "asyncjob replay": "tests/aws/test_replay.py: with a queue that is there",
    "asyncjob list --status Failure --watch": "goes on for ever; tests/client has it",
}


def _shown(language: str) -> list[tuple[str, str]]:
    return [(page, text) for page in PAGES for found, text in blocks(page) if found == language]


def _in_readme(command: Command) -> bool:
    """Whether test_readme.py runs it."""
    return command.line in {each.line for _, block in blocks("README.md") for each in commands(block)}


def test_every_block_has_a_language_that_is_run() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", (ROOT / page).read_text(), re.MULTILINE)
        assert {*fences[::2]} <= RUN, page
        assert {*fences[1::2]} <= {""}, page


@pytest.mark.parametrize(("page", "text"), _shown("json"))
def test_json_is_json(page: str, text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize(("page", "text"), _shown("yaml"))
def test_yaml_is_yaml(page: str, text: str) -> None:
    assert yaml.safe_load(text)


def test_every_command_is_run_somewhere() -> None:
    here = set().union(*(commands(block) for block in (_events(), *_backup(), _shell(), _allowing())))
    missing = [
        (page, command.line)
        for page, block in _shown("console")
        for command in commands(block)
        if not (_in_readme(command) or command in here or command.line.startswith(tuple(ELSEWHERE)))
        and not command.line.startswith("aws cloudformation ")  # the README's, with other names
    ]
    assert missing == []


def _events() -> str:
    (block,) = [text for page, text in _shown("console") if page == "docs/contract.md"]
    return block


def test_events_look_as_the_contract_shows_them(tmp_path: Path) -> None:
    (command,) = commands(_events())
    with Server(tmp_path / "jobs.db") as server:
        server.client.post("/jobs", json={"jobId": "12345", "seconds": 1}).raise_for_status()
        wait_for(lambda: server.get("12345")["status"] == "Running", "the job")
        line = command.line.replace("http://", "").replace("localhost:8000", server.url).replace("-N", "-sN")
        said = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout
    pattern = re.escape(command.output.strip()).replace(r"\.\.\.", ".*")
    assert re.fullmatch(re.sub(r"id:\\ [0-9a-f]{16}", "id: [0-9a-f]{16}", pattern), said.strip())


def _backup() -> list[str]:
    return [text for page, text in _shown("console") if page == "docs/operations.md"]


def test_a_backup_is_made_and_restored_as_the_page_says(tmp_path: Path) -> None:
    backup, restore = _backup()
    (tmp_path / "backups").mkdir()

    def run(line: str) -> str:
        line = line.replace("/backups", "backups").replace("asyncjob ", f"{shlex.quote(str(COMMAND))} ", 1)
        return subprocess.run(
            ["bash", "-ec", line], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.replace("backups", "/backups")

    with Server(tmp_path / "jobs.db", target=FUNCTIONS) as server:
        job_id = server.submit("add", a=1)
        server.result(job_id)
        (command,) = commands(backup)
        assert re.sub(r"[\d,]+ bytes", "", run(command.line)) == re.sub(r"[\d,]+ bytes", "", command.output)
        server.stop(9)
        *moves, serve = commands(restore)
        for command in moves:
            run(command.line)
        assert serve.line == "asyncjob serve --database jobs.db"
        server.start()
        assert server.get(job_id)["results"] == 2


def _shell() -> str:
    (block,) = [text for page, text in _shown("console") if page == "docs/client.md"]
    return block


def test_the_commands_of_the_client_run(tmp_path: Path) -> None:
    functions, *_ = [text for language, text in blocks("docs/client.md") if language == "python"]
    (tmp_path / "mine.py").write_text(functions)
    with Server(tmp_path / "jobs.db", target=str(tmp_path / "mine.py")) as server:
        for command in commands(_shell()):
            line, _, pipe = command.line.partition(" | ")
            if line.startswith(tuple(ELSEWHERE)):
                continue
            arguments = [str(COMMAND), *shlex.split(line)[1:], "--url", server.url]
            said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
            assert said
        assert pipe == "jq -r .jobId"  # a line of JSON for each job
        assert [json.loads(line)["type"] for line in said.splitlines()] == ["resize", "resize"]


def _allowing() -> str:
    (block,) = [text for page, text in _shown("console") if page == "docs/webhooks.md"]
    return block


def test_a_server_that_may_notify_is_started_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(Path(FUNCTIONS).read_text())
    lines = [command.line for command in commands(_allowing())]
    server = subprocess.Popen(
        ["bash", "-ec", "\n".join([*lines[:-1], f"exec {lines[-1]} --port 0"])],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    with server.stdout:
        url = server.stdout.readline().split()[-1]
        refused = httpx.post(f"{url}/jobs", json={"type": "add", "a": 1, "notify": "https://other.example.com/"})
        server.terminate()
        assert server.wait(timeout=60) == 0
    assert "other.example.com is not allowed" in refused.json()["message"]


def test_the_diagram_is_that_of_the_transition_table() -> None:
    drawn = (ROOT / "docs" / "lifecycle.svg").read_text()
    assert drawn == lifecycle.draw(), "run `make lifecycle`"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target, fragment in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert fragment in anchors, f"{target}#{fragment}"
