"""Everything in the README is true: its commands are run, in order, and say what it shows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.terminal import ROOT, Terminal, blocks, commands

# What differs from run to run, and what stands for it.
VOLATILE = [
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z"), "TIME"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"), "DATE"),
    (re.compile(r"^(  database  ).*", re.MULTILINE), r"\1FILE"),
    (re.compile(r"^(  workers   )\d+ process(es)?", re.MULTILINE), r"\1N processes"),
    (re.compile(r'"status":"(Pending|Running)"'), '"status":"Running"'),
    (re.compile(r'("createdAt":"TIME")(?!,"startedAt")'), r'\1,"startedAt":"TIME"'),
]


def _stable(text: str) -> str:
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    return text.replace("\r\n", "\n").strip("\n")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.stop()


def test_its_commands_do_what_it_shows(terminal: Terminal) -> None:
    run = 0
    for language, block in blocks("README.md")[1:]:
        if language == "python":
            terminal.write(block)
            continue
        assert language == "console"
        for command in commands(block):
            assert _stable(terminal.run(command)) == _stable(command.output), command.line
            run += 1
    assert run == 19


def test_its_two_commands_are_in_the_makefile() -> None:
    shown = [command.line.split()[:2] for command in commands(blocks("README.md")[0][1])]
    assert shown == [["make", "run"], ["make", "test"]]
    for _, target in shown:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_japanese_one_is_kept_in_step() -> None:
    english, japanese = (ROOT / "README.md").read_text(), (ROOT / "README.ja.md").read_text()
    assert blocks("README.ja.md") == blocks("README.md")
    for mark in ("\n## ", "\n|", "\n- ", "]("):
        assert japanese.count(mark) == english.count(mark), mark


def test_its_links_lead_somewhere() -> None:
    for readme in ("README.md", "README.ja.md"):
        for target in re.findall(r"\]\(([^)]+)\)", (ROOT / readme).read_text()):
            assert (ROOT / target).exists(), target
