"""LocalStack in a process of its own: on loopback, in a folder of its own, and gone with all that it started."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent.parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "localstack-env" / "bin" / "python"
RUNTIME = "python3.13"  # of Lambda
FUNCTION_PYTHON = VENV / "lambda-env" / "bin" / "python"
INSIDE = Path(__file__).parent / "inside"

SERVICES = (
    "apigateway,cloudformation,cloudwatch,dynamodb,dynamodbstreams,iam,kinesis,lambda,logs,s3,scheduler,sns,sqs,ssm,sts"
)
ENTRY_POINTS = """\
[localstack.lambda.runtime_executor]
host = asyncjob_hooks:HostExecutorPlugin

[localstack.hooks.on_infra_start]
asyncjob_end_with_the_run = asyncjob_hooks:end_with_the_run
asyncjob_stay_on_loopback = asyncjob_hooks:stay_on_loopback
asyncjob_keep_tables_and_streams_in_moto = asyncjob_hooks:keep_tables_and_streams_in_moto
"""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
START_SECONDS = 180
STOP_SECONDS = 20
PR_SET_CHILD_SUBREAPER = 36


class NotStarted(Exception):
    """LocalStack does not run; the message says why, with the end of its log."""


class LocalStack:
    """LocalStack, from `with` to its end.

    Args:
        folder: an empty one, for what it writes and for the logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "localstack.log"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder / "home"),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what LocalStack leaves behind becomes our child
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-m", "localstack.runtime.main"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment | self._settings(),
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            self._wait_until_up(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def aws(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run AWS's command line against it."""
        command = [str(PYTHON.with_name("aws")), *arguments]
        return subprocess.run(command, env=self._environment | self.client, cwd=cwd, capture_output=True, text=True)

    def wait(self) -> None:
        """Until it ends, which it does by itself only if something is wrong."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End it, and what it has left behind."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        while orphans := _children():
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _settings(self) -> dict[str, str]:
        """LocalStack's own: nothing is downloaded, sent or asked for."""
        plugins, temporary, logs = (self.folder / name for name in ("plugins", "tmp", "functions"))
        about = plugins / "asyncjob_localstack-0.dist-info"
        for folder in (about, temporary, logs, Path(self._environment["HOME"])):
            folder.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: asyncjob-localstack\nVersion: 0\n")
        (about / "entry_points.txt").write_text(ENTRY_POINTS)
        return {
            **CREDENTIALS,
            "AWS_EC2_METADATA_DISABLED": "true",  # or one of its clients asks for credentials there
            "PYTHONPATH": os.pathsep.join([str(INSIDE), str(plugins)]),
            "TMPDIR": str(temporary),
            "FILESYSTEM_ROOT": str(self.folder / "filesystem"),
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "LOCALSTACK_HOST": f"localhost:{self.port}",
            "DNS_ADDRESS": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "SERVICES": SERVICES,
            "STRICT_SERVICE_LOADING": "1",
            "EAGER_SERVICE_LOADING": "1",  # a service that is loaded during the end keeps LocalStack from ending
            "CFN_VERBOSE_ERRORS": "1",
            "SQS_ENDPOINT_STRATEGY": "path",
            "LAMBDA_RUNTIME_EXECUTOR": "host",
            "PYTHON_CPU_COUNT": "28",  # and 4: events of one function at a time
            "ASYNCJOB_FUNCTION_RUNTIME": RUNTIME,
            "ASYNCJOB_FUNCTION_PYTHON": str(FUNCTION_PYTHON),
            "ASYNCJOB_FUNCTION_LOGS": str(logs),
            "ASYNCJOB_TABLES_PYTHON": sys.executable,
            "ASYNCJOB_ROOT": str(ROOT),
        }

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise NotStarted(f"LocalStack ended with status {process.returncode}\n{self._tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/_localstack/health", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        raise NotStarted(f"LocalStack is not up after {START_SECONDS} seconds\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _children() -> list[int]:
    """The processes whose parent is this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == os.getpid():
            found.append(int(stat.parent.name))
    return found
