"""The frames between server and workers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from asyncjob import durations
from asyncjob.failure import MAX_TRACEBACK_CHARACTERS
from asyncjob.job import Error, Progress
from asyncjob.job_log import MAX_LINE_NUMBER
from asyncjob.runner import Failed, Postponed, Succeeded
from asyncjob.server.workers.channel import (
    MAX_FIELDS,
    Advanced,
    Cancel,
    Ended,
    Line,
    Logged,
    Message,
    Ready,
    Run,
    Said,
    Unbelievable,
    Unpacker,
    check,
    pack,
)
from asyncjob.server.workers.lines import LEVELS, MAX_LINE_CHARACTERS, MAX_LINES, MAX_LOGGER_CHARACTERS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
ATTEMPTS = st.integers(1, 1_000)
PROGRESS = st.builds(Progress, st.floats(0, 1), st.just(UNSET) | TEXT)
ERRORS = st.builds(Error, TEXT, TEXT)
OUTCOMES = st.one_of(
    st.builds(Succeeded, st.binary(max_size=50)),
    st.builds(Failed, ERRORS, st.booleans()),
    st.builds(Postponed, ERRORS, st.floats(0, durations.MAX_SECONDS)),
)
LINES = st.builds(
    Line, st.integers(1, MAX_LINE_NUMBER), st.integers(0, 2**50), st.sampled_from(LEVELS), TEXT, TEXT, TEXT
)
MESSAGES = st.one_of(
    st.builds(Run, TEXT, ATTEMPTS, TEXT, st.binary()),
    st.builds(Cancel, TEXT, ATTEMPTS),
    st.builds(Ready),
    st.builds(Advanced, TEXT, ATTEMPTS, PROGRESS),
    st.builds(Logged, TEXT, ATTEMPTS, st.lists(LINES, max_size=5)),
    st.builds(Said, st.sampled_from(LEVELS), TEXT, st.dictionaries(TEXT, TEXT | st.integers(-9, 9), max_size=3)),
    st.builds(Ended, TEXT, ATTEMPTS, OUTCOMES),
)


@given(batches=st.lists(st.lists(MESSAGES)), size=st.integers(1, 100))
def test_messages_arrive_as_they_were_sent_however_the_bytes_are_cut(batches: list[list[Message]], size: int) -> None:
    stream = b"".join(pack(batch) for batch in batches)
    unpacker = Unpacker()
    received = [
        message for start in range(0, len(stream), size) for message in unpacker.feed(stream[start : start + size])
    ]
    assert received == [message for batch in batches for message in batch]


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), durations.MAX_SECONDS + 1.0])
def test_a_pause_that_no_function_can_ask_for_is_not_believed(seconds: float) -> None:
    with pytest.raises(Unbelievable):
        check([Ended("1", 1, Postponed(Error("RetryLater", ""), seconds))])


LINE = Line(1, 0, LEVELS[0], "mine", "said")


@pytest.mark.parametrize(
    "lines",
    [
        [msgspec.structs.replace(LINE, message="x" * (MAX_LINE_CHARACTERS + 2))],
        [msgspec.structs.replace(LINE, logger="x" * (MAX_LOGGER_CHARACTERS + 2))],
        [msgspec.structs.replace(LINE, traceback="x" * (MAX_TRACEBACK_CHARACTERS + 1))],
        [msgspec.structs.replace(LINE, level=0)],
        [msgspec.structs.replace(LINE, number=0)],
        [msgspec.structs.replace(LINE, number=MAX_LINE_NUMBER + 1)],
        [LINE] * (2 * MAX_LINES + 1),
    ],
    ids=["message", "logger", "traceback", "level", "none", "beyond", "too many"],
)
def test_lines_that_no_worker_writes_are_not_believed(lines: list[Line]) -> None:
    with pytest.raises(Unbelievable):
        check([Logged("1", 1, lines)])


@pytest.mark.parametrize(
    "said",
    [
        Said(1, "", {}),
        Said(LEVELS[0], "x" * (MAX_TRACEBACK_CHARACTERS + 1), {}),
        Said(LEVELS[0], "", {"error": "x" * (MAX_TRACEBACK_CHARACTERS + 1)}),
        Said(LEVELS[0], "", {"x" * (MAX_TRACEBACK_CHARACTERS + 1): 1}),
        Said(LEVELS[0], "", {str(number): number for number in range(MAX_FIELDS + 1)}),
    ],
    ids=["level", "message", "value", "name", "fields"],
)
def test_words_of_a_workers_own_that_none_has_are_not_believed(said: Said) -> None:
    with pytest.raises(Unbelievable):
        check([said])
