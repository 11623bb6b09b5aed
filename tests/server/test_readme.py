"""Everything in the README is true: its commands are run, in order, and say what it shows."""

import re
from collections import Counter
from pathlib import Path

from tests.terminal import Terminal, commands, is_shown

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)]+)\)")


def _blocks(readme: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / readme).read_text())


def test_its_commands_do_what_it_shows(terminal: Terminal) -> None:
    run = 0
    for language, block in _blocks("README.md")[1:]:
        if language == "python":
            terminal.write(block)
            continue
        assert language == "console"
        for command in commands(block):
            said = terminal.run(command)
            assert is_shown(said, command.output), f"{command.line}\n{said}"
            run += 1
    assert run == 23


def test_its_two_commands_are_in_the_makefile() -> None:
    shown = [command.line.split()[:2] for command in commands(_blocks("README.md")[0][1])]
    assert shown == [["make", "run"], ["make", "test"]]
    for _, target in shown:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_japanese_one_is_kept_in_step() -> None:
    english, japanese = (ROOT / "README.md").read_text(), (ROOT / "README.ja.md").read_text()
    assert _blocks("README.ja.md") == _blocks("README.md")
    for mark in ("\n## ", "\n|", "\n- "):
        assert japanese.count(mark) == english.count(mark), mark
    links = [Counter(target for target in LINK.findall(text) if "README" not in target) for text in (english, japanese)]
    assert links[0] == links[1]


def test_its_table_names_every_page() -> None:
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    rows = re.findall(r"^\| \[\w+\]\((docs/[^)]+)\) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {*rows} == pages and len(rows) == len(pages)
