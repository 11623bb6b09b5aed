"""Sends what waits in the failure queue to the recorder once more.

A message is there because the recorder could not write to the table as long as Lambda kept trying. The recorder records
each job once, whatever it is sent, so a replay can safely be repeated. What the durable edition's stream has left there
names no job and is dropped: the sweeper finds the job.
"""

import json
from collections.abc import Iterator
from typing import Any

RECORDER_SECONDS = 900
RECEIVE = {"WaitTimeSeconds": 1, "VisibilityTimeout": RECORDER_SECONDS + 30}  # hidden while it is recorded


class ReplayError(Exception):
    """The queue cannot be replayed as it is; the message says what to do."""


def replay(queue_url: str, recorder: str) -> Iterator[str]:
    """Replay the queue until it is empty. A message is deleted once its job is recorded.

    Args:
        queue_url: the stack's output FailureQueueUrl.
        recorder: the stack's output RecorderName.

    Yields:
        The job's id, for each message whose job is recorded.

    Raises:
        ReplayError: botocore or credentials are missing, or the recorder failed for some; those stay in the queue.
    """
    sqs, functions = _clients("sqs", "lambda")
    failures = []
    try:
        while messages := sqs.receive_message(QueueUrl=queue_url, **RECEIVE).get("Messages"):
            for message in messages:
                request = json.loads(message["Body"]).get("requestPayload")
                if request is not None:
                    answer = functions.invoke(FunctionName=recorder, Payload=message["Body"])
                    if "FunctionError" in answer:
                        failures.append(answer["Payload"].read().decode())
                        continue
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                if request is not None:
                    yield str(request["jobId"])
        names = ["ApproximateNumberOfMessagesNotVisible"]
        hidden = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"][names[0]]
    except Exception as error:
        raise ReplayError(f"AWS refused it: {error}") from error
    if failures:
        raise ReplayError(f"{recorder} failed again for {len(failures)}, which stay in the queue: {failures[0]}")
    if hidden != "0":
        raise ReplayError(f"{hidden} more are hidden after another try: replay again in a quarter of an hour")


def _clients(*services: str) -> list[Any]:
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session
    except ImportError:
        raise ReplayError("botocore is needed: pip install botocore") from None
    config = Config(read_timeout=RECORDER_SECONDS + 10, retries={"total_max_attempts": 1})
    try:
        session = get_session()
        return [session.create_client(service, config=config) for service in services]
    except BotoCoreError as error:
        raise ReplayError(f"AWS cannot be called: {error}") from None
