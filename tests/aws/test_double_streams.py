"""The double of DynamoDB and its streams, against what AWS documents; each test says where, by the page's name in
docs.aws.amazon.com/amazondynamodb/latest/developerguide/ (or in APIReference/, if it begins with API_)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.double import Double
from tests.aws.double.streams import comparable
from tests.aws.double_stack import Small, allow, arn, role

PENDING = {"jobId": {"S": "a"}, "status": {"S": "Pending"}}


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


@pytest.fixture
def double(small: Small) -> Iterator[Double]:
    """A table with a stream, and indexes by shelf and by what is open, which few items have."""
    table = small.resources["Jobs"]["Properties"]
    table["AttributeDefinitions"] += [
        {"AttributeName": name, "AttributeType": kind}
        for name, kind in (("shelf", "S"), ("createdAt", "S"), ("open", "S"), ("dueAt", "N"))
    ]
    table["GlobalSecondaryIndexes"] = [
        {
            "IndexName": name,
            "KeySchema": [{"AttributeName": first, "KeyType": "HASH"}, {"AttributeName": then, "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        for name, first, then in (("byTime", "shelf", "createdAt"), ("byDue", "open", "dueAt"))
    ]
    table["TimeToLiveSpecification"] = {"AttributeName": "expiresAt", "Enabled": True}
    with small.deployed() as running:
        yield running


def records(double: Double) -> list[tuple[str, dict[str, Any]]]:
    """What each record says has happened, and to what."""
    return [(each.event["eventName"], each.event["dynamodb"]) for each in double.stream("Jobs").records]


def set_status(double: Double, status: str, **more: Any) -> dict[str, Any]:
    """Give the job "a" a status."""
    answer: dict[str, Any] = double.client("dynamodb").update_item(
        TableName="Jobs",
        Key={"jobId": {"S": "a"}},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": {"S": status}, **more.pop("values", {})},
        **more,
    )
    return answer


def test_a_record_says_what_was_and_what_is(double: Double) -> None:
    """Streams.html; API_streams_Record.html, API_streams_StreamRecord.html."""
    client = double.client("dynamodb")
    client.put_item(TableName="Jobs", Item=PENDING)
    set_status(double, "Running")
    client.delete_item(TableName="Jobs", Key={"jobId": {"S": "a"}})
    running = {**PENDING, "status": {"S": "Running"}}
    found = records(double)
    assert [name for name, _ in found] == ["INSERT", "MODIFY", "REMOVE"]
    assert [change["Keys"] for _, change in found] == [{"jobId": {"S": "a"}}] * 3
    assert [(change.get("OldImage"), change.get("NewImage")) for _, change in found] == [
        (None, PENDING),
        (PENDING, running),
        (running, None),
    ]
    numbers = [int(change["SequenceNumber"]) for _, change in found]
    assert numbers == sorted(set(numbers)) and len(str(numbers[0])) >= 21
    event = double.stream("Jobs").records[0].event
    assert event["eventSource"] == "aws:dynamodb" and event["eventSourceARN"].startswith(
        "arn:aws:dynamodb:us-east-1:123456789012:table/Jobs/stream/"
    )
    assert abs(event["dynamodb"]["ApproximateCreationDateTime"] - double.clock.now()) < 60
    assert len({each.event["eventID"] for each in double.stream("Jobs").records}) == 3


def test_an_update_that_makes_an_item_is_one_insert(double: Double) -> None:
    """API_UpdateItem.html: it adds an item that does not exist. moto's own stream has two records of it."""
    assert set_status(double, "Pending", ReturnValues="ALL_NEW")["Attributes"] == PENDING
    assert [(name, change["NewImage"]) for name, change in records(double)] == [("INSERT", PENDING)]


@pytest.mark.parametrize("again", ["put", "update", "if_not_exists", "batch", "remove"])
def test_a_write_that_changes_nothing_leaves_no_record(double: Double, again: str) -> None:
    """Streams.html: a PutItem or UpdateItem that does not change any data writes no stream record."""
    client, key = double.client("dynamodb"), {"jobId": {"S": "a"}}
    client.put_item(TableName="Jobs", Item=PENDING)
    names, values = {"#s": "status"}, {":s": {"S": "Running"}}
    match again:
        case "put":
            client.put_item(TableName="Jobs", Item=PENDING)
        case "update":
            set_status(double, "Pending")
        case "if_not_exists":
            expression = "SET #s = if_not_exists(#s, :s)"
            client.update_item(
                TableName="Jobs",
                Key=key,
                UpdateExpression=expression,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        case "batch":
            client.batch_write_item(RequestItems={"Jobs": [{"PutRequest": {"Item": PENDING}}]})
        case "remove":
            client.update_item(TableName="Jobs", Key=key, UpdateExpression="REMOVE claimId")
            client.delete_item(TableName="Jobs", Key={"jobId": {"S": "nobody"}})
    assert len(records(double)) == 1


def test_what_is_equal_to_dynamodb_is_no_change() -> None:
    """HowItWorks.NamingRulesDataTypes.html: numbers are compared by value, sets and maps have no order."""
    left = {"M": {"n": {"N": "1.0"}, "s": {"SS": ["a", "b"]}, "m": {"M": {"x": {"L": [{"NS": ["1", "2.50"]}]}}}}}
    right = {"M": {"m": {"M": {"x": {"L": [{"NS": ["2.5", "1"]}]}}}, "s": {"SS": ["b", "a"]}, "n": {"N": "1"}}}
    assert comparable(left) == comparable(right)
    assert comparable({"S": "1"}) != comparable({"N": "1"})
    assert comparable({"L": [{"S": "a"}, {"S": "b"}]}) != comparable({"L": [{"S": "b"}, {"S": "a"}]})


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ],
)
def test_a_record_has_the_images_of_its_view(small: Small, view: str, images: set[str]) -> None:
    """API_StreamSpecification.html."""
    small.resources["Jobs"]["Properties"]["StreamSpecification"] = {"StreamViewType": view}
    with small.deployed() as double:
        set_status(double, "Pending")
        set_status(double, "Running")
        _, change = records(double)[-1]
    assert change.keys() & {"NewImage", "OldImage"} == images and change["StreamViewType"] == view


def test_the_changes_of_an_item_are_in_one_shard_in_their_order(double: Double) -> None:
    """Streams.html: the records of an item appear in the order of its modifications."""
    client = double.client("dynamodb")
    for attempt in range(3):
        for number in range(12):
            client.put_item(TableName="Jobs", Item={"jobId": {"S": f"job-{number}"}, "attempt": {"N": str(attempt)}})
    shards = [shard.after(0, double.clock.now()) for shard in double.stream("Jobs").shards]
    assert sum(bool(shard) for shard in shards) > 1
    for number in range(12):
        keys = {"jobId": {"S": f"job-{number}"}}
        found = [[r for r in shard if r.event["dynamodb"]["Keys"] == keys] for shard in shards]
        (mine,) = [part for part in found if part]
        assert [record.event["dynamodb"]["NewImage"]["attempt"]["N"] for record in mine] == ["0", "1", "2"]


def test_a_record_is_kept_for_a_day(double: Double) -> None:
    """Streams.html: data in a stream is subject to a lifetime of 24 hours."""
    set_status(double, "Pending")
    double.advance(86_000)
    assert len(records(double)) == 1
    double.advance(401)
    assert records(double) == []


def test_a_transaction_leaves_a_record_of_each_item(double: Double) -> None:
    """API_TransactWriteItems.html."""
    items = [{"Put": {"TableName": "Jobs", "Item": {"jobId": {"S": name}}}} for name in "ab"]
    double.client("dynamodb").transact_write_items(TransactItems=items)
    assert [name for name, _ in records(double)] == ["INSERT", "INSERT"]


def test_what_has_expired_stays_until_ttl_removes_it_and_leaves_a_record_of_its_own(double: Double) -> None:
    """TTL.html: within a few days of the expiration. time-to-live-ttl-streams.html: the principal of the removal."""
    double.client("dynamodb").put_item(
        TableName="Jobs", Item={**PENDING, "expiresAt": {"N": str(int(double.clock.now()) + 100)}}
    )
    assert double.remove_expired() == 0
    double.advance(101)
    assert double.item("a") is not None
    assert double.remove_expired() == 1
    assert double.item("a") is None
    event = double.stream("Jobs").records[-1].event
    assert event["eventName"] == "REMOVE"
    assert event["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def test_a_lost_change_is_written_and_leaves_no_record(double: Double) -> None:
    with double.stream("Jobs").losing():
        set_status(double, "Pending")
    set_status(double, "Running")
    assert [name for name, _ in records(double)] == ["MODIFY"]


def refusal(double: Double, **more: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        set_status(double, "Running", **more)
    response: dict[str, Any] = caught.value.response
    return response


def test_a_failed_condition_shows_the_item_only_where_it_is_asked_for_and_there_is_one(double: Double) -> None:
    """API_UpdateItem.html, ReturnValuesOnConditionCheckFailure; a recording of the real service: no item, no `Item`."""
    there = {"ConditionExpression": "attribute_exists(jobId)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    answer = refusal(double, **there)
    assert answer["Error"]["Code"] == "ConditionalCheckFailedException"
    assert answer["message"] == "The conditional request failed" and "Item" not in answer
    set_status(double, "Pending")
    absent = {**there, "ConditionExpression": "attribute_not_exists(jobId)"}
    assert refusal(double, **absent)["Item"] == PENDING
    assert "Item" not in refusal(double, ConditionExpression="attribute_not_exists(jobId)")
    assert len(records(double)) == 1


def test_maps_are_equal_whatever_their_order(double: Double) -> None:
    """Expressions.OperatorsAndFunctions.html: equal where all keys and values are. Not yet seen on the real service."""
    parameters = {"x": {"S": "1"}, "y": {"M": {"a": {"N": "1"}, "b": {"N": "2"}}}}
    double.client("dynamodb").put_item(TableName="Jobs", Item={**PENDING, "parameters": {"M": parameters}})
    turned = {"y": {"M": {"b": {"N": "2"}, "a": {"N": "1"}}}, "x": {"S": "1"}}
    names = {"#p": "parameters", "#status": "status"}

    def update(wanted: dict[str, Any]) -> None:
        double.client("dynamodb").update_item(
            TableName="Jobs",
            Key={"jobId": {"S": "a"}},
            UpdateExpression="SET #status = :s",
            ExpressionAttributeValues={":p": {"M": wanted}, ":s": {"S": "Running"}},
            ConditionExpression="#p = :p",
            ExpressionAttributeNames=names,
        )

    update(turned)
    for other in ({"x": {"S": "1"}}, {**parameters, "z": {"S": ""}}, {**parameters, "x": {"N": "1"}}):
        with pytest.raises(ClientError, match="conditional request failed"):
            update(other)


def test_an_update_that_is_refused_leaves_no_item_behind(double: Double) -> None:
    """API_UpdateItem.html: the whole update or nothing. moto leaves an empty item where a new one is too large."""
    with pytest.raises(ClientError, match="Item size to update has exceeded the maximum allowed size"):
        set_status(double, "x" * 409_601)
    assert double.item("a") is None
    set_status(double, "Pending")
    with pytest.raises(ClientError, match="exceeded the maximum allowed size"):
        set_status(double, "x" * 409_601)
    assert double.item("a") == {"jobId": "a", "status": "Pending"}
    assert len(records(double)) == 1


def test_an_empty_key_is_refused(double: Double) -> None:
    """HowItWorks.NamingRulesDataTypes.html: a key attribute is not empty."""
    with pytest.raises(ClientError, match=r"empty string value\. Key: jobId"):
        double.client("dynamodb").update_item(TableName="Jobs", Key={"jobId": {"S": ""}}, UpdateExpression="REMOVE x")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"too large", {"__type": "com.amazon.coral.service#SerializationException"}),
        (
            b'{"TableName": "Jobs", "Key": {"jobId": {"S": "a"}}, "UpdateExpression": "SET status = status"}',
            {
                "__type": "com.amazon.coral.validate#ValidationException",
                "message": "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: status",
            },
        ),
        (
            b'{"TableName": "Nobody", "Key": {"jobId": {"S": "a"}}, "UpdateExpression": "REMOVE x"}',
            {
                "__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
                "message": "Requested resource not found",
            },
        ),
        (
            b'{"TableName": "Jobs", "Key": {"jobId": {"S": "a"}}, "UpdateExpression": "REMOVE x",'
            b' "ConditionExpression": "attribute_exists(jobId)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}',
            {
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "The conditional request failed",
            },
        ),
    ],
)
def test_a_refusal_has_the_body_of_dynamodbs_protocol(double: Double, body: bytes, expected: dict[str, str]) -> None:
    """Programming.Errors.html; the names of the exceptions as dynalite's tests have recorded them."""
    answer = double.run(double.services.dynamodb(None, "UpdateItem", body))
    assert (answer.status, json.loads(answer.body)) == (400, expected)


def test_an_index_has_the_items_that_have_its_keys_newest_first_and_page_by_page(double: Double) -> None:
    """GSI.html; Query.Pagination.html; SecondaryIndexes: a sparse index."""
    client = double.client("dynamodb")
    for number in range(5):
        item = {"jobId": {"S": f"j{number}"}, "shelf": {"S": "3"}, "createdAt": {"S": f"2026-0{1 + number // 2}"}}
        due = {"open": {"S": "yes"}, "dueAt": {"N": str(9 * number)}} if number % 2 else {}
        client.put_item(TableName="Jobs", Item={**item, **due})
    query = {
        "TableName": "Jobs",
        "IndexName": "byTime",
        "KeyConditionExpression": "shelf = :shelf",
        "ExpressionAttributeValues": {":shelf": {"S": "3"}},
        "ScanIndexForward": False,
        "Limit": 2,
    }
    pages: list[list[str]] = []
    start: dict[str, Any] = {}
    while True:
        answer = client.query(**query, **start)
        pages.append([item["jobId"]["S"] for item in answer["Items"]])
        if "LastEvaluatedKey" not in answer:
            break
        assert answer["LastEvaluatedKey"].keys() == {"jobId", "shelf", "createdAt"}
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert sorted(job_id for page in pages for job_id in page) == [f"j{number}" for number in range(5)]
    assert pages[0][0] == "j4" and set(pages[1]) <= {"j0", "j1", "j2", "j3"} and len(pages[0]) == 2
    due = client.query(
        TableName="Jobs",
        IndexName="byDue",
        KeyConditionExpression="#open = :yes AND dueAt <= :now",
        ExpressionAttributeNames={"#open": "open"},
        ExpressionAttributeValues={":yes": {"S": "yes"}, ":now": {"N": "10"}},
    )["Items"]
    assert [item["jobId"]["S"] for item in due] == ["j1"]  # 9 is before 10: a number, not a text
    with pytest.raises(ClientError, match="Consistent reads are not supported on global secondary indexes"):
        client.query(**query, ConsistentRead=True)


def test_a_batch_of_reads_leaves_out_what_is_not_there(double: Double) -> None:
    """API_BatchGetItem.html."""
    double.client("dynamodb").put_item(TableName="Jobs", Item=PENDING)
    keys = [{"jobId": {"S": name}} for name in ("a", "nobody")]
    answer = double.client("dynamodb").batch_get_item(RequestItems={"Jobs": {"Keys": keys}})
    assert answer["Responses"] == {"Jobs": [PENDING]} and answer["UnprocessedKeys"] == {}


def test_an_index_and_a_batch_need_rights_of_their_own(small: Small) -> None:
    """The service authorization reference of DynamoDB: Query of an index is on table/Jobs/index/byTime."""
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/Jobs"
    small.resources["ReaderRole"] = role(
        allow("dynamodb:Query", f"{table}/index/byTime"), allow("dynamodb:BatchGetItem", arn("Jobs"))
    )
    requests = [
        ("Query", b'{"TableName": "Jobs", "IndexName": "byTime"}', False),
        ("Query", b'{"TableName": "Jobs"}', True),
        ("Query", b'{"TableName": "Jobs", "IndexName": "byDue"}', True),
        ("BatchGetItem", b'{"RequestItems": {"Jobs": {"Keys": [{"jobId": {"S": "a"}}]}}}', False),
        ("BatchWriteItem", b'{"RequestItems": {"Jobs": [{"DeleteRequest": {"Key": {"jobId": {"S": "a"}}}}]}}', True),
        ("TransactWriteItems", b'{"TransactItems": [{"Delete": {"TableName": "Jobs", "Key": {}}}]}', True),
    ]
    with small.deployed() as double:
        reader = double.stack.named("ReaderRole").attributes["Arn"]
        for operation, body, denied in requests:
            answer = double.run(double.services.dynamodb(reader, operation, body))
            assert (b"AccessDenied" in answer.body) is denied, (operation, body, answer)


@pytest.mark.parametrize(
    "change",
    [
        {"StreamSpecification": {"StreamViewType": "ALL"}},
        {"StreamSpecification": {}},
        {"KinesisStreamSpecification": {}},
    ],
)
def test_a_table_that_dynamodb_would_refuse_or_the_double_does_not_know_is_refused(
    small: Small, change: dict[str, Any]
) -> None:
    small.resources["Jobs"]["Properties"] |= change
    with pytest.raises(TemplateError, match="Jobs"), small.deployed():
        pass


def test_a_table_without_a_stream_has_no_arn_of_one(small: Small) -> None:
    del small.resources["Jobs"]["Properties"]["StreamSpecification"]
    with pytest.raises(TemplateError, match="Jobs has no StreamArn"), small.deployed():
        pass
