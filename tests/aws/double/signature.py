"""Checks the signature of a request (AWS Signature Version 4), by signing it again with the signer of botocore.

A function that signs wrongly would be refused by AWS at its first call, so it is refused here.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 "
    r"Credential=(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
LARGEST_AGE = timedelta(minutes=15)


class InvalidSignature(Exception):
    """The request is not signed, or not so that AWS would take it."""


def access_key(authorization: str) -> str:
    """The access key id of an Authorization header.

    Raises:
        InvalidSignature: it is not one of Signature Version 4.
    """
    return _parts(authorization)["key"]


def check(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    region: str,
    service: str,
    now: float | None = None,
) -> None:
    """Check a request's signature.

    Args:
        method: the HTTP method.
        url: as the client has called it, with its host.
        headers: by lower-case name.
        body: as it was received.
        secret: the secret key of the access key that the request names.
        region: where the service is.
        service: its name in a signature, such as `dynamodb`.
        now: what time it is to the signer, in seconds since 1970, where that may be another time than here.

    Raises:
        InvalidSignature: another signature belongs to this request, or it is too old.
    """
    parts = _parts(headers.get("authorization", ""))
    if (parts["region"], parts["service"]) != (region, service):
        raise InvalidSignature(f"it is for {parts['service']} in {parts['region']}, not for {service} in {region}")
    signed_at = headers.get("x-amz-date", "")
    try:
        signed = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidSignature(f"no time in X-Amz-Date: {signed_at!r}") from None
    times = [datetime.now(UTC)] + ([datetime.fromtimestamp(now, UTC)] if now is not None else [])
    if min(abs(time - signed) for time in times) > LARGEST_AGE:
        raise InvalidSignature(f"it was signed at {signed_at}")
    request = AWSRequest(method, url, data=body)
    for name in parts["headers"].split(";"):
        request.headers[name] = headers.get(name, "")
    request.context["timestamp"] = signed_at
    signer = SigV4Auth(Credentials(parts["key"], secret), parts["service"], parts["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if signer.signature(text, request) != parts["signature"]:
        raise InvalidSignature("the signature does not match the request")


def _parts(authorization: str) -> dict[str, str]:
    found = AUTHORIZATION.fullmatch(authorization)
    if found is None:
        raise InvalidSignature("no Authorization of Signature Version 4")
    return found.groupdict()
