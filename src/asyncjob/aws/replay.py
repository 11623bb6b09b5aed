"""Sends what waits in the failure queue to the recorder once more.

A message is there because the recorder could not write to the table for as long as Lambda tried. It records each job
once, whatever it is sent, so replaying is safe to repeat.
"""

import json
from collections.abc import Iterator
from typing import Any

WAIT_SECONDS = 1


class ReplayError(Exception):
    """The queue cannot be replayed as it is; the message says what to do."""


def replay(queue_url: str, recorder: str) -> Iterator[str]:
    """Replay the queue until it is empty. A message is deleted once its job is recorded.

    Args:
        queue_url: the stack's output FailureQueueUrl.
        recorder: the stack's output RecorderName.

    Yields:
        The job's id, for each message.

    Raises:
        ReplayError: boto3 or credentials are missing, or the recorder failed again; what is left stays in the queue.
    """
    sqs, functions = _clients("sqs", "lambda")
    try:
        while messages := sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=WAIT_SECONDS).get("Messages"):
            for message in messages:
                yield _record(functions, recorder, message["Body"])
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    except ReplayError:
        raise
    except Exception as error:
        raise ReplayError(f"AWS refused it: {error}") from error


def _clients(*services: str) -> list[Any]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise ReplayError("boto3 is needed: pip install 'async-job-api[aws]'") from None
    try:
        return [boto3.client(service) for service in services]
    except BotoCoreError as error:
        raise ReplayError(f"AWS cannot be called: {error}") from None


def _record(functions: Any, recorder: str, event: str) -> str:
    answer = functions.invoke(FunctionName=recorder, Payload=event)
    if "FunctionError" in answer:
        raise ReplayError(f"{recorder} failed again: {answer['Payload'].read().decode()}")
    return str(json.loads(event)["requestPayload"]["jobId"])
