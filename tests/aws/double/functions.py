"""Lambda: the queue of asynchronous events in front of the execution environments, and what becomes of those that fail.

An event is one asyncio task from its acceptance until it has succeeded or was given up, so that what Lambda promises
reads from top to bottom in one place: the wait for an environment, the runs, the pauses between them, the age. They
last until the clock says so, and `scale` times what they last on AWS, for tests that do not move the clock. Faults are
asked for by name (`deliver_twice`, `kill_next`, `hold`, `throttle`, `drop`, `break_down`): each is one that Lambda
documents, or a function that is deployed broken.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

from tests.aws.double.clock import Clock
from tests.aws.double.concurrency import Concurrency, Slots
from tests.aws.double.environment import Environment, FunctionConfig, Measurement, Result
from tests.aws.double.events import AsyncConfig, Event, dead_letter_attributes, failure_record

__all__ = [
    "AsyncConfig",
    "FunctionConfig",
    "Functions",
    "InvalidJson",
    "InvocationRefused",
    "Measurement",
    "PayloadTooLarge",
    "Result",
    "Throttled",
]

LARGEST_EVENT = 1_048_576
LARGEST_REQUEST = 6_291_456
RETRY_SECONDS = 60.0
BROKEN = json.dumps(
    {
        "errorType": "Runtime.ImportModuleError",
        "errorMessage": "Unable to import module 'index': No module named 'left'",
    }
).encode()

T = TypeVar("T")


class InvocationRefused(Exception):
    """Lambda's API has not taken the event.

    InvocationRefused
      PayloadTooLarge
      InvalidJson
      Throttled
    """

    status: int
    code: str
    """The name of the exception in Lambda's API."""


class PayloadTooLarge(InvocationRefused):
    """Over 1,048,576 bytes for an event, over 6,291,456 for a request."""

    status = 413
    code = "RequestTooLargeException"


class InvalidJson(InvocationRefused):
    """The body is no JSON."""

    status = 400
    code = "InvalidRequestContentException"


class Throttled(InvocationRefused):
    """Too many calls, or, for a request, no environment that is free."""

    status = 429
    code = "TooManyRequestsException"


class _Function:
    def __init__(self, config: FunctionConfig, settings: AsyncConfig, slots: Slots) -> None:
        self.config = config
        self.settings = settings
        self.slots = slots
        self.environments: set[Environment] = set()
        self.waiting: list[Environment] = []
        self.running: dict[Environment, str] = {}
        self.measurements: list[Measurement] = []
        self.throttled = False
        self.deliver_twice = False
        self.kill_next = False
        self.dropped = False
        self.broken = False


class Functions:
    """The functions of one template. To be made, started and closed in one event loop.

    Args:
        scale: How long a pause before a retry, and the age of an event, last, as a part of what they last on AWS.
        on_log: Is given the name of the function and a line of its log.
        on_failure: Is given the name of the function and the record for its failure destination, as Lambda writes it.
        on_dead_letter: Is given the name of the function, the event, and the attributes of the dead letter: RequestID,
            ErrorMessage, and ErrorCode where Lambda has one.
        max_environments: How many environments one function has at most.
        credentials: Makes the variables that an environment of the function is given on top of all others.
        clock: Whose time it is.
        concurrency: Invocations at once of all functions together that have reserved none; None is no limit.
    """

    def __init__(
        self,
        *,
        scale: float = 1.0,
        on_log: Callable[[str, str], None],
        on_failure: Callable[[str, dict[str, Any]], Awaitable[None]],
        on_dead_letter: Callable[[str, bytes, dict[str, str]], Awaitable[None]],
        max_environments: int = 8,
        credentials: Callable[[str], dict[str, str]],
        clock: Clock,
        concurrency: int | None = None,
    ) -> None:
        self._clock = clock
        self._concurrency = Concurrency(concurrency, clock)
        self._scale = scale
        self._on_log = on_log
        self._on_failure = on_failure
        self._on_dead_letter = on_dead_letter
        self._max_environments = max_environments
        self._credentials = credentials
        self._functions: dict[str, _Function] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, configs: Iterable[tuple[FunctionConfig, AsyncConfig]]) -> None:
        """Take the functions; an environment starts when an event needs it.

        Raises:
            ValueError: Two functions have one name.
        """
        for config, settings in configs:
            if config.name in self._functions:
                raise ValueError(f"there is a function {config.name} already")
            slots = Slots(self._concurrency, self._max_environments, config.reserved_concurrency)
            self._functions[config.name] = _Function(config, settings, slots)

    async def close(self) -> None:
        """Forget all events and kill all environments; raises what broke this service itself, if anything did."""
        for task in self._tasks:
            task.cancel()
        endings = await asyncio.gather(*self._tasks, return_exceptions=True)
        environments = [environment for function in self._functions.values() for environment in function.environments]
        await asyncio.gather(*(environment.close() for environment in environments))
        for ending in endings:
            if isinstance(ending, Exception):
                raise ending

    def send(self, name: str, event: bytes) -> str:
        """Queue an asynchronous event (InvocationType Event) and return its request id.

        Raises:
            KeyError: There is no such function.
            PayloadTooLarge: It has more than 1,048,576 bytes.
            InvalidJson: It is no JSON.
            Throttled: `throttle` is on.
        """
        function = self._functions[name]
        _check(event, LARGEST_EVENT)
        if function.throttled:
            raise Throttled("Rate Exceeded.")
        request_id = str(uuid.uuid4())
        if function.dropped:
            return request_id
        copies, function.deliver_twice = 1 + function.deliver_twice, False
        for _ in range(copies):
            self._spawn(self._process(function, Event(request_id, event, self._clock.now())))
        return request_id

    async def invoke(self, name: str, event: bytes) -> Result:
        """Run the function and wait for it (InvocationType RequestResponse). It runs on when the caller is cancelled.

        Raises:
            KeyError: There is no such function.
            PayloadTooLarge: The event has more than 6,291,456 bytes.
            InvalidJson: It is no JSON.
            Throttled: `throttle` or `hold` is on, or no environment is free.
        """
        function = self._functions[name]
        _check(event, LARGEST_REQUEST)
        if function.throttled or function.slots.busy:
            raise Throttled("Rate Exceeded.")
        await function.slots.wait()
        return await asyncio.shield(self._spawn(self._run(function, str(uuid.uuid4()), event)))

    def throttle(self, name: str, *, on: bool = True) -> None:
        """Refuse every call to the function, until switched off."""
        self._functions[name].throttled = on

    def hold(self, name: str) -> None:
        """Leave the function no concurrency, as when others use up the account's: events stay queued till `release`."""
        self._functions[name].slots.hold(True)

    def release(self, name: str) -> None:
        """End a `hold`."""
        self._functions[name].slots.hold(False)

    def deliver_twice(self, name: str) -> None:
        """Deliver the next event twice, at once where concurrency allows, with one request id and without any error."""
        self._functions[name].deliver_twice = True

    def kill_next(self, name: str) -> None:
        """SIGKILL the environment that the next invocation is handed to, as soon as it was."""
        self._functions[name].kill_next = True

    def drop(self, name: str, *, on: bool = True) -> None:
        """Accept events and lose them, until switched off."""
        self._functions[name].dropped = on

    def break_down(self, name: str, *, on: bool = True) -> None:
        """Fail every invocation before the function's code runs, as a broken deployment does, until switched off."""
        self._functions[name].broken = on

    def kill_owner(self, token: str) -> None:
        """SIGKILL the environment that was given this AWS_SESSION_TOKEN, if it is still there."""
        for function in self._functions.values():
            for environment in function.environments:
                if environment.credentials.get("AWS_SESSION_TOKEN") == token:
                    environment.kill()

    def running(self, name: str) -> list[str]:
        """The request ids that environments of the function are at work on, also while they start."""
        return list(self._functions[name].running.values())

    def kill(self, name: str, request_id: str) -> None:
        """SIGKILL the environment, or the two, that run it.

        Raises:
            LookupError: None does.
        """
        found = [each for each, running in self._functions[name].running.items() if running == request_id]
        if not found:
            raise LookupError(f"no environment of {name} runs {request_id}")
        for environment in found:
            environment.kill()

    def measurements(self, name: str) -> list[Measurement]:
        """What each invocation that has ended took, in the order of their ends."""
        return list(self._functions[name].measurements)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued, running or waiting for a retry."""
        return not self._tasks

    async def idle(self) -> None:
        """Wait until nothing is queued, running or waiting for a retry; raises what broke this service itself."""
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._clock.spawn(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        # One that broke stays, for idle() and close() to raise it.
        if not task.cancelled() and task.exception() is None:
            self._tasks.discard(task)

    async def _process(self, function: _Function, event: Event) -> None:
        condition = await self._attempts(function, event)
        if condition is not None:
            await self._give_up(function, event, condition)

    async def _attempts(self, function: _Function, event: Event) -> str | None:
        """Run the event until it has succeeded (None), or until it is to be given up (why, in Lambda's words)."""
        if function.config.reserved_concurrency == 0:
            return "ZeroReservedConcurrency"
        expires = event.accepted + function.settings.max_age * self._scale
        while True:
            if not await function.slots.wait(expires):
                event.failure = None
                return "EventAgeExceeded"
            result = await self._run(function, event.request_id, event.body)
            if result.error is None:
                return None
            event.invoke_count += 1
            event.failure = result.payload
            if event.invoke_count > function.settings.max_retries:
                return "RetriesExhausted"
            pause = RETRY_SECONDS * event.invoke_count * self._scale
            if self._clock.now() + pause > expires:
                return "EventAgeExceeded"
            await self._clock.wait(until=self._clock.now() + pause)

    async def _run(self, function: _Function, request_id: str, body: bytes) -> Result:
        """Run one invocation in a slot that is taken already; releases it."""
        kill, function.kill_next = function.kill_next, False
        try:
            if function.broken:
                return Result(BROKEN, "Unhandled", request_id)
            environment = await self._take_environment(function)
            function.running[environment] = request_id
            try:
                result, measurement = await environment.run(request_id, body, kill=kill)
            finally:
                del function.running[environment]
            function.measurements.append(measurement)
            await self._put_back(function, environment)
        finally:
            function.slots.release()
        return result

    async def _take_environment(self, function: _Function) -> Environment:
        while function.waiting:
            environment = function.waiting.pop()
            if environment.alive:
                return environment
            await self._retire(function, environment)
        name = function.config.name
        environment = Environment(function.config, self._credentials(name), partial(self._on_log, name), self._clock)
        function.environments.add(environment)
        await environment.start()
        return environment

    async def _put_back(self, function: _Function, environment: Environment) -> None:
        if environment.alive:
            function.waiting.append(environment)
        else:
            await self._retire(function, environment)

    async def _retire(self, function: _Function, environment: Environment) -> None:
        await environment.close()
        function.environments.discard(environment)

    async def _give_up(self, function: _Function, event: Event, condition: str) -> None:
        name = function.config.name
        record = failure_record(function.config.arn, event, condition, self._clock.now())
        attributes = dead_letter_attributes(event, condition)
        for deliver in (
            partial(self._on_failure, name, record),
            partial(self._on_dead_letter, name, event.body, attributes),
        ):
            try:
                await deliver()
            except Exception as error:  # as on AWS, where only a metric counts the loss
                self._on_log(name, f"{event.request_id} is lost, its destination failed: {error!r}")


def _check(event: bytes, limit: int) -> None:
    if len(event) > limit:
        raise PayloadTooLarge(f"{len(event)} byte payload is too large (limit {limit} bytes)")
    try:
        json.loads(event.decode(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise InvalidJson(f"Could not parse request body into json: {error}") from None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
