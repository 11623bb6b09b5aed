"""Event source mappings of a stream, against what Lambda documents; each test names the page, in
docs.aws.amazon.com/lambda/latest/dg/ (event_sources.py has the whole list)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.streams import SHARDS
from tests.aws.double_stack import STREAM_RIGHTS, Small, allow, arn, put, role


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def flat(small: Small) -> list[str]:
    return [job_id for batch in small.batches() for job_id in batch]


def test_lambda_asks_a_shard_four_times_a_second_and_not_in_vain(small: Small) -> None:
    """with-ddb.html: Lambda polls shards at a base rate of 4 times per second."""
    with small.mapped().deployed() as double:
        begun = double.clock.now()
        put(double, "a")
        double.advance(1)
        (call,) = small.calls()
        assert call["at"] >= begun and double.mapping("Source").polls == 1
        double.advance(86_400)
        assert double.mapping("Source").polls == 1 and small.batches() == [["a"]]
        assert double.mapping("Source").last_result == "OK"


def test_a_batch_has_at_most_its_size_and_the_changes_of_an_item_in_order(small: Small) -> None:
    """with-ddb.html: one batch at a time per shard, in order. services-ddb-params.html: BatchSize."""
    with small.mapped(BatchSize=2).deployed() as double:
        for attempt in range(5):
            put(double, "a", attempt={"N": str(attempt)})
        double.advance(5)
        assert [len(batch) for batch in small.batches()] == [2, 2, 1]
        records = [record for event in small.events() for record in event["Records"]]
        images = [record["dynamodb"]["NewImage"]["attempt"]["N"] for record in records]
        assert images == ["0", "1", "2", "3", "4"]


def test_a_batch_is_no_larger_than_an_event_may_be(small: Small) -> None:
    """with-ddb.html: up to the payload limit of 6 MB. With old and new image of 390 KB, 8 records are over it."""
    with small.mapped(Enabled=False).deployed() as double:
        for attempt in range(12):
            put(double, "a", attempt={"N": str(attempt)}, parameters={"S": "x" * 390_000})
        double.enable("Source")
        double.advance(5)
        assert [len(batch) for batch in small.batches()] == [8, 4]


def test_a_batching_window_gathers_records_until_it_is_over_or_the_batch_is_full(small: Small) -> None:
    """with-ddb.html, invocation-eventsourcemapping.html: MaximumBatchingWindowInSeconds."""
    with small.mapped(MaximumBatchingWindowInSeconds=30, BatchSize=3).deployed() as double:
        put(double, "a")
        double.advance(10)
        put(double, "a", x={"S": "1"})
        double.advance(10)
        assert small.batches() == []
        double.advance(12)
        assert small.batches() == [["a", "a"]]
        for number in range(3):
            put(double, "a", y={"N": str(number)})
        double.advance(2)
        assert small.batches()[1:] == [["a", "a", "a"]]


@pytest.mark.parametrize(("position", "expected"), [("TRIM_HORIZON", ["early", "late"]), ("LATEST", ["late"])])
def test_a_mapping_begins_where_it_is_told(small: Small, position: str, expected: list[str]) -> None:
    """services-ddb-params.html: StartingPosition. With LATEST, what was written before its start is never read."""
    with small.mapped(StartingPosition=position, Enabled=False).deployed() as double:
        put(double, "early")
        double.advance(5)
        assert small.batches() == []
        double.enable("Source")
        put(double, "late")
        double.advance(5)
        assert sorted(flat(small)) == expected


def test_only_what_a_filter_wants_reaches_the_function(small: Small) -> None:
    """with-ddb-filtering.html; filters are alternatives."""
    patterns = [
        {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"NewImage": {"status": {"S": ["Pending"]}}}},
        {"eventName": ["REMOVE"]},
    ]
    criteria = {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}
    with small.mapped(FilterCriteria=criteria).deployed() as double:
        for status in ("Running", "Pending", "Success"):
            put(double, "a", status={"S": status})
        double.client("dynamodb").delete_item(TableName="Jobs", Key={"jobId": {"S": "a"}})
        double.advance(5)
        records = [record for event in small.events() for record in event["Records"]]
        assert [record["eventName"] for record in records] == ["MODIFY", "REMOVE"]


def test_a_batch_may_come_twice_without_any_error(small: Small) -> None:
    """with-ddb.html: event source mappings process each event at least once, and duplicates can occur."""
    with small.mapped().deployed() as double:
        double.mapping("Source").deliver_twice()
        put(double, "a")
        double.advance(5)
        put(double, "a", x={"S": "1"})
        double.advance(5)
        first, again, _ = small.events()
        assert first == again


def test_shards_do_not_wait_for_each_other(small: Small) -> None:
    """with-ddb.html: the order is kept in a shard; a failure holds up its shard alone."""
    with small.mapped().deployed() as double:
        small.fails_on('"bad"')
        put(double, "bad", *(f"j{number}" for number in range(8 * SHARDS)))
        double.advance(30)
        reached = set(flat(small))
        shards = double.stream("Jobs").shards
        (blocked,) = [s for s in shards if any('"bad"' in r.key for r in s.records)]
        others = {json.loads(r.key)["jobId"]["S"] for s in shards if s is not blocked for r in s.records}
        assert others and others <= reached


def test_parallel_batches_of_a_shard_keep_the_order_of_each_item(small: Small) -> None:
    """with-ddb.html: ParallelizationFactor; order at the level of the partition key."""
    with small.mapped(ParallelizationFactor=2, BatchSize=1).deployed() as double:
        for attempt in range(3):
            put(double, *(f"j{number}" for number in range(6)), attempt={"N": str(attempt)})
        double.advance(30)
        seen: dict[str, list[str]] = {}
        for event in small.events():
            change = event["Records"][0]["dynamodb"]
            seen.setdefault(change["Keys"]["jobId"]["S"], []).append(change["NewImage"]["attempt"]["N"])
        assert seen == {f"j{number}": ["0", "1", "2"] for number in range(6)}


@pytest.mark.parametrize("missing", STREAM_RIGHTS)
def test_a_role_without_a_right_of_the_stream_reads_nothing_and_it_shows(small: Small, missing: str) -> None:
    """with-ddb.html, "Execution role permissions"."""
    rights = [right for right in STREAM_RIGHTS if right != missing]
    small.resources["ReaderRole"] = role(allow(rights, arn("Jobs", "StreamArn")))
    with small.mapped().deployed() as double:
        put(double, "a")
        double.advance(3_600)
        assert small.batches() == []
        assert missing in double.services.refused[0]
        assert double.mapping("Source").last_result.startswith("PROBLEM: User: arn:aws:sts:")


def test_every_right_of_the_role_is_used(small: Small) -> None:
    mapped = small.mapped(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn("Failed")}})
    with mapped.deployed() as double, double.broken("reader"):
        put(double, "a")
        double.advance(5)
        assert double.policies.unused() == []


@pytest.mark.parametrize(
    "change",
    [
        {"BatchSize": 0},
        {"BatchSize": 10_001},
        {"MaximumBatchingWindowInSeconds": 301},
        {"ParallelizationFactor": 11},
        {"StartingPosition": "AT_TIMESTAMP"},
        {"TumblingWindowInSeconds": 5},
        {"EventSourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/Jobs/stream/2020"},
        {"FunctionName": "nobody"},
        {"FunctionResponseTypes": ["All"]},
        {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sns:us-east-1:123456789012:t"}}},
        {"FilterCriteria": {"Filters": [{"Pattern": '{"eventName": "INSERT"}'}]}},
    ],
)
def test_a_mapping_that_is_refused_or_not_known_is_no_stack(small: Small, change: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match="Source"), small.mapped(**change).deployed():
        pass
