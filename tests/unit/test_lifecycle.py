"""The picture of a job's life is the one that the transition table draws, and the page tells of each transition."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from asyncjob.job import TRANSITIONS, Status, Transition
from tests import lifecycle

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_committed_picture_is_what_the_table_draws() -> None:
    assert (DOCS / "lifecycle.svg").read_text() == lifecycle.draw(), "run `make lifecycle`"


def test_the_picture_names_every_status_and_every_transition() -> None:
    texts = [
        text.text or "" for text in ElementTree.fromstring(lifecycle.draw()).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {*Status} <= {*texts}
    assert {*TRANSITIONS} <= {name for text in texts for name in text.split(", ")}


def test_a_transition_that_has_no_place_is_an_error_and_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    back = Transition("undo", frozenset({Status.SUCCESS}), Status.RUNNING)
    monkeypatch.setitem(TRANSITIONS, "undo", back)
    with pytest.raises(ValueError, match="to be placed"):
        lifecycle.draw()


def test_the_page_describes_each_transition_as_the_table_has_it() -> None:
    page = (DOCS / "lifecycle.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\w+) \| (yes|no) \|", page, re.MULTILINE)
    described = {name: (frozenset(sources.split(", ")), target, following) for name, sources, target, following in rows}
    assert described == {
        name: (frozenset(map(str, one.sources)), str(one.target), "yes" if one.next_attempt else "no")
        for name, one in TRANSITIONS.items()
    }
