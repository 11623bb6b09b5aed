"""The double's API Gateway shows what the real one shows, surprises included: one small API a fact of the design."""

import json
import textwrap
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.aws.double.cloudformation import TemplateError
from tests.aws.double.double import Double

Call = Callable[..., httpx.Response]
STATIC = {"application/json": '{"fixed": true}'}
TEMPLATE = """
Resources:
  Api: {Type: AWS::ApiGateway::RestApi, Properties: {Name: api}}
  Things:
    Type: AWS::ApiGateway::Resource
    Properties: {RestApiId: !Ref Api, ParentId: !GetAtt Api.RootResourceId, PathPart: things}
  Model:
    Type: AWS::ApiGateway::Model
    Properties: {RestApiId: !Ref Api, Name: Thing, ContentType: application/json, Schema: {type: object, required: [a]}}
  Validator:
    Type: AWS::ApiGateway::RequestValidator
    Properties: {RestApiId: !Ref Api, ValidateRequestBody: true}
  Method:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: !Ref Things
      HttpMethod: POST
      AuthorizationType: NONE
      MethodResponses: [{StatusCode: "200"}, {StatusCode: "400"}]
  Deployment: {Type: AWS::ApiGateway::Deployment, DependsOn: Method, Properties: {RestApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: test}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: Things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: function
      Role: !GetAtt Role.Arn
      Handler: index.handler
      Timeout: 5
      MemorySize: 128
      LoggingConfig: {LogGroup: logs}
      TracingConfig: {Mode: PassThrough}
      Environment: {Variables: {A: b}}
      Code: {ZipFile: "def handler(event, context):\\n    raise ValueError('refused: ' + event['why'])"}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: role
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: [lambda.amazonaws.com, apigateway.amazonaws.com]}
            Action: sts:AssumeRole
      Policies:
        - PolicyName: all
          PolicyDocument:
            Version: "2012-10-17"
            Statement: [{Effect: Allow, Action: ["lambda:*", "dynamodb:*", "logs:*"], Resource: "*"}]
"""
ARN = "arn:aws:lambda:us-east-1:123456789012:function:function"
LAMBDA = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations"
DYNAMODB = "arn:aws:apigateway:us-east-1:dynamodb:action/GetItem"
EVENT = {"integration.request.header.X-Amz-Invocation-Type": "'Event'"}


def _template(integration: dict[str, Any], method: dict[str, Any] | None = None, more: str = "") -> str:
    place = {"Integration": {"Credentials": "arn:aws:iam::123456789012:role/role", **integration}, **(method or {})}
    lines = "".join(f"      {name}: {json.dumps(value)}\n" for name, value in place.items())
    return TEMPLATE.replace("      HttpMethod: POST\n", f"      HttpMethod: POST\n{lines}") + textwrap.indent(
        more, "  "
    )


def _answer(template: str, **request: Any) -> httpx.Response:
    with Double(template, scale=0.001) as double:
        answer = httpx.post(f"{double.url}/things", **({"json": {"a": 1}} | request))
        double.idle()
        return answer


def _mock(request: str, response: str, **more: Any) -> dict[str, Any]:
    return {
        "Type": "MOCK",
        "IntegrationHttpMethod": "POST",
        "RequestTemplates": {"application/json": request},
        "IntegrationResponses": [{"StatusCode": "200", "ResponseTemplates": {"application/json": response}}],
        **more,
    }


def _function(response: str, **more: Any) -> dict[str, Any]:
    return _mock('{"why": "a"}', response, **{"Type": "AWS", "Uri": LAMBDA, **more})


def test_fact_1_what_the_request_template_set_is_readable_for_mock_integrations_alone() -> None:
    request = '#set($context.requestOverride.path.x = $input.path("$.a")){"statusCode": 200, "why": "a"}'
    request = request.replace('"$.a"', "'$.a'")
    response = '{"x": "$!context.requestOverride.path.x", "body": "$!input.path(\'$.a\')"}'
    body = {"json": {"a": "chosen"}}
    assert _answer(_template(_mock(request, response)), **body).json() == {"x": "chosen", "body": ""}
    event = _function(response, RequestTemplates={"application/json": request}, RequestParameters=EVENT)
    assert _answer(_template(event), **body).json() == {"x": "", "body": ""}


def test_fact_2_an_override_that_is_set_twice_is_a_500() -> None:
    once = "#set($context.responseOverride.status = 404){}"
    assert _answer(_template(_mock('{"statusCode": 200}', once))).status_code == 404
    answer = _answer(_template(_mock('{"statusCode": 200}', once + once)))
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal server error"})


@pytest.mark.parametrize(
    ("behavior", "content_type", "body", "status"),
    [
        ("NEVER", "application/json", '{"a": 1}', 200),
        ("NEVER", "application/json; charset=utf-8", '{"b": 1}', 400),
        ("NEVER", None, '{"b": 1}', 400),
        ("NEVER", "text/plain", '{"b": 1}', 415),
        ("WHEN_NO_TEMPLATES", "text/plain", '{"b": 1}', 415),
        ("WHEN_NO_MATCH", "text/plain", '{"statusCode": 200}', 200),
    ],
)
def test_fact_6_a_body_of_a_type_without_model_passes_unvalidated_unless_it_may_never(
    behavior: str, content_type: str | None, body: str, status: int
) -> None:
    method = {"RequestValidatorId": "VALIDATOR", "RequestModels": {"application/json": "Thing"}}
    template = _template(_mock('{"statusCode": 200}', "{}", PassthroughBehavior=behavior), method)
    template = template.replace('RequestValidatorId: "VALIDATOR"', "RequestValidatorId: !Ref Validator")
    headers = {"content-type": content_type} if content_type else {}
    answer = _answer(template, json=None, content=body, headers=headers)
    assert answer.status_code == status, answer.text


def test_fact_7_an_unknown_route_is_a_403_unless_its_gateway_response_says_otherwise() -> None:
    mock = _mock('{"statusCode": 200}', "{}")
    with Double(_template(mock)) as double:
        answer = httpx.get(f"{double.url}/things")
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
    body = '{"quoted": $context.error.messageString, "vtl": "#set($x = 1)$x", "at": "$context.resourcePath"}'
    response = f"""
Unknown:
  Type: AWS::ApiGateway::GatewayResponse
  Properties:
    RestApiId: !Ref Api
    ResponseType: MISSING_AUTHENTICATION_TOKEN
    StatusCode: "404"
    ResponseTemplates:
      application/json: '{body}'
"""
    with Double(_template(mock, more=response)) as double:
        answer = httpx.get(f"{double.url}/nowhere")
        assert answer.status_code == 404
        assert answer.text == '{"quoted": "Missing Authentication Token", "vtl": "#set($x = 1)$x", "at": ""}'


def test_fact_8_an_event_is_answered_202_and_nothing_whatever_becomes_of_it() -> None:
    answer = _answer(_template(_function('{"seen": "$!input.path(\'$.errorMessage\')"}', RequestParameters=EVENT)))
    assert (answer.status_code, answer.json()) == (200, {"seen": ""})


def test_fact_8_lambdas_own_refusal_selects_the_default_response_and_its_text_tells() -> None:
    responses = [
        {"StatusCode": "200", "ResponseTemplates": {"application/json": '{"type": "$!input.path(\'$.Type\')"}'}},
        {"StatusCode": "400", "SelectionPattern": "4..|.*Rate.*", "ResponseTemplates": STATIC},
    ]
    template = _template(_function("", RequestParameters=EVENT, IntegrationResponses=responses))
    with Double(template) as double:
        double.call(lambda: double.functions.throttle("function"))
        answer = httpx.post(f"{double.url}/things", json={})
    assert (answer.status_code, answer.json()) == (200, {"type": "User"})


def test_fact_8_an_errors_message_selects_the_response_of_a_function_that_is_waited_for() -> None:
    responses = [
        {"StatusCode": "200", "ResponseTemplates": STATIC},
        {"StatusCode": "400", "SelectionPattern": "refused: .*", "ResponseTemplates": STATIC},
    ]
    answer = _answer(_template(_function("", IntegrationResponses=responses)))
    assert answer.status_code == 400


def test_fact_10_a_missing_item_is_200_and_empty_and_every_refusal_is_400() -> None:
    item = '{"TableName": "Things", "Key": {"id": {"S": "$input.path(\'$.a\')"}}}'
    responses = [
        {"StatusCode": "200", "ResponseTemplates": {"application/json": "$input.json('$')"}},
        {
            "StatusCode": "400",
            "SelectionPattern": "400",
            "ResponseTemplates": {"application/json": "\"$input.path('$.__type')\""},
        },
    ]
    template = _template(_mock(item, "", Type="AWS", Uri=DYNAMODB, IntegrationResponses=responses))
    with Double(template) as double:
        missing = httpx.post(f"{double.url}/things", json={"a": "x"})
        assert (missing.status_code, missing.json()) == (200, {})
        assert "ValidationException" in httpx.post(f"{double.url}/things", json={"a": "x" * 3_000}).json()
        with double.services.failing("dynamodb:GetItem", "ThrottlingException"):
            throttled = httpx.post(f"{double.url}/things", json={"a": "x"})
    assert throttled.status_code == 400
    assert "ThrottlingException" in throttled.json()


def test_fact_14_a_status_without_its_method_response_cannot_be_deployed() -> None:
    integration = _mock('{"statusCode": 200}', "{}", IntegrationResponses=[{"StatusCode": "201"}])
    with pytest.raises(TemplateError, match="no MethodResponse for the StatusCode 201"):
        Double(_template(integration))


def test_a_header_that_the_method_response_does_not_declare_cannot_be_deployed() -> None:
    response = {"StatusCode": "200", "ResponseParameters": {"method.response.header.X": "'1'"}}
    with pytest.raises(TemplateError, match=r"method\.response\.header\.X is not declared"):
        Double(_template(_mock('{"statusCode": 200}', "{}", IntegrationResponses=[response])))


def test_a_body_over_ten_megabytes_is_refused_by_the_gateway_itself() -> None:
    body = json.dumps({"a": "x" * 10_485_760})
    headers = {"content-type": "application/json"}
    answer = _answer(_template(_mock('{"statusCode": 200}', "{}")), json=None, content=body, headers=headers)
    assert answer.status_code == 413
