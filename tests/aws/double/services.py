"""DynamoDB, SQS, Lambda's API and the logs, as API Gateway and the functions meet them.

Every call is made as a role and is checked against its policies first: moto, which keeps tables and queues, would let
everybody do everything. Faults are switched on here too, between the caller and moto.
"""

import asyncio
import functools
import hashlib
import itertools
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from moto.moto_server.werkzeug_app import create_backend_app
from moto.server import ThreadedMotoServer
from starlette.requests import Request
from starlette.responses import Response

from tests.aws.double.clock import Clock
from tests.aws.double.cloudformation import Stack
from tests.aws.double.functions import Functions, InvocationRefused
from tests.aws.double.iam import AccessDenied, Policies
from tests.aws.double.signature import InvalidSignature, access_key, check
from tests.aws.double.tables import Tables, parts, undefined

if TYPE_CHECKING:
    from tests.aws.double.schedules import Schedules

LARGEST_KEY = 2_048
DYNAMODB = "com.amazonaws.dynamodb.v20120810#"
REGION, ACCOUNT = "us-east-1", "123456789012"
TESTER = "AKIATESTER", "tester"
MOTO_ACCOUNT = "x-moto-account-id"

_numbers = itertools.count(1)
_environments = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What a service has answered."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Kill:
    action: str
    after: bool
    matching: Callable[[dict[str, Any]], bool]


class Services:
    """The services of one stack.

    Args:
        stack: with the resources.
        policies: of its roles.
        clock: whose time it is.

    Attributes:
        logs: the lines of each log group that were written by somebody who may.
        refused: what was refused, in AWS's words, in order.
        tables: DynamoDB's, with their streams.
    """

    def __init__(self, stack: Stack, policies: Policies, clock: Clock) -> None:
        self.stack = stack
        self.policies = policies
        self.clock = clock
        self.functions: Functions
        self.schedules: Schedules | None = None
        self.logs: dict[str, list[str]] = defaultdict(list)
        self.refused: list[str] = []
        self._faults: dict[tuple[str, str | None], str] = {}
        self._kills: list[_Kill] = []
        roles = [role.attributes["Arn"] for role in stack.of_type("AWS::IAM::Role")]
        self._roles = {_key(arn)[0]: arn for arn in roles}
        # The double's own calls take a third of the time without a socket and a thread for each.
        self._http = {service: _client(service) for service in ("dynamodb", "sqs")}
        # moto keeps everything of a process in one place; an account of its own keeps doubles apart.
        self._moto_account = f"{next(_numbers):012d}"
        self.tables = Tables(stack, self._moto_account, REGION, clock, self._moto_dynamodb)

    async def start(self) -> None:
        """Make the tables and queues."""
        await asyncio.to_thread(self._create)

    def _create(self) -> None:
        for table in self.tables.definitions():
            self.moto_client("dynamodb").create_table(**table)
        for queue in self.stack.of_type("AWS::SQS::Queue"):
            name = queue.attributes["QueueName"]
            seconds = str(queue.properties.get("MessageRetentionPeriod", 345_600))
            self.moto_client("sqs").create_queue(QueueName=name, Attributes={"MessageRetentionPeriod": seconds})

    def moto_client(self, service: str) -> Any:
        """A client that looks behind the policies, for tests; what it writes leaves no record in a stream."""
        host, port = _server().get_host_and_port()
        client = boto3.client(
            service,
            endpoint_url=f"http://{host}:{port}",
            region_name=REGION,
            aws_access_key_id=TESTER[0],
            aws_secret_access_key=TESTER[1],
        )
        client.meta.events.register("before-sign", self._add_account)
        return client

    def _add_account(self, request: Any, **_: Any) -> None:
        request.headers[MOTO_ACCOUNT] = self._moto_account

    async def close(self) -> None:
        """Close the clients of the services behind."""
        for client in self._http.values():
            client.close()

    @contextmanager
    def failing(self, action: str, error: str, role: str | None = None) -> Iterator[None]:
        """While it lasts, DynamoDB refuses an action.

        Args:
            action: such as `dynamodb:UpdateItem`.
            error: the exception's name; those that begin with `Internal` or `Service` are a 500, others a 400. With
                `AnswerLost` it is done, if it may be, and a 500 all the same.
            role: only the calls of the role with this logical id.
        """
        key = action, None if role is None else self.stack.named(role).attributes["Arn"]
        self._faults[key] = error
        try:
            yield
        finally:
            del self._faults[key]

    @contextmanager
    def killing(
        self,
        action: str,
        *,
        after: bool,
        matching: Callable[[dict[str, Any]], bool] = lambda request: True,
        times: int = 1,
    ) -> Iterator[None]:
        """While it lasts, SIGKILL the functions' processes that call DynamoDB so; what they call is done, or is not.

        Args:
            action: such as `dynamodb:UpdateItem`.
            after: whether the process dies after what it calls was done, or before.
            matching: given the request; whether it is such a call.
            times: how many calls.
        """
        kills = [_Kill(action, after, matching)] * times
        self._kills += kills
        try:
            yield
        finally:
            for kill in kills:
                if kill in self._kills:
                    self._kills.remove(kill)

    async def dynamodb(self, role: str | None, operation: str, body: bytes) -> Answer:
        """Call an operation of DynamoDB as a role; None is the tester, who may do everything."""
        action = f"dynamodb:{operation}"
        try:
            request = json.loads(body)
        except ValueError:  # also what a template writes to have its request refused
            refusal = json.dumps({"__type": "com.amazon.coral.service#SerializationException"})
            return Answer(400, refusal.encode(), (("content-type", "application/x-amz-json-1.0"),))
        try:
            for needed, table, _ in parts(operation, request):
                self.require(role, f"dynamodb:{needed}", f"{self._prefix('dynamodb')}:table/{table}")
        except AccessDenied as denied:
            return _error(400, "com.amazon.coral.service#AccessDeniedException", str(denied), "Message")
        fault = self._faults.get((action, role)) or self._faults.get((action, None))
        if fault == "AnswerLost":
            answer = self._done(operation, body)
            return _error(500, f"{DYNAMODB}InternalServerError", "") if answer.status == 200 else answer
        if fault:
            status = 500 if fault.startswith(("Internal", "Service")) else 400
            return _error(status, DYNAMODB + fault, "a fault of this test")
        for name, value in request.get("Key", {}).items():
            if value.get("S") == "":
                message = (
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    f"an empty string value. Key: {name}"
                )
                return _error(400, "com.amazon.coral.validate#ValidationException", message)
            if len(value.get("S", "").encode()) > LARGEST_KEY:
                message = (
                    "One or more parameter values were invalid: "
                    f"Size of hashkey has exceeded the maximum size limit of{LARGEST_KEY} bytes"
                )
                return _error(400, "com.amazon.coral.validate#ValidationException", message)
        if problem := undefined(request):
            return _error(400, "com.amazon.coral.validate#ValidationException", problem)
        return self._done(operation, body)

    def _done(self, operation: str, body: bytes) -> Answer:
        status, answer = self.tables.call(operation, body)
        return Answer(status, answer, (("content-type", "application/x-amz-json-1.0"),))

    def _moto_dynamodb(self, operation: str, body: bytes) -> tuple[int, bytes]:
        answer = self._forward("dynamodb", f"DynamoDB_20120810.{operation}", body)
        return answer.status, answer.body

    async def send_message(self, role: str | None, arn: str, body: str, attributes: dict[str, str]) -> None:
        """Put a message in a queue, as a role.

        Raises:
            AccessDenied: it may not.
        """
        self.require(role, "sqs:SendMessage", arn)
        request = {
            "QueueUrl": f"http://sqs/{ACCOUNT}/{arn.rpartition(':')[2]}",
            "MessageBody": body,
            "MessageAttributes": {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()},
        }
        answer = self._forward("sqs", "AmazonSQS.SendMessage", json.dumps(request).encode())
        assert answer.status == 200, answer.body

    async def invoke(self, role: str | None, function: str, kind: str, event: bytes) -> Answer:
        """Lambda's Invoke, as a role.

        Args:
            role: who calls.
            function: its name or ARN.
            kind: `Event` or `RequestResponse`.
            event: the payload.
        """
        name = function.rpartition(":")[2]
        try:
            self.require(role, "lambda:InvokeFunction", f"{self._prefix('lambda')}:function:{name}")
            if kind == "Event":
                return Answer(202, b"", (("x-amzn-requestid", self.functions.send(name, event)),))
            result = await self.functions.invoke(name, event)
        except AccessDenied as denied:
            return Answer(403, json.dumps({"Message": str(denied)}).encode())
        except InvocationRefused as refused:
            body = {"Type": "User", "message": str(refused)}
            return Answer(refused.status, json.dumps(body).encode(), (("x-amzn-errortype", refused.code),))
        headers = [("x-amzn-requestid", result.request_id)]
        if result.error:
            headers.append(("x-amz-function-error", result.error))
        return Answer(200, result.payload, tuple(headers))

    def log(self, role: str | None, group: str, line: str) -> None:
        """Write a line to a log group, as a role; what it may not write is lost."""
        stream = f"{self._prefix('logs')}:log-group:{group}:log-stream:double"
        try:
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                self.require(role, action, stream)
        except AccessDenied:
            return
        self.logs[group].append(line)

    async def endpoint(self, request: Request) -> Response:
        """Answer what the AWS SDKs send over HTTP, to whichever service."""
        body = await request.body()
        try:
            role = self.signer(request.method, str(request.url), dict(request.headers), body, _service(request))
        except InvalidSignature as error:
            return _response(_error(403, "InvalidSignatureException", str(error)))
        target = request.headers.get("x-amz-target", "")
        if target.startswith("DynamoDB_"):
            caller = request.headers.get("x-amz-security-token", "")
            return _response(await self._survived(caller, role, target.rpartition(".")[2], body))
        if target.startswith("AmazonSQS.") and role is None:
            return _response(self._forward("sqs", target, body))
        path = request.url.path.split("/")
        if path[1] == "schedules" and len(path) == 3 and self.schedules is not None:
            return _response(self.schedules.answer(role, request.method, path[2], body))
        if path[1:3] == ["2015-03-31", "functions"] and path[-1] == "invocations":
            kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
            return _response(await self.invoke(role, path[3], kind, body))
        return _response(_error(404, "UnknownOperationException", f"this double has no {target or request.url.path}"))

    async def _survived(self, token: str, role: str | None, operation: str, body: bytes) -> Answer:
        """The answer to a call of DynamoDB, whose caller may be killed before or after it is done."""
        calls = [kill for kill in self._kills if kill.action == f"dynamodb:{operation}"]
        kill = next((kill for kill in calls if kill.matching(json.loads(body))), None) if token else None
        if kill is None:
            return await self.dynamodb(role, operation, body)
        self._kills.remove(kill)
        if kill.after:
            await self.dynamodb(role, operation, body)
        self.functions.kill_owner(token)
        return _error(500, f"{DYNAMODB}InternalServerError", "its caller is dead")

    def credentials(self, role: str) -> dict[str, str]:
        """The environment variables with which a function is its role; a token of its own for each environment."""
        key, secret = _key(role)
        token = f"{_token(key)}-{next(_environments)}"
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    def signer(self, method: str, url: str, headers: Mapping[str, str], body: bytes, service: str) -> str | None:
        """The role whose credentials have signed a request, or None for the tester.

        Raises:
            InvalidSignature: nobody has signed it, or it has changed since.
        """
        key = access_key(headers.get("authorization", ""))
        role = self._roles.get(key)
        if role is None and key != TESTER[0]:
            raise InvalidSignature(f"the access key {key} is not known")
        if role is not None and not headers.get("x-amz-security-token", "").startswith(_token(key)):
            raise InvalidSignature("credentials of a role are nothing without their token")
        secret = TESTER[1] if role is None else _key(role)[1]
        check(method, url, headers, body, secret, REGION, service, now=self.clock.now())
        return role

    def require(self, role: str | None, action: str, resource: str, context: Mapping[str, str] | None = None) -> None:
        """Let a role do something, or note the refusal; None is the tester.

        Raises:
            AccessDenied: it may not.
        """
        if role is None:
            return
        try:
            self.policies.require(role, action, resource, context)
        except AccessDenied as denied:
            self.refused.append(str(denied))
            raise

    def _prefix(self, service: str) -> str:
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}"

    def _forward(self, service: str, target: str, body: bytes) -> Answer:
        headers = {
            "x-amz-target": target,
            "content-type": "application/x-amz-json-1.0",
            MOTO_ACCOUNT: self._moto_account,
            "authorization": f"AWS4-HMAC-SHA256 Credential={TESTER[0]}/20260101/{REGION}/{service}/aws4_request",
        }
        answer = self._http[service].post("/", content=body, headers=headers)
        return Answer(answer.status_code, answer.content, (("content-type", "application/x-amz-json-1.0"),))


@functools.cache
def _server() -> ThreadedMotoServer:
    """moto over HTTP, for `moto_client`. One for all doubles of a process: to stop one takes a quarter of a second."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would print each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    return server


def _client(service: str) -> httpx.Client:
    return httpx.Client(base_url="http://127.0.0.1", transport=httpx.WSGITransport(app=_application(service)))


@functools.cache
def _application(service: Any) -> Any:
    """One service of moto: its server lists its own source files at each request to find out which is meant."""
    return create_backend_app(service)


def _key(role: str) -> tuple[str, str]:
    """The access key of a role: its id, and its secret."""
    key = f"ASIA{hashlib.sha256(role.encode()).hexdigest()[:16].upper()}"
    return key, f"secret-of-{key}"


def _token(key: str) -> str:
    return f"token-of-{key}"


def _service(request: Request) -> str:
    """The service that a request is for, as it must be signed."""
    target = request.headers.get("x-amz-target", "")
    rest = "scheduler" if request.url.path.startswith("/schedules/") else "lambda"
    return {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs"}.get(target.partition(".")[0], rest)


def _error(status: int, kind: str, message: str, key: str = "message") -> Answer:
    body = json.dumps({"__type": kind, key: message}).encode()
    return Answer(status, body, (("content-type", "application/x-amz-json-1.0"), ("x-amzn-errortype", kind)))


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))
