"""DynamoDB's tables, which moto keeps: what the double adds to them, and where it corrects moto.

Every call passes here, in the double's event loop and so one at a time: moto checks a condition and writes in two
steps. Around a write the double looks at the items in question, for the table's stream. A write that was refused leaves
an item as it was, which moto does not always see to (an UpdateItem that would make a new item too large leaves an empty
one), and a ValidationException has the name that DynamoDB gives it.
"""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.dynamodb.models.utilities import dynamo_json_dump

from tests.aws.double.clock import Clock
from tests.aws.double.cloudformation import Resource, Stack, TemplateError
from tests.aws.double.streams import Image, Stream

MADE = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
KNOWN = {
    *(*MADE, "StreamSpecification", "TimeToLiveSpecification", "PointInTimeRecoverySpecification", "SSESpecification"),
    *("DeletionProtectionEnabled", "Tags"),
}
WRITES = {"PutRequest": "PutItem", "DeleteRequest": "DeleteItem", "Put": "PutItem", "Update": "UpdateItem"}
WRITES |= {"Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem"}
VALIDATION = b"com.amazonaws.dynamodb.v20120810#ValidationException", b"com.amazon.coral.validate#ValidationException"
TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def parts(operation: str, request: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What a request does: the action that it needs, the table (with `/index/name`), and the part of the request."""
    match operation:
        case "BatchGetItem":
            return [
                (operation, table, {"Key": key})
                for table, part in request["RequestItems"].items()
                for key in part["Keys"]
            ]
        case "BatchWriteItem":
            return [
                (operation, table, part)
                for table, items in request["RequestItems"].items()
                for item in items
                for part in item.values()
            ]
        case "TransactWriteItems" | "TransactGetItems":
            return [
                (WRITES[kind], part["TableName"], part)
                for item in request["TransactItems"]
                for kind, part in item.items()
            ]
    index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
    return [(operation, f"{request.get('TableName')}{index}", request)]


def undefined(request: dict[str, Any]) -> str | None:
    """What DynamoDB says of an expression with a value that the request does not have; moto breaks there."""
    values = request.get("ExpressionAttributeValues", {})
    for name in ("ConditionExpression", "UpdateExpression", "KeyConditionExpression", "FilterExpression"):
        for value in re.findall(r":\w+", request.get(name, "")):
            if value not in values:
                problem = "An expression attribute value used in expression is not defined; attribute value"
                return f"Invalid {name}: {problem}: {value}"
    return None


class Tables:
    """The tables of a stack.

    Args:
        stack: with the tables.
        account: of moto.
        region: of all.
        clock: whose time it is.
        forward: sends moto a body for an operation of DynamoDB, and returns its status and its body.

    Attributes:
        streams: by the table's name.

    Raises:
        TemplateError: DynamoDB would refuse a table, or the double does not know a part of it.
    """

    def __init__(
        self,
        stack: Stack,
        account: str,
        region: str,
        clock: Clock,
        forward: Callable[[str, bytes], tuple[int, bytes]],
    ) -> None:
        self._tables = {table.ref: table for table in stack.of_type("AWS::DynamoDB::Table")}
        self._backend = get_backend("dynamodb")[account][region]
        self._clock = clock
        self._forward = forward
        self._written = threading.Condition()
        self.writes = 0
        for table in self._tables.values():
            if unknown := table.properties.keys() - KNOWN:
                raise TemplateError(f"{table.logical_id}: this double knows no {', '.join(sorted(unknown))} of a table")
        streamed = {name: table for name, table in self._tables.items() if "StreamSpecification" in table.properties}
        self.streams = {name: Stream(table, clock) for name, table in streamed.items()}

    def definitions(self) -> list[dict[str, Any]]:
        """What CreateTable is told, for each."""
        tables = self._tables.values()
        return [{name: each.properties[name] for name in MADE if name in each.properties} for each in tables]

    def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """DynamoDB's answer, its status and its body; the streams have a record of what it has changed."""
        touched = self._touched(operation, json.loads(body))
        before = [self._item(name, key) for name, key in touched]
        status, answer = self._forward(operation, body)
        if status != 200:
            answer = answer.replace(*VALIDATION, 1)
        for (name, key), old in zip(touched, before, strict=True):
            if status != 200:
                self._restore(name, key, old)
            elif name in self.streams:
                self.streams[name].changed(old, self._item(name, key))
        if touched:
            with self._written:
                self.writes += 1
                self._written.notify_all()
        return status, answer

    def wait_for_write(self, seen: int, seconds: float) -> None:
        """Wait until there are more `writes` than were seen, or until so many seconds are over."""
        with self._written:
            self._written.wait_for(lambda: self.writes > seen, seconds)

    def remove_expired(self) -> int:
        """Do what TTL does, late and whenever it pleases: remove all that has expired; how many items that were."""
        removed = 0
        for name, table in self._tables.items():
            settings = table.properties.get("TimeToLiveSpecification", {"Enabled": False})
            items = self._items(name) if settings["Enabled"] else []
            for item in items:
                if float(item.get(settings["AttributeName"], {}).get("N", "inf")) <= self._clock.now():
                    self._restore(name, {key: item[key] for key in self._keys(name)}, None)
                    removed += 1
                    if name in self.streams:
                        self.streams[name].changed(item, None, TTL)
        return removed

    def _touched(self, operation: str, request: dict[str, Any]) -> list[tuple[str, Image]]:
        if operation in ("GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan", "DescribeTable"):
            return []
        found = []
        for _, name, part in parts(operation, request):
            key = part.get("Key") or {k: v for k, v in part.get("Item", {}).items() if k in self._keys(name)}
            if name in self._tables and key.keys() == set(self._keys(name)):
                found.append((name, key))
        return found

    def _keys(self, name: str) -> list[str]:
        table: Resource | None = self._tables.get(name)
        return [key["AttributeName"] for key in table.properties["KeySchema"]] if table else []

    def _item(self, name: str, key: Image) -> Image | None:
        found = self._backend.get_item(name, key)
        return _plain(found) if found else None

    def _items(self, name: str) -> list[Image]:
        return [_plain(item) for item in self._backend.get_table(name).all_items()]

    def _restore(self, name: str, key: Image, item: Image | None) -> None:
        if item is None:
            self._backend.delete_item(name, key)
        else:
            self._backend.put_item(name, item, overwrite=True)


def _plain(item: Any) -> Image:
    """A copy of one of moto's items, in DynamoDB's JSON."""
    plain: Image = json.loads(dynamo_json_dump(item.to_json()["Attributes"]))
    return plain
