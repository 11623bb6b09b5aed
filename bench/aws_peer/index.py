"""The processor as the larger public sample builds it: Powertools' logger and parser from a layer, and boto3's client.

Our own lines, in the way of aws-samples/asynchronous-event-processing-api-gateway-lambda-cdk. The sample writes an item
once, at the end; this one also marks the job as running before, so that both sides of the benchmark do the same work.
"""

import json
import os
import time
from datetime import UTC, datetime

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

TABLE = os.environ["TABLE"]
TIMEOUT = float(os.environ["TIMEOUT"])
dynamodb = boto3.client("dynamodb")
logger = Logger(service="processor")


class Request(BaseModel):
    """What the client sent."""

    seconds: float


class Event(BaseModel):
    """What API Gateway makes of it."""

    jobId: str  # noqa: N815
    requestId: str  # noqa: N815
    createdAt: int  # noqa: N815
    request: Request


def update(job_id: str, condition: str, **fields: str) -> None:
    """Set fields of a job if it is as it should be."""
    dynamodb.update_item(
        TableName=TABLE,
        Key={"jobId": {"S": job_id}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
        ConditionExpression=condition,
        ExpressionAttributeNames={f"#{name}": name for name in fields},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in fields.items()},
    )


def timestamp(seconds: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sleep(request: Request) -> str:
    """The job: its results, as JSON."""
    if request.seconds > TIMEOUT:
        raise ValueError(f"seconds must be at most {TIMEOUT:g}, not {request.seconds}")
    time.sleep(request.seconds)
    return json.dumps({"message": f"I slept for {request.seconds} seconds"})


@event_parser(model=Event)  # type: ignore[untyped-decorator]  # the layer is not installed beside mypy
def handler(event: Event, context: LambdaContext) -> None:
    """Run one job; an exception is left to Lambda and its failure destination."""
    logger.debug(event)
    submitted = {"parameters": event.request.model_dump_json(), "createdAt": timestamp(event.createdAt / 1000)}
    started = {"status": "Running", "requestId": event.requestId, "startedAt": timestamp(time.time())}
    update(event.jobId, "attribute_not_exists(jobId)", **submitted, **started)
    results = sleep(event.request)
    ended = {"results": results, "finishedAt": timestamp(time.time())}
    update(event.jobId, "attribute_exists(jobId)", status="Success", **ended)
