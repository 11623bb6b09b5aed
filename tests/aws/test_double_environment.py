"""One execution environment of the double of Lambda: what a function sees, its limits, its words for each failure."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.aws.double.environment import Environment, FunctionConfig

pytestmark = pytest.mark.anyio

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a-key"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def environment(
    code: str,
    *,
    seconds: float = 10,
    memory_mb: int = 256,
    variables: dict[str, str] | None = None,
    on_log: Callable[[str], None] = print,
) -> AsyncIterator[Environment]:
    config = FunctionConfig("f", ARN, code, "index.handler", seconds, memory_mb, variables or {})
    made = Environment(config, CREDENTIALS, on_log)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


async def error_of(made: Environment) -> tuple[str, str]:
    """Type and message of the error that an event ends with."""
    result, _ = await made.run("id-1", b"{}")
    assert result.error == "Unhandled" and result.request_id == "id-1"
    error = json.loads(result.payload)
    return error["errorType"], error["errorMessage"]


def ended(pid: int) -> bool:
    # An orphan that is dead stays a zombie until the init process has looked at it.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_function_answers_and_only_the_first_run_has_an_init() -> None:
    async with environment("def handler(event, context): return {'echo': event, 'id': context.aws_request_id}") as made:
        result, cold = await made.run("id-1", b'{"a": "\xc3\xa9"}')
        assert result.error is None
        assert json.loads(result.payload) == {"echo": {"a": "é"}, "id": "id-1"}
        _, warm = await made.run("id-2", b"[]")
        assert cold.init_ms and warm.init_ms is None
        assert warm.duration_ms > 0 and 5 < warm.max_memory_mb < 256


async def test_a_function_sees_lambdas_variables_and_none_of_the_projects_code() -> None:
    code = """
import importlib.util, os
def handler(event, context):
    return {
        "variables": dict(os.environ),
        "found": [name for name in event if importlib.util.find_spec(name)],
        "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
        "remaining": context.get_remaining_time_in_millis(), "directory": os.getcwd(),
    }
"""
    async with environment(code, variables={"TABLE": "Jobs"}) as made:
        result, _ = await made.run("id-1", b'["asyncjob", "tests", "pytest", "httpx", "boto3", "index"]')
    answer = json.loads(result.payload)
    assert answer["found"] == ["boto3", "index"]
    assert answer["arn"] == ARN and answer["memory"] == "256" and 0 < answer["remaining"] <= 10_000
    variables = answer["variables"]
    assert variables["LAMBDA_TASK_ROOT"] == answer["directory"]
    assert (
        variables.items()
        >= {
            "TABLE": "Jobs",
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "_HANDLER": "index.handler",
            "TZ": ":UTC",
        }.items()
    )
    assert not variables.keys() & {"HOME", "USER", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"}


async def test_an_exception_is_the_functions_own_answer_and_its_environment_goes_on() -> None:
    async with environment("def handler(event, context): return 1 / event") as made:
        failed, _ = await made.run("id-1", b"0")
        assert failed.error == "Unhandled"
        answer = json.loads(failed.payload)
        assert "line 1, in handler" in answer.pop("stackTrace")[0]
        assert answer == {"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "requestId": "id-1"}
        fine, _ = await made.run("id-2", b"1")
        assert (fine.payload, fine.error) == (b"1.0", None)


@pytest.mark.parametrize(("letters", "error"), [(6_291_554, None), (6_291_555, "Unhandled")])
async def test_an_answer_over_the_limit_is_an_error_without_it(letters: int, error: str | None) -> None:
    code = f"def handler(event, context):\n    return 'x' * {letters}"
    async with environment(code) as made:
        result, _ = await made.run("id-1", b"{}")
    assert result.error == error
    if error:
        message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
        assert json.loads(result.payload) == {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}


async def test_the_timeout_kills_and_says_so() -> None:
    async with environment("import time\ndef handler(event, context): time.sleep(600)", seconds=0.3) as made:
        message = "RequestId: id-1 Error: Task timed out after 0.30 seconds"
        assert await error_of(made) == ("Sandbox.Timedout", message)
        assert not made.alive


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_a_process_that_ends_in_mid_run_is_an_exit_error(ending: str, reason: str) -> None:
    async with environment(f"import os\ndef handler(event, context): {ending}") as made:
        assert await error_of(made) == ("Runtime.ExitError", f"RequestId: id-1 Error: {reason}")
        assert not made.alive


async def test_memory_over_the_limit_kills_even_when_it_was_given_back() -> None:
    code = "def handler(event, context): return len(bytes(2**20) * (160 if event == {} else 32))"
    async with environment(code, memory_mb=128) as made:
        within, measurement = await made.run("id-0", b"[]")
        assert within.error is None and 32 < measurement.max_memory_mb < 128
        message = "RequestId: id-1 Error: Runtime exited with error: signal: killed"
        assert await error_of(made) == ("Runtime.ExitError", message)
        assert not made.alive


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("import httpx", "Runtime.ImportModuleError", "Unable to import module 'index': No module named 'httpx'"),
        ("def handler(", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index': '(' was never closed"),
        ("handle = print", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("import os; os._exit(7)", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
    ],
)
async def test_code_that_does_not_load_says_why(code: str, error: str, message: str) -> None:
    logs: list[str] = []
    async with environment(code, on_log=logs.append) as made:
        kind, said = await error_of(made)
        assert kind == error and message in said
        assert not made.alive
    assert logs[-1].endswith(f"Status: error\tError Type: {error}")


async def test_code_that_never_finishes_loading_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.aws.double.environment.INIT_SECONDS", 0.1)
    async with environment("import time; time.sleep(600)", seconds=0.1) as made:
        assert (await error_of(made))[0] == "Sandbox.Timedout"


async def test_the_log_has_what_was_written_between_the_start_and_the_end_of_its_run() -> None:
    code = """
import logging, sys
print("loaded")
def handler(event, context):
    print("one", flush=True)
    print("two", file=sys.stderr)
    logging.warning("three")
"""
    logs: list[str] = []
    async with environment(code, on_log=logs.append) as made:
        await made.run("id-1", b"{}")
        await made.run("id-2", b"{}")
    assert logs[:4] == ["loaded", "START RequestId: id-1 Version: $LATEST", "one", "two"]
    assert logs[4].startswith("[WARNING]\t") and logs[4].endswith("Z\tid-1\tthree")
    assert logs[5] == "END RequestId: id-1"
    number = r"\d+\.\d\d ms"
    report = rf"Duration: {number}\tMemory Size: 256 MB\tMax Memory Used: \d+ MB"
    assert re.fullmatch(rf"REPORT RequestId: id-1\t{report}\tInit Duration: {number}", logs[6])
    assert logs[7] == "START RequestId: id-2 Version: $LATEST"
    assert re.fullmatch(rf"REPORT RequestId: id-2\t{report}", logs[-1])


async def test_a_closed_environment_leaves_no_process_and_no_file_behind() -> None:
    code = """
import os, subprocess
def handler(event, context): return [os.getpid(), subprocess.Popen(["sleep", "600"]).pid, os.getcwd()]
"""
    async with environment(code) as made:
        result, _ = await made.run("id-1", b"{}")
        process, child, directory = json.loads(result.payload)
        assert not ended(process) and not ended(child) and os.path.exists(directory)  # noqa: ASYNC240
    assert ended(process) and not os.path.exists(directory)  # noqa: ASYNC240
    async with asyncio.timeout(20):
        while not ended(child):  # noqa: ASYNC110  # its parent is gone, so nobody here is told
            await asyncio.sleep(0.005)
