"""What docs/ say of commands, options and errors is so, and the page at /docs needs nothing but the server."""

import gzip
import os
import re
import signal
import textwrap
from pathlib import Path

import pytest
import typer.core
import typer.main

from asyncjob.cli import app
from asyncjob.client import errors
from tests.server.conftest import wait_for
from tests.serving import Server

DOCS = Path(__file__).parent.parent.parent / "docs"
CLIENT = DOCS / "client.md"
LOCAL = DOCS / "local.md"


def test_the_tree_of_errors_is_the_one_that_is_raised() -> None:
    tree = CLIENT.read_text().split("```text\n")[1].split("```")[0]
    assert textwrap.indent(tree, "    ") in (errors.__doc__ or "")
    drawn = set(re.findall(r"^\W*(\w+)", tree, re.MULTILINE))
    raised = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert drawn == raised


COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_with_its_options(name: str) -> None:
    _, common, *sections = re.split(r"^(?=### asyncjob |## The command line)", CLIENT.read_text(), flags=re.MULTILINE)
    (section,) = [section for section in sections if section.startswith(f"### asyncjob {name}\n")]
    parts = [section] if name in ("backup", "build", "replay", "serve") else [common, section]
    if name == "serve":  # whose options are the server's operator's
        parts = [LOCAL.read_text()]
    for command in getattr(COMMANDS[name], "commands", {name: COMMANDS[name]}).values():
        assert command is COMMANDS[name] or f"asyncjob {name} {command.name}" in section
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    assert any(re.search(rf"(?<![\w-]){option}(?![\w-])", part) for part in parts), option


def test_the_table_of_options_is_what_serve_takes() -> None:
    rows = re.findall(r"^\| `(--[\w-]+)` \| `(\w+)` \| (.*?) \|", LOCAL.read_text(), re.MULTILINE)
    options = [one for one in COMMANDS["serve"].params if one.opts[0].startswith("--") and one.name != "help"]
    assert rows == [(option.opts[0], option.envvar, _default(option)) for option in options]


def _default(option: typer.core.TyperOption) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    if isinstance(option.default, bool):
        return "on" if option.default else "off"
    if isinstance(option.default, int):
        return str(option.default) if option.name == "port" else f"{option.default:,}"
    if isinstance(option.default, float):
        return f"{option.default:,g}"
    return str(option.default)


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^### asyncjob ([\w-]+)$", CLIENT.read_text(), re.MULTILINE)) == set(COMMANDS)


def test_the_page_needs_nothing_from_the_internet_and_runs_no_inline_script(server: Server) -> None:
    answer = server.client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert not re.findall(r"https?://", answer.text)
    assert not re.findall(r"<script>|\son\w+=", answer.text)
    paths = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', answer.text)  # as seen from /docs
    assert "docs/swagger-ui.css" in paths
    for path in paths:
        assert server.client.get(f"/{path}").status_code == 200
    assert '"openapi.json"' in server.client.get("/docs/docs.js").text


def test_the_pages_files_are_sent_compressed_to_who_can_read_that(server: Server) -> None:
    compressed = server.client.get("/docs/swagger-ui.css", headers={"accept-encoding": "gzip"})
    plain = server.client.get("/docs/swagger-ui.css", headers={"accept-encoding": "identity"})
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert plain.text == compressed.text
    assert len(gzip.compress(plain.content)) < len(plain.content)
    assert server.client.get("/docs/nothing.js").status_code == 404
    assert server.client.get("/docs/docs.html").status_code == 404


def test_the_health_of_a_server_can_be_asked(server: Server) -> None:
    wait_for(lambda: server.client.get("/healthz").status_code == 200, "a worker")
    assert server.client.get("/healthz").json() == {"status": "ok"}


def test_a_server_without_a_worker_says_so_and_takes_jobs_all_the_same(tmp_path: Path) -> None:
    target = tmp_path / "mine.py"
    source = "from asyncjob import Jobs\njobs = Jobs()\n@jobs.job\ndef answer() -> int:\n    return 42\n"
    target.write_text(source)
    with Server(tmp_path / "jobs.db", "--workers", "1", target=str(target)) as server:
        wait_for(lambda: server.client.get("/healthz").status_code == 200, "a worker")
        target.write_text("import nowhere")  # saved while the server runs
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        wait_for(lambda: server.client.get("/healthz").status_code == 503, "the loss of the worker")
        assert server.client.get("/healthz").json() == {"message": "no worker is ready"}
        job_id = server.submit("answer")
        target.write_text(source)
        assert server.result(job_id)["results"] == 42
