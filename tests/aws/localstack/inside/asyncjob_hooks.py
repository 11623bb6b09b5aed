"""What LocalStack 4.14 needs to run without Docker, downloads and the network; it loads this as its own plug-ins.

No file of LocalStack's is changed. Only what is named here is replaced, in the running process.
"""

import ctypes
import logging
import os
import signal
from collections.abc import MutableMapping
from functools import partial
from types import SimpleNamespace

from localstack.constants import DEFAULT_AWS_ACCOUNT_ID
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
def keep_tables_and_streams_in_moto() -> None:
    """LocalStack would download DynamoDB Local and Kinesis Mock; the providers in front of them stay LocalStack's."""
    from localstack.services.dynamodb.provider import DynamoDBProvider
    from localstack.services.dynamodb.server import DynamodbServer
    from localstack.services.kinesis.provider import KinesisProvider
    from localstack.utils.common import TMP_THREADS, ShellCommandThread

    def start(self: DynamodbServer) -> ShellCommandThread:
        command = [os.environ["ASYNCJOB_TABLES_PYTHON"], "-m", "tests.aws.localstack.tables", str(self.port)]
        variables = {"MOTO_ACCOUNT_ID": DEFAULT_AWS_ACCOUNT_ID, "PYTHONPATH": os.environ["ASYNCJOB_ROOT"]}
        thread = ShellCommandThread(command, auto_restart=True, name="tables", env_vars=variables)
        TMP_THREADS.append(thread)
        thread.start()
        return thread

    prepared = DynamoDBProvider.prepare_request_headers

    def prepare(headers: MutableMapping[str, str], account_id: str, region_name: str) -> None:
        """LocalStack's API Gateway passes the client's Content-Type on, by which moto tells the protocol."""
        prepared(headers, account_id=account_id, region_name=region_name)
        headers["Content-Type"] = "application/x-amz-json-1.0"

    def address(_self: KinesisProvider, _account: str, _region: str) -> str:
        return str(DynamodbServer.get().url)

    DynamodbServer.do_start_thread = start
    DynamoDBProvider.prepare_request_headers = staticmethod(prepare)
    KinesisProvider.get_forward_url = address
