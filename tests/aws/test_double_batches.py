"""What becomes of a batch that fails, of an event source mapping, against what Lambda documents; each test names the
page, in docs.aws.amazon.com/lambda/latest/dg/ (event_sources.py has the whole list)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.double import Double
from tests.aws.double_stack import STREAM_RIGHTS, Small, allow, arn, failures, put, role, same_shard


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


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


def test_a_role_that_may_not_send_loses_the_record_of_a_failure_and_it_shows(small: Small) -> None:
    small.resources["ReaderRole"] = role(allow(STREAM_RIGHTS, arn("Jobs", "StreamArn")))
    mapped = small.mapped(MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn("Failed")}})
    with mapped.deployed() as double, double.broken("reader"):
        put(double, "a")
        double.advance(5)
        assert failures(double) == []
        assert "sqs:SendMessage" in double.services.refused[0]
