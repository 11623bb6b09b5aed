"""Event source mappings: Lambda reads a table's stream and calls a function with batches of its records.

Each shard is read by `ParallelizationFactor` lanes, a lane takes the records of its keys in their order, one batch at a
time, and goes on when the batch has succeeded or was given up. Lambda asks each shard four times a second; a lane that
has read everything waits for a record and then for its next turn, so that nothing is asked in vain, and the clock can
be moved by a day. Where the documentation is silent the double takes what is worse for the function: a batch is tried
again with the innocent records in it, and given up with them.

Sources: docs.aws.amazon.com/lambda/latest/dg/, with-ddb.html (polling, windows, order), services-ddb-params.html,
services-dynamodb-errors.html (retries, bisecting, the record of a failure), services-ddb-batchfailurereporting.html.
"""

import asyncio
import json
import math
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.aws.double.clock import Clock, Sign
from tests.aws.double.cloudformation import Resource, Stack, TemplateError
from tests.aws.double.event_patterns import Pattern, matches, parsed
from tests.aws.double.events import timestamp
from tests.aws.double.functions import LARGEST_REQUEST, Functions, InvocationRefused, Result
from tests.aws.double.iam import AccessDenied
from tests.aws.double.services import Services
from tests.aws.double.streams import RETENTION, Record, Shard, Stream

POLL_SECONDS = 0.25
LONGEST_PAUSE = 60.0  # between tries, which begin after a second and double: Lambda does not document its own
RIGHTS = ("DescribeStream", "GetShardIterator", "GetRecords", "ListStreams")
LIMITS = {  # the default, the least and the most; None is no limit
    "BatchSize": (100, 1, 10_000),
    "MaximumBatchingWindowInSeconds": (0, 0, 300),
    "MaximumRecordAgeInSeconds": (-1, -1, 604_800),
    "MaximumRetryAttempts": (-1, -1, 10_000),
    "ParallelizationFactor": (1, 1, 10),
}
KNOWN = {
    *("EventSourceArn", "FunctionName", "StartingPosition", "Enabled", "FilterCriteria", "FunctionResponseTypes"),
    *("BisectBatchOnFunctionError", "DestinationConfig", "Tags", *LIMITS),
}


@dataclass
class Mapping:
    """One mapping of the stack.

    Attributes:
        last_result: as GetEventSourceMapping tells it: "No records processed", "OK", or "PROBLEM: " and what.
        polls: how often it has asked for records and found some, or was refused.
    """

    logical_id: str
    function: str
    stream: Stream
    numbers: dict[str, int]
    filters: list[Pattern]
    latest: bool
    partial: bool
    bisect: bool
    destination: str | None
    last_result: str = "No records processed"
    polls: int = 0
    duplicated: bool = False

    def deliver_twice(self) -> None:
        """Call the function twice with the next batch, though it has succeeded: records come at least once."""
        self.duplicated = True

    def wants(self, record: Record) -> bool:
        """Whether the function gets this record."""
        return not self.filters or any(matches(pattern, record.event) for pattern in self.filters)

    def has_aged(self, record: Record, now: float) -> bool:
        """Whether the record is too old to be tried (again)."""
        longest = self.numbers["MaximumRecordAgeInSeconds"]
        return now - record.created > (RETENTION if longest < 0 else min(longest, RETENTION))


@dataclass
class _Lane:
    shard: Shard
    turn: int
    """Of how many lanes of the shard it is which."""
    position: int
    resting: asyncio.Event = field(default_factory=asyncio.Event)


class EventSources:
    """The mappings of a stack.

    Raises:
        TemplateError: Lambda would refuse one, or the double does not know a part of it.
    """

    def __init__(self, stack: Stack, services: Services, functions: Functions, clock: Clock) -> None:
        self._services = services
        self._functions = functions
        self._clock = clock
        self._roles = {each.ref: each.properties["Role"] for each in stack.of_type("AWS::Lambda::Function")}
        self._arns = {each.ref: each.attributes["Arn"] for each in stack.of_type("AWS::Lambda::Function")}
        streams = {stream.arn: stream for stream in services.tables.streams.values()}
        sources = stack.of_type("AWS::Lambda::EventSourceMapping")
        self.mappings = {each.logical_id: _mapping(each, streams, self._arns) for each in sources}
        self._enabled = [each.logical_id for each in sources if each.properties.get("Enabled", True)]
        self._lanes: list[_Lane] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read, from where the mappings say."""
        for name in self._enabled:
            self.enable(name)

    def enable(self, logical_id: str) -> None:
        """Begin with a mapping that is switched off, from where it says."""
        mapping = self.mappings[logical_id]
        for shard in mapping.stream.shards:
            for turn in range(mapping.numbers["ParallelizationFactor"]):
                lane = _Lane(shard, turn, shard.end if mapping.latest else 0)
                self._lanes.append(lane)
                self._tasks.append(self._clock.spawn(self._read(mapping, lane)))

    async def close(self) -> None:
        """Stop reading; raises what broke this service itself, if anything did."""
        for task in self._tasks:
            task.cancel()
        for ending in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ending, Exception):
                raise ending

    async def idle(self) -> None:
        """Wait until every record has been read, and its batch has ended; raises what broke this service itself."""
        resting: asyncio.Future[Any] = asyncio.gather(*(lane.resting.wait() for lane in self._lanes))
        watched: list[asyncio.Future[Any]] = [resting, *self._tasks]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task.done():
                task.result()
        await resting

    @property
    def is_idle(self) -> bool:
        """Whether every record has been read, and its batch has ended."""
        return all(lane.resting.is_set() and lane.shard.end <= lane.position for lane in self._lanes)

    async def _read(self, mapping: Mapping, lane: _Lane) -> None:
        pause = POLL_SECONDS
        while True:
            await self._something_new(lane)
            mapping.polls += 1
            try:
                self._require(mapping)
            except AccessDenied as denied:
                mapping.last_result = f"PROBLEM: {denied}"
                pause = min(pause * 2, LONGEST_PAUSE)
                await self._clock.wait(until=self._clock.now() + pause)
                continue
            pause = POLL_SECONDS
            batch = await self._gathered(mapping, lane)
            if batch:
                await _Batches(mapping, lane.shard, self).process(batch)

    async def _something_new(self, lane: _Lane) -> None:
        """Wait for a record behind the lane's position, and then for the next time that Lambda asks."""
        while lane.shard.end <= lane.position:
            sign: Sign = asyncio.get_running_loop().create_future()
            lane.shard.waiting.append(sign)
            lane.resting.set()
            await self._clock.wait(sign)
            lane.resting.clear()
        await self._next_poll()

    async def _next_poll(self) -> None:
        await self._clock.wait(until=(math.floor(self._clock.now() / POLL_SECONDS) + 1) * POLL_SECONDS)

    def _require(self, mapping: Mapping) -> None:
        for right in RIGHTS:
            self._services.require(self._roles[mapping.function], f"dynamodb:{right}", mapping.stream.arn)

    async def _gathered(self, mapping: Mapping, lane: _Lane) -> list[Record]:
        """The next batch: full in number or bytes, or all there is once the batching window is over."""
        window = mapping.numbers["MaximumBatchingWindowInSeconds"]
        begun: float | None = None
        while True:
            batch, position, full = self._available(mapping, lane)
            now = self._clock.now()
            begun = now if begun is None else begun
            if full or not batch or now >= begun + window:
                lane.position = position
                return batch
            sign: Sign = asyncio.get_running_loop().create_future()
            lane.shard.waiting.append(sign)
            if await self._clock.wait(sign, begun + window):
                await self._next_poll()

    def _available(self, mapping: Mapping, lane: _Lane) -> tuple[list[Record], int, bool]:
        """A batch of what is there, the position behind it, and whether it cannot grow."""
        batch: list[Record] = []
        size, position = len('{"Records":[]}'), lane.position
        for record in lane.shard.after(lane.position, self._clock.now()):
            mine = zlib.crc32(record.key.encode()) % mapping.numbers["ParallelizationFactor"] == lane.turn
            if mine and mapping.wants(record):
                size += record.size + 1
                if len(batch) == mapping.numbers["BatchSize"] or (batch and size > LARGEST_REQUEST):
                    return batch, position, True
                batch.append(record)
            position = record.number + 1
        return batch, max(position, lane.shard.end), len(batch) == mapping.numbers["BatchSize"]

    async def invoke(self, mapping: Mapping, records: Iterable[Record]) -> Result:
        """Call the function with a batch; raises InvocationRefused."""
        event = {"Records": [record.event for record in records]}
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        return await self._functions.invoke(mapping.function, body)

    async def pause(self, tries: int) -> None:
        """What lies between two tries of a batch."""
        await self._clock.wait(until=self._clock.now() + min(2.0 ** min(tries - 1, 16), LONGEST_PAUSE))

    def now(self) -> float:
        """Seconds since 1970."""
        return self._clock.now()

    async def send_failure(self, mapping: Mapping, record: dict[str, Any]) -> None:
        """Send the record of a batch that was given up to the mapping's destination, as the function's role."""
        if mapping.destination is None:
            return
        record["requestContext"]["functionArn"] = self._arns[mapping.function]
        try:
            await self._services.send_message(
                self._roles[mapping.function], mapping.destination, json.dumps(record, separators=(",", ":")), {}
            )
        except AccessDenied as denied:
            mapping.last_result = f"PROBLEM: {denied}"


@dataclass
class _Batches:
    """One batch, and the parts that become of it, until each record was processed or given up."""

    mapping: Mapping
    shard: Shard
    sources: EventSources

    async def process(self, records: list[Record], failures: int = 0) -> None:
        mapping, tries, refusals = self.mapping, 0, 0
        result: Result | None = None
        while True:
            old = [record for record in records if mapping.has_aged(record, self.sources.now())]
            if old:
                await self._give_up(old, "RecordAgeExceeded", tries, result)
                records = records[len(old) :]
            if not records:
                return
            try:
                result = await self._invoked(records)
            except InvocationRefused as refused:  # no try of the function: it counts for the age alone
                mapping.last_result = f"PROBLEM: {refused}"
                refusals += 1
                await self.sources.pause(refusals)
                continue
            tries += 1
            first = _first_failure(result, records, partial=mapping.partial)
            if first is None:
                mapping.last_result = "OK"
                return
            mapping.last_result = "PROBLEM: Function call failed"
            records = records[first:]
            if mapping.bisect and result.error is not None and len(records) > 1:
                half = len(records) // 2
                await self.process(records[:half], failures)
                await self.process(records[half:], failures)
                return
            failures += not (mapping.bisect and first)  # splitting is no try
            if 0 <= mapping.numbers["MaximumRetryAttempts"] < failures:
                await self._give_up(records, "RetryAttemptsExhausted", tries, result)
                return
            await self.sources.pause(max(failures, 1))

    async def _invoked(self, records: list[Record]) -> Result:
        result = await self.sources.invoke(self.mapping, records)
        if self.mapping.duplicated and result.error is None:
            self.mapping.duplicated = False
            await self.sources.invoke(self.mapping, records)
        return result

    async def _give_up(self, records: list[Record], condition: str, tries: int, result: Result | None) -> None:
        """Tell the destination where the records were; what was in them it does not learn."""
        response: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
        if result is not None and result.error is not None:
            response["functionError"] = result.error
        record = {
            "requestContext": {
                "requestId": result.request_id if result else str(uuid.uuid4()),
                "functionArn": "",
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            **({"responseContext": response} if result else {}),
            "version": "1.0",
            "timestamp": timestamp(self.sources.now()),
            "DDBStreamBatchInfo": {
                "shardId": self.shard.id,
                "startSequenceNumber": records[0].sequence_number,
                "endSequenceNumber": records[-1].sequence_number,
                "approximateArrivalOfFirstRecord": timestamp(int(records[0].created)).replace(".000", ""),
                "approximateArrivalOfLastRecord": timestamp(int(records[-1].created)).replace(".000", ""),
                "batchSize": len(records),
                "streamArn": self.mapping.stream.arn,
            },
        }
        await self.sources.send_failure(self.mapping, record)


def _first_failure(result: Result, records: list[Record], *, partial: bool) -> int | None:
    """Which record has failed first: the first one where the whole batch has; None where none has."""
    if result.error is not None:
        return 0
    if not partial:
        return None
    answer = json.loads(result.payload or b"null")
    failed = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not failed:
        return None
    places = {record.sequence_number: place for place, record in enumerate(records)}
    named = [each.get("itemIdentifier") if isinstance(each, dict) else None for each in failed]
    return min(places.get(str(name), 0) for name in named)  # one that is empty, or unknown, is the whole batch


def _mapping(source: Resource, streams: dict[str, Stream], arns: dict[str, str]) -> Mapping:
    where, properties = source.logical_id, source.properties
    if unknown := properties.keys() - KNOWN:
        raise TemplateError(f"{where}: this double knows no {', '.join(sorted(unknown))} of a mapping")
    stream = streams.get(properties.get("EventSourceArn", ""))
    if stream is None:
        raise TemplateError(f"{where}: there is no stream {properties.get('EventSourceArn')!r}")
    named = {name: name for name in arns} | {arn: name for name, arn in arns.items()}
    if properties.get("FunctionName") not in named:
        raise TemplateError(f"{where}: there is no function {properties.get('FunctionName')!r}")
    if properties.get("StartingPosition") not in ("TRIM_HORIZON", "LATEST"):
        raise TemplateError(f"{where}: StartingPosition is TRIM_HORIZON or LATEST for a stream of DynamoDB")
    numbers = {name: int(properties.get(name, default)) for name, (default, _, _) in LIMITS.items()}
    for name, (_, least, most) in LIMITS.items():
        if not least <= numbers[name] <= most:
            raise TemplateError(f"{where}.{name}: {numbers[name]} is not from {least} to {most}")
    types = properties.get("FunctionResponseTypes", [])
    if types not in ([], ["ReportBatchItemFailures"]):
        raise TemplateError(f"{where}: FunctionResponseTypes is [ReportBatchItemFailures], not {types}")
    criteria = properties.get("FilterCriteria", {}).get("Filters", [])
    destination = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if destination is not None and not destination.startswith("arn:aws:sqs:"):
        raise TemplateError(f"{where}: this double knows queues as destinations, not {destination}")
    return Mapping(
        logical_id=where,
        function=named[properties["FunctionName"]],
        stream=stream,
        numbers=numbers,
        filters=[parsed(each["Pattern"], f"{where}.FilterCriteria") for each in criteria],
        latest=properties["StartingPosition"] == "LATEST",
        partial=bool(types),
        bisect=properties.get("BisectBatchOnFunctionError", False),
        destination=destination,
    )
