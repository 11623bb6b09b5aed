"""A small stack for the tests of the double: a table with a stream, a function that keeps what it is given, a queue.

What a test changes is a property of a resource; the rest is as small as the double takes it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.aws.double.double import Double

# It writes each event to a file of the directory SEEN, then does what files there say: `answer` is what it returns, and
# it fails where an event has the text of `poison` in it.
CODE = """
import json, os, pathlib, time
SEEN = pathlib.Path(os.environ["SEEN"])

def handler(event, context):
    text = json.dumps(event)
    name = f"{time.monotonic_ns():020}"
    (SEEN / (name + ".part")).write_text(json.dumps({"at": time.time(), "event": event}))
    (SEEN / (name + ".part")).rename(SEEN / (name + ".json"))
    poison = SEEN / "poison"
    if poison.exists() and poison.read_text() in text:
        raise ValueError("poisoned")
    answer = SEEN / "answer"
    return json.loads(answer.read_text()) if answer.exists() else None
"""

STREAM_RIGHTS = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords", "dynamodb:ListStreams"]


def ref(name: str) -> dict[str, str]:
    """A Ref."""
    return {"Ref": name}


def arn(name: str, attribute: str = "Arn") -> dict[str, list[str]]:
    """An Fn::GetAtt."""
    return {"Fn::GetAtt": [name, attribute]}


def trust(*services: str) -> dict[str, Any]:
    """A policy by which these services may take a role."""
    principal = {"Service": [f"{service}.amazonaws.com" for service in services]}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def allow(action: str | list[str], resource: Any) -> dict[str, Any]:
    """A statement of a policy."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def role(*statements: dict[str, Any], services: tuple[str, ...] = ("lambda",)) -> dict[str, Any]:
    """A role."""
    policy = {"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust(*services), "Policies": [policy]},
    }


class Small:
    """A template that a test changes before it is deployed.

    Attributes:
        seen: where the function keeps what it is given.
        resources: by logical id.
    """

    def __init__(self, seen: Path) -> None:
        self.seen = seen
        self.resources: dict[str, dict[str, Any]] = {
            "Api": _made("ApiGateway::RestApi", Name="api"),
            "Deployment": _made("ApiGateway::Deployment", RestApiId=ref("Api")),
            "Stage": _made("ApiGateway::Stage", RestApiId=ref("Api"), DeploymentId=ref("Deployment"), StageName="prod"),
            "Jobs": _made(
                "DynamoDB::Table",
                TableName="Jobs",
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "jobId", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "jobId", "KeyType": "HASH"}],
                StreamSpecification={"StreamViewType": "NEW_AND_OLD_IMAGES"},
            ),
            "Failed": _made("SQS::Queue", QueueName="failed"),
            "Logs": _made("Logs::LogGroup", LogGroupName="/aws/lambda/reader"),
            "ReaderRole": role(allow(STREAM_RIGHTS, arn("Jobs", "StreamArn")), allow("sqs:SendMessage", arn("Failed"))),
            "Reader": _made(
                "Lambda::Function",
                FunctionName="reader",
                Handler="index.handler",
                Timeout=20,
                MemorySize=256,
                Role=arn("ReaderRole"),
                LoggingConfig={"LogGroup": ref("Logs")},
                Environment={"Variables": {"SEEN": str(seen)}},
                Code={"ZipFile": CODE},
            ),
        }

    def mapped(self, **properties: Any) -> "Small":
        """Add an event source mapping "Source" from the table to the function."""
        needed = {"EventSourceArn": arn("Jobs", "StreamArn"), "FunctionName": ref("Reader")}
        self.resources["Source"] = _made(
            "Lambda::EventSourceMapping", **{**needed, "StartingPosition": "TRIM_HORIZON", **properties}
        )
        return self

    @contextmanager
    def deployed(self, **options: Any) -> Iterator[Double]:
        """Deploy it; Lambda's pauses last as long as on AWS, by the double's clock."""
        resources = json.loads(json.dumps(self.resources))  # what stands twice in it would become a YAML alias
        text = yaml.safe_dump({"Resources": resources}, sort_keys=False)
        with Double(text, **{"scale": 1, **options}) as double:
            yield double

    def events(self) -> list[Any]:
        """What the function was given so far, in order."""
        return [call["event"] for call in self.calls()]

    def calls(self) -> list[dict[str, Any]]:
        """Each call of the function so far: `at`, its time in seconds since 1970, and `event`."""
        return [json.loads(path.read_text()) for path in sorted(self.seen.glob("*.json"))]

    def batches(self) -> list[list[str]]:
        """The job ids of each batch so far."""
        return [[record["dynamodb"]["Keys"]["jobId"]["S"] for record in event["Records"]] for event in self.events()]

    def answers(self, value: Any) -> None:
        """What the function returns from now on."""
        (self.seen / "answer").write_text(json.dumps(value))

    def fails_on(self, text: str) -> None:
        """Let the function fail, from now on, on an event whose JSON has this text."""
        (self.seen / "poison").write_text(text)


def put(double: Double, *job_ids: str, **attributes: Any) -> None:
    """Write jobs with these attributes, as a caller outside."""
    for job_id in job_ids:
        double.client("dynamodb").put_item(TableName="Jobs", Item={"jobId": {"S": job_id}, **attributes})


def failures(double: Double) -> list[dict[str, Any]]:
    """What is in the queue: the records of failures."""
    return [json.loads(body) for body in double.messages()]


def same_shard(double: Double, count: int) -> list[str]:
    """Make jobs until so many are in the first shard, and return those: one batch, if the mapping is off till then."""
    shards = double.stream("Jobs").shards
    found: list[str] = []
    number = 0
    while len(found) < count:
        before = shards[0].end
        put(double, f"j{number}")
        if shards[0].end > before:
            found.append(f"j{number}")
        number += 1
    return found


def _made(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}
