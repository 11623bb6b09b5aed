"""The double of Lambda, against what Lambda documents of an asynchronous event: its queue, its runs, and its end.

Everything runs in real processes. A function tells the test where it is by files in a directory that both know, and is
told to go on by one, so no test waits for a time to pass.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.aws.double.clock import Clock
from tests.aws.double.functions import (
    AsyncConfig,
    FunctionConfig,
    Functions,
    InvalidJson,
    InvocationRefused,
    PayloadTooLarge,
    Throttled,
)

pytestmark = pytest.mark.anyio

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"

# Each run leaves a file <request id>.<n>.<pid>, then does what the event says.
RECORDING = """
import os, pathlib, time
SEEN = pathlib.Path(os.environ["SEEN"])

def handler(event, context):
    run = len(list(SEEN.glob(context.aws_request_id + ".*")))
    (SEEN / f"{context.aws_request_id}.{run}.{os.getpid()}").touch()
    if event.get("wait"):
        while not (SEEN / "go").exists():
            time.sleep(0.005)
    if run < event.get("failures", 0):
        raise ValueError("not this time")
    return run
"""


@dataclass
class Scene:
    """A service with one function "f", and what it has told."""

    functions: Functions
    clock: Clock
    seen: Path
    logs: list[str] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def runs(self, request_id: str) -> list[int]:
        """The process of each run so far, in their order."""
        found = sorted(path.name.split(".")[1:] for path in self.seen.glob(f"{request_id}.*"))
        return [int(pid) for _, pid in found]

    def go(self) -> None:
        (self.seen / "go").touch()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # the sign is a file of another process
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@dataclass(frozen=True)
class Setting:
    """Starts services; `refusing` is what their failure destination raises."""

    seen: Path

    @asynccontextmanager
    async def __call__(
        self,
        code: str = RECORDING,
        *,
        settings: AsyncConfig | None = None,
        scale: float = 0.001,
        max_environments: int = 8,
        refusing: Exception | None = None,
        **config: Any,
    ) -> AsyncIterator[Scene]:
        async def on_failure(name: str, record: dict[str, Any]) -> None:
            if refusing:
                raise refusing
            scene.failures.append(record)

        async def on_dead_letter(name: str, event: bytes, attributes: dict[str, str]) -> None:
            scene.dead_letters.append((event, attributes))

        clock = Clock()
        functions = Functions(
            scale=scale,
            on_log=lambda name, line: scene.logs.append(line),
            on_failure=on_failure,
            on_dead_letter=on_dead_letter,
            max_environments=max_environments,
            credentials=lambda name: {},
            clock=clock,
        )
        scene = Scene(functions, clock, self.seen)
        limits: dict[str, Any] = {"timeout": 10, "memory_mb": 256, "environment": {"SEEN": str(self.seen)}} | config
        function = FunctionConfig(name="f", arn=ARN, code=code, handler="index.handler", **limits)
        await functions.start([(function, settings or AsyncConfig())])
        try:
            yield scene
        finally:
            await functions.close()
            clock.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def service(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


async def test_a_killed_environment_is_replaced_and_its_event_retried_with_the_same_request_id(
    service: Setting,
) -> None:
    async with service() as scene:
        request_id = scene.functions.send("f", b'{"wait": true}')
        await until(lambda: len(scene.runs(request_id)) == 1)
        assert scene.functions.running("f") == [request_id]
        scene.functions.kill("f", request_id)
        scene.go()
        await scene.functions.idle()
        first, second = scene.runs(request_id)
        assert first != second and gone(first)
        assert scene.functions.running("f") == [] and scene.failures == []
        with pytest.raises(LookupError):
            scene.functions.kill("f", request_id)


async def test_the_environment_of_the_next_event_can_be_killed(service: Setting) -> None:
    async with service(settings=AsyncConfig(max_retries=0)) as scene:
        scene.functions.kill_next("f")
        scene.functions.send("f", b'{"wait": true}')
        await scene.functions.idle()
        assert scene.failures[0]["responsePayload"]["errorMessage"].endswith("signal: killed")
        assert (await scene.functions.invoke("f", b"{}")).error is None


async def test_there_are_two_retries_and_then_a_record_and_a_dead_letter(service: Setting) -> None:
    async with service() as scene:
        request_id = scene.functions.send("f", b'{"failures": 9, "jobId": "1"}')
        await scene.functions.idle()
        assert len(scene.runs(request_id)) == 3
        [record] = scene.failures
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
        stack = record["responsePayload"].pop("stackTrace")
        assert "not this time" in stack[0]
        assert record == {
            "version": "1.0",
            "requestContext": {
                "requestId": request_id,
                "functionArn": f"{ARN}:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": {"failures": 9, "jobId": "1"},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {
                "errorMessage": "not this time",
                "errorType": "ValueError",
                "requestId": request_id,
            },
        }
        attributes = {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "not this time"}
        assert scene.dead_letters == [(b'{"failures": 9, "jobId": "1"}', attributes)]


async def test_an_event_that_succeeds_at_last_leaves_no_record(service: Setting) -> None:
    async with service() as scene:
        request_id = scene.functions.send("f", b'{"failures": 2}')
        await scene.functions.idle()
        assert len(scene.runs(request_id)) == 3
        assert scene.failures == [] and scene.dead_letters == []


async def test_retries_wait_one_minute_and_then_two(service: Setting) -> None:
    scale = 0.005

    async with service(scale=scale) as scene:
        request_id = scene.functions.send("f", b'{"failures": 9}')
        await scene.functions.idle()
        first, second, third = sorted(path.stat().st_mtime for path in scene.seen.glob(f"{request_id}.*"))
        assert second - first >= 0.95 * 60 * scale and third - second >= 0.95 * 120 * scale


async def test_an_event_is_given_up_where_its_retry_would_be_too_late(service: Setting) -> None:
    async with service(settings=AsyncConfig(max_age=59), scale=1) as scene:
        scene.functions.send("f", b'{"failures": 9}')
        await scene.functions.idle()
        [record] = scene.failures
        assert record["requestContext"]["condition"] == "EventAgeExceeded"
        assert record["requestContext"]["approximateInvokeCount"] == 1
        assert record["responsePayload"]["errorMessage"] == "not this time"


async def test_an_event_that_never_ran_is_given_up_at_its_age_without_a_response(service: Setting) -> None:
    async with service(settings=AsyncConfig(max_age=60)) as scene:
        scene.functions.hold("f")
        request_id = scene.functions.send("f", b"{}")
        await scene.functions.idle()
        assert scene.runs(request_id) == []
        [record] = scene.failures
        assert record["requestContext"]["condition"] == "EventAgeExceeded"
        assert record["requestContext"]["approximateInvokeCount"] == 0
        assert not record.keys() & {"responseContext", "responsePayload"}
        attributes = {"RequestID": request_id, "ErrorCode": "429", "ErrorMessage": "Rate Exceeded."}
        assert scene.dead_letters == [(b"{}", attributes)]


async def test_an_event_can_be_delivered_twice_at_once_without_any_error(service: Setting) -> None:
    async with service() as scene:
        scene.functions.deliver_twice("f")
        twice = scene.functions.send("f", b'{"wait": true}')
        await until(lambda: len(scene.runs(twice)) == 2)
        assert scene.functions.running("f") == [twice, twice]
        once = scene.functions.send("f", b"{}")
        scene.go()
        await scene.functions.idle()
        first, second = scene.runs(twice)
        assert first != second
        assert len(scene.runs(once)) == 1 and scene.failures == []


async def test_a_function_without_concurrency_keeps_its_events(service: Setting) -> None:
    async with service() as scene:
        scene.functions.hold("f")
        kept = [scene.functions.send("f", b"{}") for _ in range(3)]
        with pytest.raises(Throttled):
            await scene.functions.invoke("f", b"{}")
        assert scene.functions.running("f") == []
        scene.functions.release("f")
        await scene.functions.idle()
        assert [len(scene.runs(request_id)) for request_id in kept] == [1, 1, 1]
        assert scene.failures == []


async def test_reserved_concurrency_is_kept(service: Setting) -> None:
    async with service(reserved_concurrency=1) as scene:
        first = scene.functions.send("f", b'{"wait": true}')
        second = scene.functions.send("f", b"{}")
        await until(lambda: len(scene.runs(first)) == 1)
        assert scene.functions.running("f") == [first]
        with pytest.raises(Throttled):
            await scene.functions.invoke("f", b"{}")
        scene.go()
        await scene.functions.idle()
        assert scene.runs(first) == scene.runs(second)


async def test_with_a_reserved_concurrency_of_zero_an_event_is_given_up_at_once(service: Setting) -> None:
    async with service(reserved_concurrency=0) as scene:
        request_id = scene.functions.send("f", b"{}")
        await scene.functions.idle()
        [record] = scene.failures
        assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
        assert record["requestContext"]["approximateInvokeCount"] == 0
        assert not record.keys() & {"responseContext", "responsePayload"}
        [(_, attributes)] = scene.dead_letters
        assert attributes["RequestID"] == request_id and "ErrorCode" not in attributes
        with pytest.raises(Throttled):
            await scene.functions.invoke("f", b"{}")


async def test_events_run_at_once_in_environments_of_their_own(service: Setting) -> None:
    async with service(max_environments=2) as scene:
        events = [scene.functions.send("f", b'{"wait": true}') for _ in range(3)]
        await until(lambda: len(scene.runs(events[0])) == len(scene.runs(events[1])) == 1)
        assert sorted(scene.functions.running("f")) == sorted(events[:2])
        scene.go()
        await scene.functions.idle()
        assert len({scene.runs(event)[0] for event in events}) == 2


async def test_what_is_no_event_is_refused(service: Setting) -> None:
    async with service("def handler(event, context): return event") as scene:
        largest = b'"' + b"x" * (1_048_576 - 2) + b'"'
        scene.functions.send("f", largest)
        for body, refusal in [
            (largest[:-1] + b'x"', PayloadTooLarge),
            (b"{", InvalidJson),
            (b"NaN", InvalidJson),
            (b"\xff", InvalidJson),
        ]:
            with pytest.raises(refusal):
                scene.functions.send("f", body)
        with pytest.raises(PayloadTooLarge):
            await scene.functions.invoke("f", b" " * 6_291_457)
        with pytest.raises(KeyError):
            scene.functions.send("g", b"{}")
        await scene.functions.idle()
        assert len(scene.functions.measurements("f")) == 1 and scene.failures == []


async def test_a_throttled_api_refuses_events_until_it_is_switched_off(service: Setting) -> None:
    async with service() as scene:
        scene.functions.throttle("f")
        with pytest.raises(InvocationRefused, match="Rate Exceeded") as refused:
            scene.functions.send("f", b"{}")
        assert (refused.value.status, refused.value.code) == (429, "TooManyRequestsException")
        scene.functions.throttle("f", on=False)
        scene.functions.send("f", b"{}")
        await scene.functions.idle()
        assert len(scene.functions.measurements("f")) == 1


async def test_dropped_events_are_accepted_and_never_run(service: Setting) -> None:
    async with service() as scene:
        scene.functions.drop("f")
        lost = scene.functions.send("f", b"{}")
        scene.functions.drop("f", on=False)
        kept = scene.functions.send("f", b"{}")
        await scene.functions.idle()
        assert scene.runs(lost) == [] and len(scene.runs(kept)) == 1
        assert scene.failures == [] and scene.dead_letters == []


async def test_a_function_that_is_broken_fails_before_its_code_runs_until_it_is_not(service: Setting) -> None:
    async with service() as scene:
        scene.functions.break_down("f")
        request_id = scene.functions.send("f", b"{}")
        await scene.functions.idle()
        assert scene.runs(request_id) == [] and scene.failures[0]["requestContext"]["approximateInvokeCount"] == 3
        assert scene.failures[0]["responsePayload"]["errorType"] == "Runtime.ImportModuleError"
        scene.functions.break_down("f", on=False)
        assert (await scene.functions.invoke("f", b"{}")).error is None


async def test_pauses_and_ages_go_by_the_clock(service: Setting) -> None:
    """A minute and two between the deliveries, six hours for one that finds no environment."""
    async with service(scale=1) as scene:
        request_id = scene.functions.send("f", b'{"failures": 9}')
        for seconds, runs in ((0, 1), (59, 1), (2, 2), (117, 2), (4, 3)):
            await scene.clock.advance(seconds)
            assert len(scene.runs(request_id)) == runs
        scene.functions.hold("f")
        scene.functions.send("f", b"{}")
        await scene.clock.advance(21_500)
        assert len(scene.failures) == 1
        await scene.clock.advance(200)
        assert scene.failures[1]["requestContext"]["condition"] == "EventAgeExceeded"


async def test_code_that_does_not_load_fails_each_attempt_in_an_environment_of_its_own(service: Setting) -> None:
    async with service("print(__import__('os').getpid()); import httpx") as scene:
        scene.functions.send("f", b"{}")
        await scene.functions.idle()
        assert scene.failures[0]["responsePayload"]["errorType"] == "Runtime.ImportModuleError"
        assert len({line for line in scene.logs if line.isdigit()}) == 3


async def test_a_destination_that_fails_loses_its_record_and_nothing_else(service: Setting) -> None:
    async with service(refusing=RuntimeError("no such queue")) as scene:
        request_id = scene.functions.send("f", b'{"failures": 9}')
        await scene.functions.idle()
        assert [line for line in scene.logs if request_id in line and "no such queue" in line]
        assert scene.failures == [] and len(scene.dead_letters) == 1
        assert (await scene.functions.invoke("f", b"{}")).error is None


async def test_a_closed_service_leaves_no_process_behind(service: Setting) -> None:
    async with service() as scene:
        done, at_work = scene.functions.send("f", b"{}"), scene.functions.send("f", b'{"wait": true}')
        await until(lambda: bool(scene.runs(done) and scene.runs(at_work)))
        processes = scene.runs(done) + scene.runs(at_work)
        assert not any(gone(pid) for pid in processes)
    assert all(gone(pid) for pid in processes)
