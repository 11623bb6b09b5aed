"""What a `Prefer` says (RFC 7240), and that nothing in one is an error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjob.server.http.preferences import MAX_PREFER_BYTES, Preferences, applied, preferences
from asyncjob.server.http.requests import Request, by_name


def _read(*prefer: bytes, query: bytes = b"") -> Preferences:
    headers = by_name([(b"host", b"a"), *((b"prefer", value) for value in prefer)])
    nothing: Any = None  # of the rest of a request
    return preferences(Request(nothing, nothing, b"", "GET", "", "id", headers, query, nothing, nothing))


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("wait=10", (10, False)),
        ("WAIT = 10", (10, False)),
        ('wait="10"', (10, False)),
        ("respond-async", (None, True)),
        ('Respond-Async=""', (None, True)),
        ("respond-async, wait=5", (5, True)),
        ("wait=5; a=b; c,respond-async;x", (5, True)),
        ('handling=lenient, foo="a, wait=3\\" ", wait=7', (7, False)),
        ("wait=1, wait=2", (1, False)),
        ("wait=x, wait=2", (None, False)),
        ("wait=61", (60, False)),
        ("wait=0", (0, False)),
        ("wait", (None, False)),
        ("wait=-1", (None, False)),
        ("wait=1.5", (None, False)),
        ("wait=1 2", (None, False)),
        ("wait=" + "9" * 500, (None, False)),
        ("respond-async=yes", (None, False)),
        ("return=minimal", (None, False)),
        (", ,;=,wait=3,", (3, False)),
        ('"', (None, False)),
        ("", (None, False)),
    ],
)
def test_what_is_known_is_read_and_the_rest_is_ignored(prefer: str, expected: tuple[int | None, bool]) -> None:
    assert _read(prefer.encode()) == expected


def test_several_lines_are_one_list() -> None:
    assert _read(b"respond-async", b"wait=4") == (4, True)


def test_the_query_wins() -> None:
    assert _read(b"wait=4", query=b"wait=1") == (None, False)


@given(st.binary(max_size=MAX_PREFER_BYTES + 10))
def test_nothing_in_it_is_an_error(prefer: bytes) -> None:
    wait, _ = _read(prefer)
    assert wait is None or 0 <= wait <= 60


def test_an_answer_says_what_it_has_followed() -> None:
    assert applied(5, True) == [(b"preference-applied", b"wait=5, respond-async")]
    assert applied(None) == []
