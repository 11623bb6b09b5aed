"""Gateway responses: what API Gateway answers by itself, without or after the integration.

Their templates only substitute variables, they are no VTL; a specific response that the template does not declare
falls back to DEFAULT_4XX or DEFAULT_5XX, and those to `{"message": ...}`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.aws.double.cloudformation import Stack, TemplateError
from tests.aws.double.schema import escaped

# Status and message of each type, as long as nobody changes them.
DEFAULTS = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error"),
    "BAD_REQUEST_BODY": (400, "Invalid request body"),
    "BAD_REQUEST_PARAMETERS": (400, "Missing required request parameters"),
    "INTEGRATION_FAILURE": (504, "Network error communicating with endpoint"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "INVALID_SIGNATURE": (403, "The request signature we calculated does not match the signature you provided."),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "THROTTLED": (429, "Too Many Requests"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type"),
}
FALLBACKS = ("DEFAULT_4XX", "DEFAULT_5XX")
VARIABLE = re.compile(r"\$context((?:\.[A-Za-z][A-Za-z0-9]*)+)")


class Refused(Exception):
    """API Gateway answers this request by itself, with the gateway response of this type."""

    def __init__(self, kind: str, validation_error: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.validation_error = validation_error


class Refusals:
    """The gateway responses of one API.

    Raises:
        TemplateError: one has a type or a property that this double does not know.
    """

    def __init__(self, stack: Stack) -> None:
        self._declared: dict[str, dict[str, Any]] = {}
        for resource in stack.of_type("AWS::ApiGateway::GatewayResponse"):
            kind = resource.properties["ResponseType"]
            known = {"RestApiId", "ResponseType", "StatusCode", "ResponseTemplates", "ResponseParameters"}
            if kind not in {*DEFAULTS, *FALLBACKS} or not resource.properties.keys() <= known:
                raise TemplateError(f"{resource.logical_id}: this double has no gateway response like it")
            self._declared[kind] = resource.properties

    def answer(self, refused: Refused, context: Mapping[str, Any]) -> tuple[int, dict[str, str], str]:
        """The status, the headers and the body of a refusal."""
        status, message = DEFAULTS[refused.kind]
        fallback = self._declared.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX", {})
        declared = self._declared.get(refused.kind, fallback)
        template = declared.get("ResponseTemplates", {}).get("application/json")
        error = {
            "message": message,
            "messageString": json.dumps(message),
            "responseType": refused.kind,
            "validationErrorString": escaped(refused.validation_error),
        }
        body = _substituted(template or '{"message": $context.error.messageString}', {**context, "error": error})
        headers = {
            name.removeprefix("gatewayresponse.header."): _static(value)
            for name, value in declared.get("ResponseParameters", {}).items()
        }
        return int(declared.get("StatusCode", status)), headers, body


def _substituted(template: str, context: Mapping[str, Any]) -> str:
    def value(found: re.Match[str]) -> str:
        at: Any = context
        for name in found[1][1:].split("."):
            at = at.get(name, "") if isinstance(at, Mapping) else ""
        return str(at)

    return VARIABLE.sub(value, template)


def _static(value: str) -> str:
    if not (len(value) > 1 and value[0] == value[-1] == "'"):
        raise TemplateError(f"a gateway response's header {value}: this double knows static ones, in single quotes")
    return value[1:-1]
