"""The job, its statuses and the transition table."""

import re
import time

from asyncjob.job import FINAL, TRANSITIONS, Status, Transition, new_job_id, utc_now
from asyncjob.sqlite.statements import SQL


def test_only_an_explicit_retry_leaves_a_final_status() -> None:
    leaving = {transition.name for transition in TRANSITIONS.values() if transition.sources & FINAL}
    assert leaving == {"retry"}


def test_every_status_but_pending_is_reached_and_none_is_a_dead_end() -> None:
    assert {transition.target for transition in TRANSITIONS.values()} == set(Status)
    assert {status for transition in TRANSITIONS.values() for status in transition.sources} == set(Status)


def test_a_job_that_goes_back_to_pending_begins_its_next_attempt() -> None:
    for transition in TRANSITIONS.values():
        assert transition.next_attempt == (transition.target is Status.PENDING)


def test_every_transition_is_one_guarded_statement_and_nothing_else_writes_a_status() -> None:
    for transition in TRANSITIONS.values():
        _assert_guarded(SQL[transition.name], transition)
    for name, text in SQL.items():
        statement = text
        for each in TRANSITIONS:  # inside a trigger, the same statement is guarded as it is outside
            statement = statement.replace(re.sub(r":(\w+)", rf"NEW.{each}_\1", SQL[each]), "")
        if name not in TRANSITIONS and "UPDATE" in statement:
            assert not re.search(r"SET[^;]*\bstatus =", statement.split("WHERE")[0]), name
        assert "{set}" not in statement
        assert "{guard}" not in statement


def _assert_guarded(statement: str, transition: Transition) -> None:
    written, _, guard = statement.partition("WHERE")
    assert f"status = '{transition.target}'" in written
    assert ("attempt = attempt + 1" in written) == transition.next_attempt
    sources = re.findall(r"status IN \(([^)]*)\)", guard)  # the last condition
    assert {frozenset(re.findall(r"'(\w+)'", source)) for source in sources} == {transition.sources}
    assert (
        re.search(r"attempt = (:attempt|row.value ->> 1)", guard) or transition.name == "claim"
    )  # which takes what waits, whatever its attempt


def test_made_ids_are_version_7_uuids_and_their_order_is_that_of_time() -> None:
    before = time.time_ns() // 1_000_000
    first = new_job_id()
    time.sleep(0.002)
    second = new_job_id()
    for job_id in (first, second):
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", job_id)
    assert first < second
    assert before <= int(first[:8] + first[9:13], 16) <= time.time_ns() // 1_000_000


def test_times_are_utc_with_milliseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_now())
