"""Every block of code in docs/ is run, or says above itself why it cannot be.

The README's blocks are run by test_readme.py, in order and all of them; what it has too is not run again here. Above a
block may stand a comment, which no reader of the rendered page sees:

    <!-- not run: it needs an AWS account -->
    <!-- before: $ asyncjob serve -->       what is typed, or ^C, before the block; its output is not looked at
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from asyncjob.sqlite.database import Database
from asyncjob.sqlite.statements import SQL
from tests.serving import Server
from tests.terminal import CTRL_C, Command, Terminal, commands, is_shown

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
CLIENT = DOCS / "client.md"  # whose code wants a server
TESTING = DOCS / "testing.md"  # whose code wants a file beside it
WEBHOOKS = DOCS / "webhooks.md"  # whose code wants a notification: test_webhooks.py
CELERY = DOCS / "celery.md"  # whose code wants a server too: test_moves.py
FASTAPI = DOCS / "fastapi.md"  # whose files import each other
OTHERWISE_RUN = (CLIENT, TESTING, WEBHOOKS, CELERY, FASTAPI)
BLOCK = re.compile(r"(?:^<!-- (not run|before): ((?:(?!-->).)*)-->\n+)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# \w+\.py\n")
CHECKED = ("python", "console", "json", "yaml", "sql")  # by a test below
DRAWINGS = ("text",)


class Block(NamedTuple):
    """A block of a page: its language, its text, and what stands above it, which is a word and what follows it."""

    page: Path
    language: str
    code: str
    word: str
    said: str


def _blocks(page: Path) -> list[Block]:
    found = BLOCK.findall(page.read_text())
    return [Block(page, language, code, word, said.strip()) for word, said, language, code in found]


PAGES = sorted(DOCS.glob("*.md"))
BLOCKS = [block for page in PAGES for block in _blocks(page)]
IN_README = {command.line for block in _blocks(ROOT / "README.md") for command in commands(block.code)}
RUN = [block for block in BLOCKS if block.word != "not run"]
CONSOLE = [block for block in RUN if block.language == "console"]


def _of(language: str, blocks: Iterable[Block] = RUN) -> list[Block]:
    return [block for block in blocks if block.language == language]


def _name(block: Block) -> str:
    return f"{block.page.name}-{_blocks(block.page).index(block)}"


@pytest.mark.parametrize("block", BLOCKS, ids=_name)
def test_every_block_can_be_run_or_says_why_not(block: Block) -> None:
    assert block.language in (*CHECKED, *DRAWINGS), "say what it is, or see above how to say that it cannot be run"
    if block.word == "not run":
        assert block.language == "console", "anything else can be checked"
        assert len(block.said.split()) > 2, "say why"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_there_is_no_block_that_is_not_seen_here(page: Path) -> None:
    text = page.read_text()
    assert len(re.findall("^```", text, re.MULTILINE)) == 2 * len(_blocks(page))
    assert text.count("<!--") == sum(bool(block.word) for block in _blocks(page)), "a comment that is above no block"
    assert not re.search(r"\n\n(?: {4}|\t)\S", BLOCK.sub("", text)), "an indented block has no language"
    assert "~~~" not in text


@pytest.mark.parametrize("page", sorted({block.page for block in CONSOLE}), ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_they_show(page: Path, terminal: Terminal) -> None:
    for block in _of("python", _blocks(page)):
        if FILE.match(block.code):
            terminal.write(block.code)
    for block in CONSOLE:
        shown = list(commands(block.code))
        assert shown, "a command begins with `$ `"
        if block.page != page or {command.line for command in shown} <= IN_README:
            continue
        for line in block.said.splitlines():
            terminal.run(Command(line if line == CTRL_C else line.removeprefix("$ "), ""))
        for command in shown:
            said = terminal.run(command)
            assert is_shown(said, command.output), f"{command.line}\n{said}"


@pytest.mark.parametrize("block", [one for one in _of("python") if one.page not in OTHERWISE_RUN], ids=_name)
def test_the_code_of_a_page_registers_functions(block: Block, tmp_path: Path) -> None:
    done = _run(f"{block.code}\nassert len(jobs) > 0", tmp_path)  # by itself: some of it changes its whole process
    assert done.returncode == 0, done.stderr


def test_the_code_of_the_client_does_what_it_says(tmp_path: Path) -> None:
    functions, *uses = [block.code for block in _of("python") if block.page == CLIENT]
    target = tmp_path / "mine.py"
    target.write_text(functions)
    with Server(tmp_path / "jobs.db", target=str(target)) as server:
        for use in uses:
            code = use.replace("http://127.0.0.1:8000", server.url).replace(
                "AsyncClient()", f"AsyncClient({server.url!r})"
            )
            done = _run(code, tmp_path)
            assert done.returncode == 0, done.stderr
            assert "{'pixels': 64000}" in done.stdout
        assert len(uses) == 4
        assert len(server.client.get("/jobs?limit=1000&status=Success").json()["jobs"]) == 104


def test_the_code_for_tests_does_what_it_says(tmp_path: Path) -> None:
    functions, *uses = [block.code for block in _of("python") if block.page == TESTING]
    (tmp_path / "mine.py").write_text(functions)
    assert len(uses) == 2
    for use in uses:
        done = _run(use, tmp_path)
        assert done.returncode == 0, done.stderr


def test_the_files_of_an_application_can_be_imported_and_start_nothing(tmp_path: Path) -> None:
    sources = [block.code for block in _of("python") if block.page == FASTAPI]
    names = [source.splitlines()[0].removeprefix("# ") for source in sources]
    for name, source in zip(names, sources, strict=True):
        (tmp_path / name).write_text(source)
    assert {"main.py", "test_reports.py"} < set(names)
    for name in names:
        done = _run(f"import {name.removesuffix('.py')}", tmp_path)
        assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} - {"__pycache__"} == set(names)


def _run(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("block", _of("json") + _of("yaml"), ids=_name)
def test_data_can_be_read(block: Block) -> None:
    assert json.loads(block.code) if block.language == "json" else yaml.safe_load(block.code)


@pytest.mark.parametrize("block", _of("sql"), ids=_name)
def test_sql_is_what_the_file_understands_and_what_writes_is_what_the_engine_says(block: Block, tmp_path: Path) -> None:
    database = Database(tmp_path / "jobs.db")
    connection = database.connect()
    try:
        connection.execute(block.code, dict.fromkeys(re.findall(r":(\w+)", block.code)))
    finally:
        connection.close()
        database.close()
    said = {" ".join(sql.rstrip(";").split()) for sql in SQL.values()}
    assert block.code.startswith("SELECT") or " ".join(block.code.rstrip().rstrip(";").split()) in said


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "README.ja.md"], ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if not path.startswith("https://"):
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not anchor or anchor in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
