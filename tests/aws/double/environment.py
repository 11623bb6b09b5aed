"""One execution environment of Lambda: a process under the real runtime client, and the Runtime API that it polls.

The process is `python -m awslambdaric`, the client that AWS ships in its own images, so a handler's errors, logs and
context are the real ones. What Lambda's host does around that client is here: the limits of time and memory, and the
words for a process that is gone. An environment takes one invocation after another; whoever owns it replaces it when
it is no longer `alive`.

The process must not see more than it would on AWS. It gets a directory with `index.py`, or what a zip holds, Lambda's
variables, and the libraries of the managed runtime (the runtime client and boto3) by symlinks: `-S` and the directory
of links keep everything else out that is installed beside them, the project itself first of all. Its time is the
double's (function_time.py).
"""

import asyncio
import json
import os
import re
import signal
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.aws.double.clock import Clock
from tests.aws.double.interpreter import INTERPRETER

INIT_SECONDS = 10.0
"""What Lambda gives an environment to start, before the time counts as the invocation's."""

MEMORY_WATCH_SECONDS = 0.02
RUNTIME_LIBRARIES = (
    *("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"),
)
LARGEST_HEAD = 2 * 1024 * 1024
"""Bytes. The runtime client sends the cause of an error as a header, up to 1 MB of it."""
LARGEST_RESPONSE = 6_291_556
"""Bytes, as Lambda itself counts them where it refuses more."""
TOO_LARGE = {
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": f"Response payload size exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes).",
}
FUNCTION_TIME = Path(__file__).with_name("function_time.py")


@dataclass(frozen=True)
class FunctionConfig:
    """What a template says of a function."""

    name: str
    arn: str
    code: str | Path
    """The text of index.py, or a zip."""
    handler: str
    """As "index.handler"."""
    timeout: float
    """Seconds."""
    memory_mb: int
    environment: dict[str, str] = field(default_factory=dict)
    reserved_concurrency: int | None = None
    """None for no reservation. With 0 Lambda runs nothing, and gives up each event at once."""
    layers: tuple[Path, ...] = ()
    """Directories of libraries, which come before those of the runtime, as /opt/python does."""


@dataclass(frozen=True)
class Result:
    """How one invocation ended."""

    payload: bytes
    """The response of the function, or the JSON of its error."""
    error: str | None
    """None, or "Unhandled"."""
    request_id: str


@dataclass(frozen=True)
class Measurement:
    """What one invocation took."""

    init_ms: float | None
    """From the start of the process until it asked for its first event; None for all but the first invocation."""
    duration_ms: float
    max_memory_mb: float
    """The largest resident memory of the process since it started."""


class Environment:
    """A process that runs one function, one invocation at a time.

    Args:
        config: The function.
        credentials: Variables that are set last, such as AWS_ACCESS_KEY_ID and an endpoint.
        on_log: Is given each line that the process writes, and the START, END and REPORT lines around each invocation.
        clock: Whose time the process sees; None for this machine's.
    """

    def __init__(
        self,
        config: FunctionConfig,
        credentials: dict[str, str],
        on_log: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self.credentials = credentials
        self._log = on_log
        self._resources = AsyncExitStack()
        root = tempfile.TemporaryDirectory(prefix="environment-")
        self._resources.callback(root.cleanup)
        self._task_root = Path(root.name, "task")
        self._task_root.mkdir()
        if isinstance(config.code, Path):
            with zipfile.ZipFile(config.code) as code:
                code.extractall(self._task_root)
        else:
            (self._task_root / "index.py").write_text(config.code)
        self._variables = self._lambda_variables(_linked_libraries(Path(root.name, "runtime"))) | credentials
        self._connections: set[asyncio.Task[None]] = set()
        self._inbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._polled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[tuple[bytes, str | None]] = asyncio.get_running_loop().create_future()
        self._request_id = ""
        self._init_error: bytes | None = None
        self._init_ms: float | None = None
        self._peak_mb = 0.0
        self._killed = False
        self._unfinished_line = b""

    async def start(self) -> None:
        """Serve the Runtime API and start the process; returns before the process has loaded its code."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LARGEST_HEAD)
        self._resources.push_async_callback(self._hang_up, server)
        self._variables["AWS_LAMBDA_RUNTIME_API"] = "{}:{}".format(*server.sockets[0].getsockname())
        self._output, process_output = os.pipe()
        os.set_blocking(self._output, False)
        asyncio.get_running_loop().add_reader(self._output, self._read_output)
        self._resources.callback(self._close_output)
        self._spawned: float | None = asyncio.get_running_loop().time()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(str(INTERPRETER.program), "-S", *self._start_up(), self._config.handler),
                cwd=self._task_root,
                env=self._variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=process_output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(process_output)
        self._exited = asyncio.create_task(self._wait_for_exit())
        self._resources.push_async_callback(self._end_process)

    def _start_up(self) -> list[str]:
        return ["-c", FUNCTION_TIME.read_text(), self._clock.path] if self._clock else ["-m", "awslambdaric"]

    @property
    def alive(self) -> bool:
        """Whether it can take another invocation."""
        return not (self._killed or self._exited.done())

    def kill(self) -> None:
        """SIGKILL, now, to the process and all that it has started."""
        self._killed = True
        if not self._exited.done():
            self._kill_group()

    async def close(self) -> None:
        """End the process and remove its directory; also after a `start` that was cancelled."""
        await self._resources.aclose()

    async def run(self, request_id: str, event: bytes, *, kill: bool = False) -> tuple[Result, Measurement]:
        """Run one invocation, within the function's limits.

        Args:
            request_id: What the function sees as its request id.
            event: JSON.
            kill: SIGKILL the process as soon as it was handed the event.
        """
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._request_id = request_id
        await self._first(self._polled, INIT_SECONDS + self._config.timeout)
        self._read_output()
        self._log(f"START RequestId: {request_id} Version: $LATEST")
        begun = loop.time()
        if self._polled.done():
            self._polled = loop.create_future()
            self._inbox.put_nowait((request_id, event))
            if kill:
                self.kill()
            await self._first(self._answer, self._config.timeout)
        payload, error = await self._outcome()
        measurement = Measurement(self._init_ms, (loop.time() - begun) * 1000, self._peak_mb)
        self._init_ms = None
        result = Result(payload, error, request_id)
        self._report(result, measurement)
        return result, measurement

    async def _first(
        self, sign: asyncio.Future[None] | asyncio.Future[tuple[bytes, str | None]], seconds: float
    ) -> None:
        """Wait for the sign, for the end of the process or for the time to be over, with an eye on the memory."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not (sign.done() or self._exited.done()) and (remaining := deadline - loop.time()) > 0:
            pause = min(MEMORY_WATCH_SECONDS, remaining)
            await asyncio.wait({sign, self._exited}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            self._watch_memory()

    async def _outcome(self) -> tuple[bytes, str | None]:
        over_memory = self._watch_memory()
        if self._answer.done() and not over_memory:
            return self._answer.result()
        if self.alive:
            self.kill()
            await self._exited
            return self._error("Sandbox.Timedout", f"Task timed out after {self._config.timeout:.2f} seconds")
        code = await self._exited
        if self._init_error is not None:
            return self._init_error, "Unhandled"
        if code == 0:
            return self._error("Runtime.ExitError", "Runtime exited without providing a reason")
        reason = f"exit status {code}" if code > 0 else f"signal: {str(signal.strsignal(-code)).lower()}"
        return self._error("Runtime.ExitError", f"Runtime exited with error: {reason}")

    def _error(self, kind: str, message: str) -> tuple[bytes, str]:
        text = f"RequestId: {self._request_id} Error: {message}"
        return json.dumps({"errorType": kind, "errorMessage": text}).encode(), "Unhandled"

    def _report(self, result: Result, measurement: Measurement) -> None:
        self._read_output()
        fields = [
            f"REPORT RequestId: {result.request_id}",
            f"Duration: {measurement.duration_ms:.2f} ms",
            f"Memory Size: {self._config.memory_mb} MB",
            f"Max Memory Used: {measurement.max_memory_mb:.0f} MB",
        ]
        if measurement.init_ms is not None:
            fields.append(f"Init Duration: {measurement.init_ms:.2f} ms")
        if result.error and not self.alive:
            kind = json.loads(result.payload)["errorType"]
            fields += ["Status: timeout"] if kind == "Sandbox.Timedout" else ["Status: error", f"Error Type: {kind}"]
        self._log(f"END RequestId: {result.request_id}")
        self._log("\t".join(fields))

    def _watch_memory(self) -> bool:
        """Whether the process has had more memory than it may have; kills it then.

        The kernel's own high-water mark is read, so that a peak between two looks, or just before the answer, counts.
        """
        if not self._exited.done():
            with suppress(OSError):
                status = Path(f"/proc/{self._process.pid}/status").read_text()
                peak = re.search(r"VmHWM:\s+(\d+) kB", status)
                self._peak_mb = int(peak[1]) / 1024 if peak else self._peak_mb
        if self._peak_mb <= self._config.memory_mb:
            return False
        self.kill()
        return True

    async def _wait_for_exit(self) -> int:
        code = await self._process.wait()
        self._kill_group()
        return code

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _end_process(self) -> None:
        self.kill()
        await self._exited

    def _read_output(self) -> None:
        """Log all that the process has written so far; called before the lines that must come after."""
        try:
            while chunk := os.read(self._output, 65_536):
                *lines, self._unfinished_line = (self._unfinished_line + chunk).split(b"\n")
                for line in lines:
                    self._log(line.decode(errors="replace"))
        except BlockingIOError:
            return
        asyncio.get_running_loop().remove_reader(self._output)

    def _close_output(self) -> None:
        self._read_output()
        if self._unfinished_line:
            self._log(self._unfinished_line.decode(errors="replace"))
        asyncio.get_running_loop().remove_reader(self._output)
        os.close(self._output)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection
        self._connections.add(connection)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                method, path, _ = head.split(" ", 2)
                status, headers, answer = await self._handle(method, path, body)
                headers |= {"Content-Type": "application/json", "Content-Length": str(len(answer))}
                lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
                writer.write("\r\n".join(lines).encode("latin-1") + answer)
                await writer.drain()
        writer.close()
        self._connections.discard(connection)

    async def _handle(self, method: str, path: str, body: bytes) -> tuple[str, dict[str, str], bytes]:
        match method, path.removeprefix("/2018-06-01/runtime/").split("/"):
            case "GET", ["invocation", "next"]:
                return await self._next()
            case "POST", ["init", "error"]:
                self._init_error = body
            case "POST", ["invocation", request_id, ("response" | "error") as kind]:
                if request_id != self._request_id or self._answer.done():
                    return (
                        "400 Bad Request",
                        {},
                        b'{"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"}',
                    )
                if len(body) > LARGEST_RESPONSE:
                    self._answer.set_result((json.dumps(TOO_LARGE).encode(), "Unhandled"))
                    return "413 Request Entity Too Large", {}, json.dumps(TOO_LARGE).encode()
                self._answer.set_result((body, "Unhandled" if kind == "error" else None))
            case _:
                return "404 Not Found", {}, b'{"errorType": "NotFound", "errorMessage": "No such route"}'
        return "202 Accepted", {}, b'{"status": "OK"}'

    async def _next(self) -> tuple[str, dict[str, str], bytes]:
        if self._spawned is not None:
            self._init_ms = (asyncio.get_running_loop().time() - self._spawned) * 1000
            self._spawned = None
        self._polled.set_result(None)
        request_id, event = await self._inbox.get()
        now = self._clock.now() if self._clock else time.time()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + self._config.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._config.arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        return "200 OK", headers, event

    async def _hang_up(self, server: asyncio.Server) -> None:
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections)
        await server.wait_closed()

    def _lambda_variables(self, libraries: Path) -> dict[str, str]:
        config, region = self._config, self._config.arn.split(":")[3]
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **inherited,
            "TZ": ":UTC",
            "PYTHONPATH": os.pathsep.join(map(str, [*config.layers, libraries])),
            "LAMBDA_TASK_ROOT": str(self._task_root),
            "_HANDLER": config.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{INTERPRETER.version}",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": config.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{config.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": time.strftime("%Y/%m/%d/[$LATEST]", time.gmtime()) + uuid.uuid4().hex,
            **config.environment,
        }


def _linked_libraries(directory: Path) -> Path:
    directory.mkdir()
    for name in RUNTIME_LIBRARIES:
        found = [*INTERPRETER.libraries.glob(name), *INTERPRETER.libraries.glob(f"{name}.*")]
        for source in found:
            (directory / source.name).symlink_to(source)
        if not found:
            raise ModuleNotFoundError(f"the managed runtime has {name}, {INTERPRETER.libraries} has not", name=name)
    return directory
