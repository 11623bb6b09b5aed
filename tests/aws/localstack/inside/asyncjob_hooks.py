"""What LocalStack 4.14 needs to run without Docker, downloads and the network; it loads this as its own plug-ins.

No file of LocalStack's is changed. Only what is named here is replaced, in the running process.
"""

import ctypes
import logging
import os
import signal
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

from localstack.runtime import hooks
from localstack.runtime.server import twisted
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor
from localstack.utils.aws import aws_stack
from twisted.internet import endpoints

LOG = logging.getLogger(__name__)
PR_SET_PDEATHSIG = 1


class HostExecutorPlugin(RuntimeExecutorPlugin):
    """LAMBDA_RUNTIME_EXECUTOR=host."""

    name = "host"

    def load(self, *_args: object, **_kwargs: object) -> type[RuntimeExecutor]:
        from asyncjob_executor import HostExecutor

        return HostExecutor


@hooks.on_infra_start()
def end_with_the_run() -> None:
    """Not even a run that is killed leaves this process behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@hooks.on_infra_start()
def stay_on_loopback() -> None:
    """LocalStack takes the port of GATEWAY_LISTEN, not its address, and asks the DNS where its S3 is."""
    twisted.endpoints = SimpleNamespace(
        TCP4ServerEndpoint=partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1"),
        TCP6ServerEndpoint=endpoints.TCP6ServerEndpoint,
    )
    aws_stack.CACHE_S3_HOSTNAME_DNS_STATUS = False


@hooks.on_infra_start()
def keep_tables_in_dynalite() -> None:
    """LocalStack would download DynamoDB Local and a Java runtime; the provider in front of it stays LocalStack's."""
    from localstack.services.dynamodb.provider import DynamoDBProvider
    from localstack.services.dynamodb.server import DynamodbServer
    from localstack.utils.common import TMP_THREADS, ShellCommandThread

    def start(self: DynamodbServer) -> ShellCommandThread:
        command = ["node", os.environ["ASYNCJOB_DYNALITE"], "--host", "127.0.0.1", "--port", str(self.port)]
        thread = ShellCommandThread(command, auto_restart=True, name="dynalite")
        TMP_THREADS.append(thread)
        thread.start()
        return thread

    completed = DynamoDBProvider.prepare_request_headers

    def complete(headers: dict[str, str], account_id: str, region_name: str) -> None:
        """LocalStack's API Gateway leaves out two headers that dynalite, like DynamoDB, insists on."""
        completed(headers, account_id=account_id, region_name=region_name)
        headers.setdefault("Content-Type", "application/x-amz-json-1.0")
        if "Date" not in headers:
            headers.setdefault("X-Amz-Date", datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))

    DynamodbServer.do_start_thread = start
    DynamoDBProvider.prepare_request_headers = staticmethod(complete)
