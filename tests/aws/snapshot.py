"""What a deployment of API Gateway holds, and which parameters must not get into it."""

from typing import Any

from tests.aws.double.cloudformation import deploy
from tests.aws.double.templates import LARGEST_IN_A_BUCKET

NOT_FROZEN = {
    "Timeout": "4",
    "ProcessorTimeout": "29",
    "ProcessorMemory": "512",
    "ReservedConcurrency": "3",
    "RetentionDays": "7",
    "ThrottlingRate": "10",
    "ThrottlingBurst": "20",
    "TableName": "Other",
    "ProcessorName": "OtherProcessor",
    "RecorderName": "OtherRecorder",
    "LogRetentionDays": "7",
    "AccessLogs": "true",
    "Tracing": "true",
    "AlarmEmail": "someone@example.com",
}
"""Parameters with another value than by default."""

KINDS = ("RestApi", "Resource", "Model", "RequestValidator", "Method", "GatewayResponse")


def snapshot(template: str, parameters: dict[str, str]) -> dict[str, Any]:
    """All that a deployment takes along, as it is with these parameters."""
    stack = deploy(template, {"CorsOrigin": "*", **parameters}, largest=LARGEST_IN_A_BUCKET)
    found = [resource for kind in KINDS for resource in stack.of_type(f"AWS::ApiGateway::{kind}")]
    assert found
    return {resource.logical_id: resource.properties for resource in found}
