"""Runs LocalStack's Lambda functions as processes of this machine: its own executor wants Docker.

An executor is one execution environment. It starts AWS's own runtime interface client on the function's code and
serves it the Lambda Runtime API (2018-06-01). After a timeout or a crash the next invocation gets a new process.
"""

import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from localstack import config
from localstack.aws.api.lambda_ import PackageType
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import LambdaRuntimeException, RuntimeExecutor

LOOPBACK = "127.0.0.1"
API = "/2018-06-01/runtime"


class Outcome(NamedTuple):
    """What a function answered, as JSON."""

    is_error: bool
    body: bytes


class HostExecutor(RuntimeExecutor):
    """One execution environment, whose function runs on this machine, as this user."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:
        super().__init__(id=id, function_version=function_version)
        name = f"{function_version.id.function_name}-{id[:8]}.log"
        self._log_file = Path(os.environ["ASYNCJOB_FUNCTION_LOGS"], name)
        self._environment: dict[str, str] = {}
        self._process: FunctionProcess | None = None

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        settings, known = function_version.config, os.environ["ASYNCJOB_FUNCTION_RUNTIME"]
        if settings.package_type != PackageType.Zip or settings.layers:
            raise LambdaRuntimeException("only functions in a zip, without layers, run here")
        if settings.runtime != known:
            raise LambdaRuntimeException(f"only {known} is installed here, not {settings.runtime}")
        settings.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Nothing: LocalStack removes the code itself."""

    def start(self, env_vars: dict[str, str]) -> None:
        ours = {name: str(value) for name, value in env_vars.items() if not name.startswith("LOCALSTACK_")}
        self._environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **ours}
        self._launch().wait_until_ready()

    def stop(self) -> None:
        if self._process is not None:
            self._process.end()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        process = self._process
        if process is None or process.has_ended:
            process = self._launch()
        begun = self._log_file.stat().st_size
        outcome = process.invoke(payload, self.function_version.config.timeout)
        logs = self._log_file.read_bytes()[begun:].decode(errors="replace")
        return InvocationResult(payload["invoke-id"], outcome.body, is_error=outcome.is_error, logs=logs)

    def get_logs(self) -> str:
        return self._log_file.read_text(errors="replace")

    def get_address(self) -> str:
        return LOOPBACK

    def get_endpoint_from_executor(self) -> str:
        return LOOPBACK

    def get_runtime_endpoint(self) -> str:
        return f"http://{LOOPBACK}:{config.GATEWAY_LISTEN[0].port}"

    def _launch(self) -> "FunctionProcess":
        settings = self.function_version.config
        place = settings.code.get_unzipped_code_location()
        environment = self._environment | {"LAMBDA_TASK_ROOT": str(place)}
        with self._log_file.open("ab") as log:
            self._process = FunctionProcess(settings.handler, place, environment, log)
        return self._process


class FunctionProcess:
    """One process of a function, and the Runtime API that it talks to."""

    def __init__(self, handler: str, place: Path, environment: dict[str, str], log: IO[bytes]) -> None:
        self.has_ended = False
        self._invocations: SimpleQueue[dict[str, str] | None] = SimpleQueue()
        self._ready: Future[None] = Future()
        self._outcome: Future[Outcome] = Future()
        self._deadline_ms = 0
        self._api = RuntimeApi(self)
        threading.Thread(target=self._api.serve_forever, daemon=True).start()
        self._process = subprocess.Popen(
            [os.environ["ASYNCJOB_FUNCTION_PYTHON"], "-m", "awslambdaric", handler],
            cwd=place,
            env={**environment, "AWS_LAMBDA_RUNTIME_API": f"{LOOPBACK}:{self._api.server_port}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def wait_until_ready(self) -> None:
        """Until it asks for its first invocation. LocalStack bounds this, by `HostExecutor.stop`."""
        self._ready.result()

    def invoke(self, invocation: dict[str, str], timeout: int) -> Outcome:
        """Run the function once; what has not ended in `timeout` seconds is killed."""
        self._outcome = Future()
        self._deadline_ms = int((time.time() + timeout) * 1000)
        self._invocations.put(invocation)
        if self.has_ended:  # after the caller had looked
            return self._lost()
        try:
            return self._outcome.result(timeout)
        except TimeoutError:
            self.end()
            return _error("Sandbox.Timedout", f"Task timed out after {timeout}.00 seconds")

    def end(self) -> None:
        """Kill it, with what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def next(self) -> tuple[dict[str, str], bytes] | None:
        """The headers and the body of the next invocation, once there is one; None after the end."""
        _settle(self._ready, None)
        invocation = self._invocations.get()
        if invocation is None:
            return None
        headers = {
            "Content-Type": "application/json",  # AWS's client crashes without it
            "Lambda-Runtime-Aws-Request-Id": invocation["invoke-id"],
            "Lambda-Runtime-Deadline-Ms": str(self._deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": invocation["trace-id"],
        }
        return headers, invocation["payload"].encode()

    def answered(self, outcome: Outcome) -> None:
        """The function has returned, or raised."""
        _settle(self._outcome, outcome)

    def failed_to_begin(self, body: bytes) -> None:
        """The function's module cannot be imported."""
        _settle(self._ready, StatusErrorException("the function's module cannot be imported", payload=body))
        _settle(self._outcome, Outcome(is_error=True, body=body))

    def _watch(self) -> None:
        self._process.wait()
        self.has_ended = True
        lost = self._lost()
        _settle(self._ready, StatusErrorException("the function's process has ended", payload=lost.body))
        _settle(self._outcome, lost)
        self._invocations.put(None)
        self._api.shutdown()
        self._api.server_close()

    def _lost(self) -> Outcome:
        return _error("Runtime.ExitError", f"Runtime exited with error: exit status {self._process.returncode}")


class RuntimeApi(ThreadingHTTPServer):
    """Serves the Runtime API to one process."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, process: FunctionProcess) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.process = process


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        invocation = self.server.process.next() if self.path == f"{API}/invocation/next" else None
        if invocation is None:
            self._answer(404)
        else:
            self._answer(200, *invocation)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == f"{API}/init/error":
            self.server.process.failed_to_begin(body)
        else:
            self.server.process.answered(Outcome(is_error=self.path.endswith("/error"), body=body))
        self._answer(202)

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"{}") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: LocalStack logs the invocations."""


def _error(kind: str, message: str) -> Outcome:
    return Outcome(is_error=True, body=json.dumps({"errorType": kind, "errorMessage": message}).encode())


def _settle(future: Future[Any], value: object) -> None:
    """Set its result or its exception, unless something else came first."""
    with suppress(InvalidStateError):
        if isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
