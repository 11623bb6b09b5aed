"""Runs one CloudFormation template on loopback, as AWS would: deploy it, call it, break it.

Everything runs in one event loop in a thread of its own, so that a test reads from top to bottom; the functions run in
processes of their own.

Time. The double has a clock of its own, which API Gateway, the streams and the functions' processes (time.time(), not
datetime.now()) go by. It passes as usual, and a test moves it. Nothing on it needs a sleep:

    with Double(template, scale=1) as double:     # scale=1: Lambda's pauses last as long as on AWS, by this clock
        ...                                       # POST some jobs
        double.advance(1)                         # the stream is polled, the dispatcher and the processors run
        double.advance(6 * 60)                    # a sweep (every 5 minutes) and all that follows from it
        double.advance(86_400)                    # a day: retries, sweeps and schedules happen at their times

`advance` stops at each time that something waits for, and goes on when all that this has begun is at rest. What takes
its time for real, such as a job that sleeps, is waited for. `idle` moves nothing and waits until nothing is left to do.
`clock.now()` is the time. Schedules call at the end of their minute, as late as AWS may (`schedules.late`).

Links, each broken for as long as a `with` lasts:

    double.broken("JobsDispatcher")               # every invocation fails, as after a bad deployment
    double.dropping("AsyncJobProcessor")          # asynchronous events are accepted and lost
    double.stream("Jobs").losing()                # changes leave no record in the stream (a table's logical id)
    double.services.failing("dynamodb:UpdateItem", "InternalServerError", role="ProcessorRole")
    double.services.killing("dynamodb:UpdateItem", after=True, matching=is_a_claim)  # once; times=500 for more

and by one call, made with `double.call(lambda: ...)`, since it is for the double's thread:

    double.functions.hold(name), .release(name)   # no concurrency: events stay queued
    double.functions.throttle(name)               # Lambda's API answers 429
    double.functions.deliver_twice(name)          # the next event comes twice
    double.functions.kill_next(name)              # its environment dies as soon as it has the next event
    double.mapping("DispatcherSource").deliver_twice()  # the next batch of records comes twice

What was refused for want of a right is in `double.services.refused`; a mapping whose role may not read its stream polls
in vain and says so in `double.mapping(...).last_result`. `remove_expired` does what TTL does. A write through
`double.client("dynamodb")` leaves a record in the stream, one through `services.moto_client` does not.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Mapping as AnyMapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import boto3
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.aws.double.clock import Clock
from tests.aws.double.cloudformation import Resource, TemplateError, deploy
from tests.aws.double.event_sources import EventSources, Mapping
from tests.aws.double.functions import AsyncConfig, FunctionConfig, Functions
from tests.aws.double.gateway import RestApi
from tests.aws.double.iam import AccessDenied, Policies
from tests.aws.double.schedules import Schedules
from tests.aws.double.services import REGION, TESTER, Services
from tests.aws.double.streams import Stream
from tests.aws.double.templates import LARGEST_IN_A_BUCKET, LARGEST_TEMPLATE

ENDPOINTS = {
    f"ASYNCJOB_URL_{service.upper()}": f"https://{service}.{REGION}.amazonaws.com"
    for service in ("dynamodb", "lambda", "scheduler")
}
RETRY_SCALE = 0.01  # of the minutes between the deliveries of an event

T = TypeVar("T")


class Double:
    """A deployed template.

    Args:
        template: its text.
        parameters: as `--parameter-overrides` would give them.
        port: of the API; 0 for a free one.
        scale: how long Lambda's pauses between the deliveries of an event, and the age of events, last by the clock,
            as a part of what they last on AWS: for tests that do not move the clock.
        readable_overrides: see RestApi.
        on_log: is given each line that a function logs.
        bucket: the directory of what the template names as code: a zip's path beside it, or, as
            `aws cloudformation package` leaves it, a key (of whatever bucket).
        concurrency: invocations at once of the account, 10 in a new one; None is no limit but eight of each function.

    Attributes:
        stack: its resources and outputs.
        policies: of its roles.
        services: what the functions call; faults are switched on there.
        functions: Lambda.
        schedules: EventBridge, and its Scheduler.
        clock: of all of them; moved by `advance`.
        api: API Gateway.
        configs: of its functions, by name.

    Raises:
        TemplateError: CloudFormation or a service would refuse the template.
    """

    def __init__(
        self,
        template: str,
        parameters: AnyMapping[str, str] | None = None,
        *,
        port: int = 0,
        scale: float = RETRY_SCALE,
        readable_overrides: bool = False,
        on_log: Callable[[str], None] = lambda line: None,
        bucket: Path = Path(),
        concurrency: int | None = None,
    ) -> None:
        self._clients: dict[str, Any] = {}
        self._bucket = bucket
        self._on_log = on_log
        self._sockets = [socket.create_server(("127.0.0.1", number)) for number in (port, 0)]
        for listener in self._sockets:  # asyncio does so only for those that it has made
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clock = Clock()
        try:
            largest = LARGEST_TEMPLATE if bucket == Path() else LARGEST_IN_A_BUCKET
            self.stack = deploy(template, parameters, endpoint=self.endpoint, largest=largest)
            self.policies = Policies(self.stack)
            self.services = Services(self.stack, self.policies, self.clock)
            self.api = RestApi(self.stack, self.services, self.policies, readable_overrides)
            self._resources = {f.properties["FunctionName"]: f for f in self.stack.of_type("AWS::Lambda::Function")}
            self._events = {
                e.properties["FunctionName"]: e.properties for e in self.stack.of_type("AWS::Lambda::EventInvokeConfig")
            }
            configured = [self._configured(function) for function in self._resources.values()]
            self.functions = self.services.functions = Functions(
                scale=scale,
                on_log=self._log,
                on_failure=self._send_to_destination,
                on_dead_letter=self._send_to_queue,
                credentials=lambda name: self.services.credentials(self._role(name)),
                clock=self.clock,
                concurrency=concurrency,
            )
            parts = self.stack, self.services, self.functions, self.clock
            self._sources = EventSources(*parts)
            self.schedules = self.services.schedules = Schedules(*parts)
        except BaseException:
            self._close_sockets()
            self.clock.close()
            raise
        self._configured_functions = configured
        self.configs = {config.name: config for config, _ in configured}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="double", daemon=True)

    def _close_sockets(self) -> None:
        for listener in self._sockets:
            listener.close()

    @property
    def url(self) -> str:
        """Where the stage is, as the stack's output says it for AWS."""
        return f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}/{self.api.stage}"

    @property
    def endpoint(self) -> str:
        """Where DynamoDB, SQS and Lambda's API are, for an SDK."""
        return f"http://127.0.0.1:{self._sockets[1].getsockname()[1]}"

    @property
    def tester(self) -> dict[str, str]:
        """The environment of a caller outside, who may do everything."""
        key, secret = TESTER
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
        return dict(zip(names, (key, secret, "us-east-1", self.endpoint), strict=True))

    def item(self, job_id: str) -> dict[str, str] | None:
        """What the table of jobs holds of a job, as text, or None."""
        (table,) = self.stack.of_type("AWS::DynamoDB::Table")
        client = self.services.moto_client("dynamodb")
        found = client.get_item(TableName=table.ref, Key={"jobId": {"S": job_id}}).get("Item")
        return found and {name: next(iter(value.values())) for name, value in found.items()}

    def messages(self) -> list[str]:
        """The bodies of the messages in the queue, which stay there."""
        (queue,) = self.stack.of_type("AWS::SQS::Queue")
        client = self.services.moto_client("sqs")
        url = client.get_queue_url(QueueName=queue.attributes["QueueName"])["QueueUrl"]
        found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [message["Body"] for message in found.get("Messages", [])]

    def idle(self, seconds: float = 60) -> None:
        """Wait, without moving the clock, until every event has ended and every record of a stream was dealt with."""
        self.run(asyncio.wait_for(self._idle(), seconds))

    def advance(self, seconds: float) -> None:
        """Move the clock forward; what falls due in between happens at its time, and each thing is let run to its end.

        Raises:
            TimeoutError: something ran for more than a minute of real time.
        """
        self.run(self.clock.advance(seconds))

    def mapping(self, logical_id: str) -> Mapping:
        """An event source mapping."""
        return self._sources.mappings[logical_id]

    def enable(self, logical_id: str) -> None:
        """Switch on an event source mapping that the template leaves off."""
        self.call(lambda: self._sources.enable(logical_id))

    def stream(self, table: str) -> Stream:
        """The stream of the table with this logical id."""
        return self.services.tables.streams[self.stack.named(table).ref]

    def remove_expired(self) -> int:
        """Let TTL remove what has expired, which it does days later by itself; how many items that were."""
        return self.call(self.services.tables.remove_expired)

    @contextmanager
    def broken(self, function: str) -> Iterator[None]:
        """While it lasts, every invocation of a function fails, as after a broken deployment."""
        self.call(lambda: self.functions.break_down(function))
        try:
            yield
        finally:
            self.call(lambda: self.functions.break_down(function, on=False))

    @contextmanager
    def dropping(self, function: str) -> Iterator[None]:
        """While it lasts, the asynchronous events of a function are accepted and lost."""
        self.call(lambda: self.functions.drop(function))
        try:
            yield
        finally:
            self.call(lambda: self.functions.drop(function, on=False))

    def client(self, service: str) -> Any:
        """A client of a caller outside who may do everything; what it writes to a table is in its stream."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id=TESTER[0],
                aws_secret_access_key=TESTER[1],
            )
        return self._clients[service]

    async def _idle(self) -> None:
        while True:
            await self.functions.idle()
            await self._sources.idle()
            if self.functions.is_idle and self._sources.is_idle:
                return

    def run(self, awaitable: Awaitable[T]) -> T:
        """Run something in the double's event loop, and wait for it."""

        async def awaited() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def call(self, function: Callable[[], T]) -> T:
        """Call something in the double's thread."""

        async def called() -> T:
            return function()

        return self.run(called())

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()
        try:
            self.run(self._close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._close_sockets()
            self.clock.close()

    async def _start(self) -> None:
        await self.services.start()
        await self.functions.start(self._configured_functions)
        self._sources.start()
        self.schedules.start()
        apps = (_app(self.api.handle), _app(self.services.endpoint))
        self._servers = [uvicorn.Server(_config(app)) for app in apps]
        self._serving = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(self._servers, self._sockets, strict=True)
        ]

    async def _close(self) -> None:
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._serving)
        await self.schedules.close()
        await self._sources.close()
        await self.functions.close()
        await self.services.close()

    def _configured(self, function: Resource) -> tuple[FunctionConfig, AsyncConfig]:
        properties = function.properties
        try:
            self.policies.assume(properties["Role"], "lambda.amazonaws.com")
        except AccessDenied as denied:
            raise TemplateError(f"{function.logical_id}: Lambda cannot take its role: {denied}") from None
        variables = {name: str(value) for name, value in properties["Environment"]["Variables"].items()}
        for name, url in ENDPOINTS.items():
            if variables.get(name, url) != url:
                raise TemplateError(f"{function.logical_id}: {name} is {variables[name]}, not {url}")
        reserved = properties.get("ReservedConcurrentExecutions")
        config = FunctionConfig(
            name=properties["FunctionName"],
            arn=function.attributes["Arn"],
            code=self._code(properties["Code"]),
            handler=properties["Handler"],
            timeout=float(properties["Timeout"]),
            memory_mb=int(properties["MemorySize"]),
            environment=variables | dict.fromkeys(ENDPOINTS, self.endpoint),
            reserved_concurrency=None if reserved is None else int(reserved),
        )
        events = self._events.get(config.name)
        if events is None:
            return config, AsyncConfig()
        if events["Qualifier"] != "$LATEST":
            raise TemplateError(f"{function.logical_id}: events are sent to $LATEST, not to {events['Qualifier']}")
        retries = events.get("MaximumRetryAttempts", AsyncConfig.max_retries)
        age = events.get("MaximumEventAgeInSeconds", AsyncConfig.max_age)
        return config, AsyncConfig(max_retries=retries, max_age=float(age))

    def _code(self, code: str | dict[str, str]) -> str | Path:
        if isinstance(code, str):
            return self._bucket / code
        return code["ZipFile"] if "ZipFile" in code else self._bucket / code["S3Key"]

    def _role(self, name: str) -> str:
        role: str = self._resources[name].properties["Role"]
        return role

    def _log(self, name: str, line: str) -> None:
        self._on_log(f"{name}: {line}")
        function = self._resources[name].properties
        if line.startswith("START") and function.get("TracingConfig") == {"Mode": "Active"}:
            for action in ("xray:PutTraceSegments", "xray:PutTelemetryRecords"):
                self.policies.require(function["Role"], action, "*")
        group = function.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")  # Lambda's own
        self.services.log(function["Role"], group, line)

    async def _send_to_destination(self, name: str, record: dict[str, Any]) -> None:
        settings = self._events.get(name, {}).get("DestinationConfig", {}).get("OnFailure")
        if settings is None:
            return
        destination = settings["Destination"]
        body = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        if destination.startswith("arn:aws:sqs:"):
            await self.services.send_message(self._role(name), destination, body, {})
        else:
            await self.services.invoke(self._role(name), destination, "Event", body.encode())

    async def _send_to_queue(self, name: str, event: bytes, attributes: dict[str, str]) -> None:
        queue = self._resources[name].properties.get("DeadLetterConfig")
        if queue is not None:
            await self.services.send_message(self._role(name), queue["TargetArn"], event.decode(), attributes)


def _app(handle: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive))
        await response(scope, receive, send)

    return app


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=600,  # a test that waits for something must not find its connection closed
        timeout_graceful_shutdown=1,
    )
