"""Event source mappings of a stream, against what Lambda documents; each test names the page, in
docs.aws.amazon.com/lambda/latest/dg/ (event_sources.py has the whole list)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.double import Double
from tests.aws.double.streams import SHARDS
from tests.aws.double_stack import STREAM_RIGHTS, Small, allow, arn, role


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def same_shard(double: Double, count: int) -> list[str]:
    """Make jobs until so many are in the first shard, and return those: one batch, if the mapping is off till then."""
    shards = double.stream("Jobs").shards
    found: list[str] = []
    number = 0
    while len(found) < count:
        before = shards[0].end
        put(double, f"j{number}")
        if shards[0].end > before:
            found.append(f"j{number}")
        number += 1
    return found


def put(double: Double, *job_ids: str, **attributes: Any) -> None:
    for job_id in job_ids:
        double.client("dynamodb").put_item(TableName="Jobs", Item={"jobId": {"S": job_id}, **attributes})


def failures(double: Double) -> list[dict[str, Any]]:
    return [json.loads(body) for body in double.messages()]


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
    """with-ddb.html: up to the payload limit of 6 MB. Old and new image of 390 KB: 7 records fit."""
    with small.mapped().deployed() as double:
        for attempt in range(12):
            put(double, "a", attempt={"N": str(attempt)}, parameters={"S": "x" * 390_000})
        double.advance(5)
        assert sum(map(len, small.batches())) == 12
        assert max(map(len, small.batches())) <= 8


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


def test_a_failed_batch_comes_again_until_its_retries_are_used_up_and_blocks_its_shard_till_then(
    small: Small,
) -> None:
    """services-dynamodb-errors.html: MaximumRetryAttempts; processing goes on after the batch was discarded."""
    mapped = small.mapped(MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": arn("Failed")}})
    with mapped.deployed() as double:
        with double.broken("reader"):
            put(double, "a")
            double.advance(2)
            put(double, "a", x={"S": "1"})
            double.advance(3_600)
            assert small.batches() == []
        put(double, "a", x={"S": "2"})
        double.advance(5)
        assert small.batches() == [["a"]]
        first, second = sorted(failures(double), key=lambda record: str(record["timestamp"]))
    assert first["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert first["requestContext"]["approximateInvokeCount"] == 3
    assert second["DDBStreamBatchInfo"]["batchSize"] == 1


def test_the_record_of_a_failure_says_where_the_records_were_and_nothing_of_what_was_in_them(small: Small) -> None:
    """services-dynamodb-errors.html, "Example SQS/SNS event"."""
    mapped = small.mapped(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn("Failed")}})
    with mapped.deployed() as double, double.broken("reader"):
        put(double, "a", secret={"S": "word"})
        double.advance(5)
        (body,) = double.messages()
        (record,) = double.stream("Jobs").records
    assert "word" not in body
    told = json.loads(body)
    moments = [told["DDBStreamBatchInfo"].pop(f"approximateArrivalOf{which}Record") for which in ("First", "Last")]
    assert all(len(moment) == len("2019-11-14T00:13:19Z") for moment in moments)
    assert len(told.pop("timestamp")) == len("2019-11-14T00:13:49.717Z")
    assert len(told["requestContext"].pop("requestId")) == 36
    assert told == {
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:reader",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": told["DDBStreamBatchInfo"]["shardId"],
            "startSequenceNumber": record.sequence_number,
            "endSequenceNumber": record.sequence_number,
            "batchSize": 1,
            "streamArn": double.stream("Jobs").arn,
        },
    }


def test_without_a_bound_a_bad_record_blocks_its_shard_for_a_day(small: Small) -> None:
    """services-dynamodb-errors.html: with the default settings, for up to one day, until the record expires."""
    with small.mapped().deployed() as double:
        small.fails_on("poison")
        put(double, "a", x={"S": "poison"})
        double.advance(1)
        small.fails_on("nothing else")
        with double.broken("reader"):
            put(double, "a", x={"S": "innocent"})
            double.advance(80_000)
            assert len(small.batches()) == 1
            double.advance(86_400)
        put(double, "a", x={"S": "later"})
        double.advance(100)
        assert len(small.batches()) == 2  # the innocent one has expired as well


def test_records_over_their_age_are_given_up(small: Small) -> None:
    """services-ddb-params.html: MaximumRecordAgeInSeconds. The condition was seen by users of the real service."""
    mapped = small.mapped(
        MaximumRecordAgeInSeconds=600, DestinationConfig={"OnFailure": {"Destination": arn("Failed")}}
    )
    with mapped.deployed() as double, double.broken("reader"):
        put(double, "a")
        double.advance(500)
        assert failures(double) == []
        double.advance(200)
        (record,) = failures(double)
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"


def test_a_throttled_call_is_no_try_and_is_made_again_until_the_age(small: Small) -> None:
    """services-dynamodb-errors.html, "Before invocation"."""
    mapped = small.mapped(
        MaximumRetryAttempts=0,
        MaximumRecordAgeInSeconds=600,
        DestinationConfig={"OnFailure": {"Destination": arn("Failed")}},
    )
    with mapped.deployed() as double:
        double.call(lambda: double.functions.throttle("reader"))
        put(double, "a")
        double.advance(500)
        assert double.mapping("Source").last_result == "PROBLEM: Rate Exceeded."
        double.call(lambda: double.functions.throttle("reader", on=False))
        double.advance(70)
        assert small.batches() == [["a"]] and failures(double) == []
        double.call(lambda: double.functions.throttle("reader"))
        put(double, "a", x={"S": "1"})
        double.advance(700)
        (record,) = failures(double)
    assert record["requestContext"]["approximateInvokeCount"] == 0 and "responseContext" not in record


def test_bisecting_finds_the_bad_record_and_spares_the_others(small: Small) -> None:
    """services-dynamodb-errors.html: BisectBatchOnFunctionError; splitting does not consume the retry quota."""
    mapped = small.mapped(
        Enabled=False,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn("Failed")}},
    )
    with mapped.deployed() as double:
        ids = same_shard(double, 8)
        small.fails_on(f'"jobId": {{"S": "{ids[5]}"}}')
        double.enable("Source")
        double.advance(200)
        batches = [batch for batch in small.batches() if set(batch) & set(ids)]
        (record,) = failures(double)
    assert batches[:2] == [ids, ids[:4]]
    assert [batch for batch in batches if ids[5] in batch] == [ids, ids[4:], ids[4:6], [ids[5]], [ids[5]]]
    assert {batch[0] for batch in batches if ids[5] not in batch} == {ids[0], ids[4], ids[6]}
    assert record["DDBStreamBatchInfo"]["batchSize"] == 1
    assert record["requestContext"]["approximateInvokeCount"] == 2


def reported(double: Double, small: Small, place: int) -> list[str]:
    """Make eight jobs of one batch, of which the function reports one as failed, and let time pass."""
    ids = same_shard(double, 8)
    numbers = {
        record.event["dynamodb"]["Keys"]["jobId"]["S"]: record.sequence_number
        for record in double.stream("Jobs").records
    }
    identifiers = [numbers[ids[-1]], numbers[ids[place]]]
    small.answers({"batchItemFailures": [{"itemIdentifier": number} for number in identifiers]})
    double.enable("Source")
    double.advance(300)
    return ids


def test_of_the_records_that_are_reported_the_first_one_is_where_the_batch_goes_on(small: Small) -> None:
    """services-ddb-batchfailurereporting.html: the lowest sequence number is the checkpoint; all from there on come
    again, and are given up together: also those that have not failed."""
    mapped = small.mapped(
        Enabled=False,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=2,
        DestinationConfig={"OnFailure": {"Destination": arn("Failed")}},
    )
    with mapped.deployed() as double:
        ids = reported(double, small, 3)
        batches = [batch for batch in small.batches() if set(batch) & set(ids)]
        assert batches == [ids, ids[3:], ids[3:]]
        shard = double.stream("Jobs").shards[0].id
        (record,) = [told for told in failures(double) if told["DDBStreamBatchInfo"]["shardId"] == shard]
    assert record["DDBStreamBatchInfo"]["batchSize"] == 5
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (None, 1),
        ({}, 1),
        ({"batchItemFailures": []}, 1),
        ({"batchItemFailures": None}, 1),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, 2),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, 2),
        ({"batchItemFailures": [{"wrong": "1"}]}, 2),
    ],
)
def test_an_answer_is_a_success_or_the_failure_of_the_whole_batch(small: Small, answer: Any, tries: int) -> None:
    """services-ddb-batchfailurereporting.html, "Success and failure conditions"."""
    mapped = small.mapped(FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=1)
    with mapped.deployed() as double:
        small.answers(answer)
        put(double, "a")
        double.advance(60)
        assert small.batches() == [["a"]] * tries


def test_without_the_response_type_what_the_function_reports_says_nothing(small: Small) -> None:
    with small.mapped().deployed() as double:
        small.answers({"batchItemFailures": [{"itemIdentifier": ""}]})
        put(double, "a")
        double.advance(60)
        assert small.batches() == [["a"]]


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


def test_a_role_that_may_not_send_loses_the_record_of_a_failure_and_it_shows(small: Small) -> None:
    small.resources["ReaderRole"] = role(allow(STREAM_RIGHTS, arn("Jobs", "StreamArn")))
    mapped = small.mapped(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn("Failed")}})
    with mapped.deployed() as double, double.broken("reader"):
        put(double, "a")
        double.advance(5)
        assert failures(double) == []
        assert "sqs:SendMessage" in double.services.refused[0]


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
