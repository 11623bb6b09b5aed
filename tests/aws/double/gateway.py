"""API Gateway (REST): from a request to the integration, and from its answer to the response.

The order is the service's: route, authorization, throttling, validation, request template, integration, selection of
the integration response, response template, overrides. What the service would refuse when the API is made is refused
when this is.
"""

import base64
import json
import os
import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tests.aws.double import signature
from tests.aws.double.cloudformation import Stack, TemplateError
from tests.aws.double.iam import AccessDenied, Policies
from tests.aws.double.refusals import Refusals, Refused
from tests.aws.double.schema import check_model, validate
from tests.aws.double.services import ACCOUNT, REGION, Answer, Services
from tests.aws.double.vtl import Params, RenderError, RequestOverrides, render_request, render_response

LARGEST_PAYLOAD = 10 * 1024 * 1024
ANY = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
VARIABLE = re.compile(r"[A-Za-z0-9._~:/?#&=,-]+")
LAMBDA = re.compile(r"arn:aws:apigateway:[^:]+:lambda:path/2015-03-31/functions/(?P<name>[^/]+)/invocations")
ALL_METHODS = {"ResourcePath": "/*", "HttpMethod": "*"}
KNOWN = {  # of a method, of its integration, and of an integration response; anything else would go unseen
    "method": (
        *("RestApiId", "ResourceId", "HttpMethod", "AuthorizationType", "ApiKeyRequired", "RequestValidatorId"),
        *("RequestModels", "RequestParameters", "Integration", "MethodResponses"),
    ),
    "integration": (
        *("Type", "IntegrationHttpMethod", "Uri", "Credentials", "PassthroughBehavior", "RequestParameters"),
        *("RequestTemplates", "IntegrationResponses"),
    ),
    "response": ("StatusCode", "SelectionPattern", "ResponseParameters", "ResponseTemplates"),
}
STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")
DYNAMODB = re.compile(r"arn:aws:apigateway:[^:]+:dynamodb:action/(?P<action>\w+)")


@dataclass
class Bucket:
    """A token bucket, as the stage's throttling has one for each method."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self) -> bool:
        """Whether one more request may pass."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Method:
    """One method of the API, as its resource declares it."""

    logical_id: str
    path: str
    properties: dict[str, Any]
    bucket: Bucket

    @property
    def integration(self) -> dict[str, Any]:
        """The integration's properties."""
        found: dict[str, Any] = self.properties["Integration"]
        return found


@dataclass
class Exchange:
    """One request on its way."""

    request: Request
    body: bytes
    method: Method
    params: Params
    context: dict[str, Any]

    @property
    def text(self) -> str:
        """The body as the templates see it."""
        return self.body.decode(errors="replace")

    def header(self, name: str) -> str | None:
        """A header of the request."""
        value: str | None = self.request.headers.get(name)
        return value

    @property
    def media_type(self) -> str:
        """The MIME type without parameters; a missing one counts as JSON."""
        return (self.header("content-type") or "application/json").partition(";")[0].strip().lower()


class RestApi:
    """The API of one stack.

    Args:
        stack: has exactly one RestApi and one Stage.
        services: what the integrations call.
        policies: of the roles that the integrations take.
        readable_overrides: whether every response template can read `$context.requestOverride`. That was seen for MOCK
            integrations alone, so it is not taken for granted (False).

    Attributes:
        call_failures: whether Lambda's refusal of a call (it throttles, a right is missing) ends as INTEGRATION_FAILURE
            before any response template, as was reported of the real service. Otherwise the template sees it, as the
            documentation has it. Nobody knows which, so tests try both.

    Raises:
        TemplateError: API Gateway would refuse the API, or this double does not know a part of it.
    """

    def __init__(self, stack: Stack, services: Services, policies: Policies, readable_overrides: bool = False) -> None:
        self._stack = stack
        self._services = services
        self._policies = policies
        self._readable_overrides = readable_overrides
        self.call_failures = False
        self._refusals = Refusals(stack)
        (self._api,) = stack.of_type("AWS::ApiGateway::RestApi")
        (self._stage,) = stack.of_type("AWS::ApiGateway::Stage")
        self.stage: str = self._stage.properties["StageName"]
        if self._stage.properties["DeploymentId"] not in [d.ref for d in stack.of_type("AWS::ApiGateway::Deployment")]:
            raise TemplateError(f"{self._stage.logical_id}: there is no such deployment")
        self._models = {m.ref: m.properties["Schema"] for m in stack.of_type("AWS::ApiGateway::Model")}
        self._validators = {v.ref: v.properties for v in stack.of_type("AWS::ApiGateway::RequestValidator")}
        self._methods = self._routes()
        self._patterns = {path: _pattern(path) for path in sorted({path for _, path in self._methods}, key=_breadth)}
        self._variables = {name: str(value) for name, value in self._stage.properties.get("Variables", {}).items()}
        for name, value in self._variables.items():
            if not VARIABLE.fullmatch(value):
                raise TemplateError(f"{self._stage.logical_id}: no variable of a stage can be {name} = {value!r}")
        self.api_key = self._key_of_the_usage_plan()
        for schema in self._models.values():
            check_model(schema)

    def _routes(self) -> dict[tuple[str, str], Method]:
        resources = {r.ref: r.properties for r in self._stack.of_type("AWS::ApiGateway::Resource")}

        def path(ref: str) -> str:
            if ref == self._api.attributes["RootResourceId"]:
                return ""
            return f"{path(resources[ref]['ParentId'])}/{resources[ref]['PathPart']}"

        settings = self._stage.properties.get("MethodSettings", [ALL_METHODS])[0]
        if {name: settings.get(name) for name in ALL_METHODS} != ALL_METHODS:
            raise TemplateError(f"{self._stage.logical_id}: this double knows settings of all methods together")
        routes: dict[tuple[str, str], Method] = {}
        for resource in self._stack.of_type("AWS::ApiGateway::Method"):
            properties = resource.properties
            _check_method(resource.logical_id, properties)
            bucket = Bucket(
                float(settings.get("ThrottlingRateLimit", 10_000)), float(settings.get("ThrottlingBurstLimit", 5_000))
            )
            route = path(properties["ResourceId"])
            routes[properties["HttpMethod"], route] = Method(resource.logical_id, route, properties, bucket)
        return routes

    def _key_of_the_usage_plan(self) -> str | None:
        """The value of an API key that is enabled and belongs to a usage plan of this stage."""
        served = {"ApiId": self._api.ref, "Stage": self.stage}
        plans = {
            p.ref for p in self._stack.of_type("AWS::ApiGateway::UsagePlan") if served in p.properties["ApiStages"]
        }
        keys = {k.ref for k in self._stack.of_type("AWS::ApiGateway::ApiKey") if k.properties.get("Enabled")}
        for link in self._stack.of_type("AWS::ApiGateway::UsagePlanKey"):
            if link.properties["UsagePlanId"] in plans and link.properties["KeyId"] in keys:
                return uuid.uuid4().hex
        return None

    async def handle(self, request: Request) -> Response:
        """Answer a request to the stage."""
        body = await request.body()
        raw_path = request.scope["raw_path"].decode("latin-1")
        context = self._context(request, raw_path)
        headers = {"x-amzn-requestid": context["requestId"], "x-amz-apigw-id": context["extendedRequestId"]}
        try:
            exchange = self._accepted(request, body, raw_path, context)
            status, more, text = await self._integrated(exchange)
        except Refused as refused:
            status, more, text = self._refusals.answer(refused, context)
        headers |= {"content-type": "application/json", **{name.lower(): value for name, value in more.items()}}
        return Response(text.encode(), status, headers)

    def _context(self, request: Request, raw_path: str) -> dict[str, Any]:
        now = self._services.clock.now()
        return {
            "accountId": ACCOUNT,
            "apiId": self._api.ref,
            "stage": self.stage,
            "requestId": request.headers.get("x-amzn-requestid") or str(uuid.uuid4()),  # clients may set it
            "extendedRequestId": base64.b64encode(os.urandom(11)).decode(),
            "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now * 1_000),
            "httpMethod": request.method,
            "path": raw_path,
            "protocol": "HTTP/1.1",
            "identity": {"sourceIp": "127.0.0.1", "userAgent": request.headers.get("user-agent", "")},
        }

    def _accepted(self, request: Request, body: bytes, raw_path: str, context: dict[str, Any]) -> Exchange:
        if len(body) > LARGEST_PAYLOAD:
            raise Refused("REQUEST_TOO_LARGE")
        stage, _, path = raw_path.removeprefix("/").partition("/")
        # A slash at the end belongs to no resource: the service leaves it away.
        found = self._matching(request.method, "/" + path.removesuffix("/")) if stage == self.stage else None
        if found is None:
            raise Refused("MISSING_AUTHENTICATION_TOKEN")
        method, path_params = found
        context["resourcePath"] = method.path
        params = Params(path_params, dict(request.query_params), dict(request.headers))
        exchange = Exchange(request, body, method, params, context)
        self._authorize(exchange)
        if not method.bucket.take():
            raise Refused("THROTTLED")
        self._validate(exchange)
        return exchange

    def _matching(self, http_method: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method of the resource that fits best; a resource that has no such method hides wider ones."""
        for route, pattern in self._patterns.items():
            if found := re.fullmatch(pattern, path.removesuffix("/") if route == "" else path):
                method = self._methods.get((http_method, route))
                if method is None and http_method in ANY:
                    method = self._methods.get(("ANY", route))
                return None if method is None else (method, found.groupdict())
        return None

    def _authorize(self, exchange: Exchange) -> None:
        properties = exchange.method.properties
        if properties.get("AuthorizationType", "NONE") == "AWS_IAM":
            if exchange.header("authorization") is None:
                raise Refused("MISSING_AUTHENTICATION_TOKEN")
            request = exchange.request
            path = request.scope["raw_path"].decode("ascii")  # as it was signed
            url, headers = str(request.url.replace(path=path)), dict(request.headers)
            try:
                role = self._services.signer(request.method, url, headers, exchange.body, "execute-api")
                called = f"{self._api.ref}/{self.stage}/{request.method}{path.removeprefix(f'/{self.stage}')}"
                self._services.require(role, "execute-api:Invoke", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{called}")
            except signature.InvalidSignature:
                raise Refused("INVALID_SIGNATURE") from None
            except AccessDenied:
                raise Refused("ACCESS_DENIED") from None
        key = exchange.header("x-api-key")
        if properties.get("ApiKeyRequired") and (key is None or key != self.api_key):
            raise Refused("INVALID_API_KEY")

    def _validate(self, exchange: Exchange) -> None:
        validator = self._validators.get(exchange.method.properties.get("RequestValidatorId", ""), {})
        model = exchange.method.properties.get("RequestModels", {}).get(exchange.media_type)
        if validator.get("ValidateRequestBody") and model is not None:
            problem = validate(self._models[model], exchange.body)
            if problem is not None:
                raise Refused("BAD_REQUEST_BODY", problem)

    async def _integrated(self, exchange: Exchange) -> tuple[int, dict[str, str], str]:
        integration = exchange.method.integration
        try:
            text, overrides = self._request(exchange)
            answer = await self._called(exchange, text, overrides)
            response = _selected(integration, answer)
            shown = overrides if integration["Type"] == "MOCK" or self._readable_overrides else None
            rendered, made = render_response(
                response.get("ResponseTemplates", {}).get("application/json", "$input.body"),
                body="" if integration["Type"] == "MOCK" else answer.body.decode(errors="replace"),
                params=exchange.params,
                context=exchange.context,
                stage_variables=self._variables,
                request_overrides=shown,
            )
        except (RenderError, AccessDenied) as error:
            self._services.refused.append(f"{exchange.method.logical_id}: {error}")
            raise Refused("API_CONFIGURATION_ERROR") from error
        parameters = response.get("ResponseParameters", {}).items()
        headers = {
            name.removeprefix("method.response.header."): _mapped(value, exchange, answer) for name, value in parameters
        }
        return made.status or int(response["StatusCode"]), headers | made.headers, rendered

    def _request(self, exchange: Exchange) -> tuple[str, RequestOverrides]:
        integration = exchange.method.integration
        templates = integration.get("RequestTemplates", {})
        template = templates.get(exchange.media_type)
        behavior = integration.get("PassthroughBehavior", "WHEN_NO_MATCH")
        if template is None:
            if behavior == "NEVER" or (behavior == "WHEN_NO_TEMPLATES" and templates):
                raise Refused("UNSUPPORTED_MEDIA_TYPE")
            return exchange.text, RequestOverrides()
        return render_request(
            template,
            body=exchange.text,
            params=exchange.params,
            context=exchange.context,
            stage_variables=self._variables,
        )

    async def _called(self, exchange: Exchange, text: str, overrides: RequestOverrides) -> Answer:
        integration = exchange.method.integration
        if integration["Type"] == "MOCK":
            return Answer(int(json.loads(text)["statusCode"]), b"")
        role = integration["Credentials"]
        self._policies.assume(role, "apigateway.amazonaws.com")
        parameters = integration.get("RequestParameters", {}).items()
        headers = {
            name.removeprefix("integration.request.header.").lower(): _mapped(value, exchange)
            for name, value in parameters
        } | {name.lower(): value for name, value in overrides.headers.items()}
        uri = STAGE_VARIABLE.sub(lambda found: self._variables[found[1]], integration["Uri"])
        if found := LAMBDA.fullmatch(uri):
            kind = headers.get("x-amz-invocation-type", "RequestResponse")
            answer = await self._services.invoke(role, found["name"], kind, text.encode())
            if self.call_failures and answer.status in (403, 429):
                raise Refused("INTEGRATION_FAILURE")
            return answer
        if found := DYNAMODB.fullmatch(uri):
            return await self._services.dynamodb(role, found["action"], text.encode())
        raise TemplateError(f"{exchange.method.logical_id}: this double has no integration {integration['Uri']}")


def _pattern(route: str) -> str:
    greedy = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", route)
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", greedy)


def _breadth(route: str) -> list[int]:
    """For sorting: a part that is named fits before one that is any, and that before one that takes all the rest."""
    parts = route.split("/")[1:]
    return [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in parts] or [3]


def _selected(integration: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The integration response: by the error's message for a function, by the status for all else."""
    subject = str(answer.status)
    if LAMBDA.fullmatch(integration.get("Uri", "")):
        try:
            subject = str(json.loads(answer.body).get("errorMessage", ""))
        except (ValueError, AttributeError):
            subject = ""
    responses: list[dict[str, Any]] = integration["IntegrationResponses"]
    chosen = [r for r in responses if "SelectionPattern" in r and re.fullmatch(r["SelectionPattern"], subject)]
    default = [r for r in responses if "SelectionPattern" not in r]
    if not chosen + default:
        raise RenderError(f"no integration response for {subject!r}")
    return (chosen + default)[0]


def _mapped(value: str, exchange: Exchange, answer: Answer | None = None) -> str:
    """The value of a parameter mapping."""
    if value[0] == value[-1] == "'":
        return value[1:-1]
    if value.startswith("context."):
        at: Any = exchange.context
        for name in value.removeprefix("context.").split("."):
            at = at[name]
        return str(at)
    if answer is not None and value.startswith("integration.response.header."):
        return dict(answer.headers).get(value.removeprefix("integration.response.header.").lower(), "")
    raise RenderError(f"this double has no parameter mapping {value}")


def _check_method(logical_id: str, properties: dict[str, Any]) -> None:
    """Refuse what the service would refuse: every status of an integration response needs its method response."""
    declared = {str(response["StatusCode"]): response for response in properties.get("MethodResponses", [])}
    integration = properties["Integration"]
    parts = [("method", properties), ("integration", integration)]
    for kind, part in [*parts, *(("response", response) for response in integration["IntegrationResponses"])]:
        if unknown := part.keys() - KNOWN[kind]:
            raise TemplateError(f"{logical_id}: this double knows no {', '.join(sorted(unknown))} of a {kind}")
    if integration["Type"] not in ("AWS", "MOCK"):
        raise TemplateError(f"{logical_id}: this double has no integration of type {integration['Type']}")
    if integration["Type"] == "AWS" and integration.get("IntegrationHttpMethod") != "POST":
        raise TemplateError(f"{logical_id}: Lambda and DynamoDB are called with POST")
    for response in integration["IntegrationResponses"]:
        status = str(response["StatusCode"])
        if status not in declared:
            raise TemplateError(f"{logical_id}: no MethodResponse for the StatusCode {status}")
        for name in response.get("ResponseParameters", {}):
            if name not in declared[status].get("ResponseParameters", {}):
                raise TemplateError(f"{logical_id}: {name} is not declared by the MethodResponse {status}")
