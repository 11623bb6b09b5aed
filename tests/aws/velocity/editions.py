"""The mapping templates of each edition, as they are deployed."""

from asyncjob import Jobs
from asyncjob.aws.build import template as builder
from asyncjob.aws.build.durable import Package, fill_durable
from asyncjob.loading import load as load_registry
from tests.aws.double.cloudformation import deploy
from tests.aws.double.templates import LARGEST_IN_A_BUCKET

VARIABLES = {"table": "Jobs", "retentionDays": "7"}
"""What the stage tells the templates."""

_jobs = Jobs()


@_jobs.job
def greet(name: str, seconds: float = 0) -> str:
    """A job function whose parameter is any text."""
    return f"{name}, {seconds}"


def _sources() -> dict[str, str]:
    source = (builder.HERE / "template.yaml").read_text()
    package = Package(
        code="code.zip", target="jobs", runtime="python3.13", architecture="arm64", timeout=30, statements=[]
    )
    return {"inline": builder.fill(source, load_registry(None)), "durable": fill_durable(_jobs, package)}


def _deployed() -> tuple[dict[str, str], dict[str, str]]:
    requests, responses = {}, {}
    for edition, source in _sources().items():
        for method in deploy(source, largest=LARGEST_IN_A_BUCKET).of_type("AWS::ApiGateway::Method"):
            integration, name = method.properties["Integration"], f"{edition}-{method.logical_id}"
            if integration["Type"] == "MOCK":
                continue
            requests[name] = integration["RequestTemplates"]["application/json"]
            for response in integration["IntegrationResponses"]:
                if template := response.get("ResponseTemplates", {}).get("application/json"):
                    responses[f"{name}-{response['StatusCode']}"] = template
    return requests, responses


REQUESTS, RESPONSES = _deployed()
