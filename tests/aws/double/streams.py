"""DynamoDB Streams: the record of each change of a table's items, kept for a day.

moto's own streams also record writes that change nothing, and a new item of UpdateItem twice, so they are not used: the
double compares what the table held before a write with what it holds after. The items of one key are in one shard, in
the order of their changes; between shards there is no order. A shard is never closed here (DynamoDB does it every four
hours or so, and its readers go on with the shard's child).
"""

import json
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.aws.double.clock import Clock, Sign
from tests.aws.double.cloudformation import Resource, TemplateError

RETENTION = 86_400.0  # seconds
SHARDS = 4  # a new table on demand can take 4,000 writes a second, 1,000 in each partition
VIEWS = {
    "KEYS_ONLY": (),
    "NEW_IMAGE": ("NewImage",),
    "OLD_IMAGE": ("OldImage",),
    "NEW_AND_OLD_IMAGES": ("NewImage", "OldImage"),
}

Image = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Record:
    """One change of one item."""

    number: int
    """Its place in the shard, from 0 on."""
    created: float
    """Seconds since 1970."""
    event: dict[str, Any]
    """As functions get it."""
    key: str
    """The same text for every change of an item."""

    @property
    def sequence_number(self) -> str:
        """Which other changes of the same shard come before this one: a number of up to 40 digits, as text."""
        found: str = self.event["dynamodb"]["SequenceNumber"]
        return found

    @property
    def size(self) -> int:
        """Bytes of JSON, as they count for Lambda's limit of an event."""
        return len(json.dumps(self.event, ensure_ascii=False, separators=(",", ":")).encode())


@dataclass
class Shard:
    """A part of a stream. Records have increasing numbers; those older than a day are gone."""

    id: str
    end: int = 0
    """The number that the next record gets."""
    records: list[Record] = field(default_factory=list)
    waiting: list[Sign] = field(default_factory=list)

    def after(self, number: int, now: float) -> list[Record]:
        """The records from this number on that are still there."""
        self.records = [record for record in self.records if record.created > now - RETENTION]
        return [record for record in self.records if record.number >= number]


class Stream:
    """The stream of one table.

    Args:
        table: of the stack, with a StreamSpecification.
        clock: whose time the records have.

    Attributes:
        arn: of the stream.
        shards: its parts.

    Raises:
        TemplateError: DynamoDB has no such stream.
    """

    def __init__(self, table: Resource, clock: Clock) -> None:
        specification = table.properties["StreamSpecification"]
        if set(specification) != {"StreamViewType"} or specification["StreamViewType"] not in VIEWS:
            raise TemplateError(f"{table.logical_id}.StreamSpecification: a StreamViewType of {', '.join(VIEWS)}")
        self.arn: str = table.attributes["StreamArn"]
        self.shards = [Shard(f"shardId-{number:020}-{zlib.crc32(self.arn.encode()):08x}") for number in range(SHARDS)]
        self._view: str = specification["StreamViewType"]
        self._keys = [key["AttributeName"] for key in table.properties["KeySchema"]]
        self._partition_key = self._keys[0]
        self._clock = clock
        self._changes = 0
        self._losing = False

    @property
    def records(self) -> list[Record]:
        """All that are still there, in the order of the changes."""
        found = [record for shard in self.shards for record in shard.after(0, self._clock.now())]
        return sorted(found, key=lambda record: int(record.sequence_number))

    @contextmanager
    def losing(self) -> Iterator[None]:
        """While it lasts, changes leave no record. DynamoDB promises better; who reads too late is as badly off."""
        self._losing = True
        try:
            yield
        finally:
            self._losing = False

    def changed(self, old: Image | None, new: Image | None, user: dict[str, str] | None = None) -> None:
        """Record a write; one that has changed nothing leaves no record.

        Args:
            old: the item before; None where there was none.
            new: the item after; None where there is none.
            user: who has written, where DynamoDB says so: for what TTL removes.
        """
        item = new or old
        if item is None or self._losing or (old and new and comparable({"M": old}) == comparable({"M": new})):
            return
        self._changes += 1
        keys = {name: item[name] for name in self._keys}
        images = {"NewImage": new, "OldImage": old}
        shown = {name: images[name] for name in VIEWS[self._view] if images[name] is not None}
        now = self._clock.now()
        event: dict[str, Any] = {
            "eventID": uuid.uuid4().hex,
            "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.arn.split(":")[3],
            "dynamodb": {
                "ApproximateCreationDateTime": int(now),
                "Keys": keys,
                **shown,
                "SequenceNumber": f"{100_000_000_000_000_000_000 + self._changes}",
                "SizeBytes": sum(len(json.dumps(part)) for part in (keys, *shown.values())),
                "StreamViewType": self._view,
            },
            **({"userIdentity": user} if user else {}),
            "eventSourceARN": self.arn,
        }
        shard = self.shards[zlib.crc32(_text(keys[self._partition_key])) % SHARDS]
        shard.records.append(Record(shard.end, now, event, _text(keys).decode()))
        shard.end += 1
        waiting, shard.waiting = shard.waiting, []
        for sign in waiting:
            self._clock.give(sign)


def comparable(value: dict[str, Any]) -> Any:
    """A value of DynamoDB's JSON so that equal ones are equal: numbers by value, sets and maps in any order."""
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return kind, {name: comparable(item) for name, item in content.items()}
        case "L":
            return kind, [comparable(item) for item in content]
        case "N":
            return kind, Decimal(content)
        case "NS":
            return kind, frozenset(map(Decimal, content))
        case "SS" | "BS":
            return kind, frozenset(content)
    return kind, content


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
