"""The frames between server and workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from asyncjob import durations
from asyncjob.job import Error, Progress
from asyncjob.runner import Failed, Postponed, Succeeded
from asyncjob.server.workers.channel import (
    Advanced,
    Cancel,
    Ended,
    Message,
    Ready,
    Run,
    Unbelievable,
    Unpacker,
    check,
    pack,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
ATTEMPTS = st.integers(1, 1_000)
PROGRESS = st.builds(Progress, st.floats(0, 1), st.just(UNSET) | TEXT)
ERRORS = st.builds(Error, TEXT, TEXT)
OUTCOMES = st.one_of(
    st.builds(Succeeded, st.binary(max_size=50)),
    st.builds(Failed, ERRORS, st.booleans()),
    st.builds(Postponed, ERRORS, st.floats(0, durations.MAX_SECONDS)),
)
MESSAGES = st.one_of(
    st.builds(Run, TEXT, ATTEMPTS, TEXT, st.binary()),
    st.builds(Cancel, TEXT, ATTEMPTS),
    st.builds(Ready),
    st.builds(Advanced, TEXT, ATTEMPTS, PROGRESS),
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
