"""Signed requests to AWS. botocore would be most of a cold start, and one signature is twenty lines.

Where they go stands in variables of our own: AWS_ENDPOINT_URL_* would redirect the job functions' own clients too.
"""

import hashlib
import hmac
import os
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection

_connections: dict[tuple[str, int], HTTPConnection] = {}  # by host and thread, kept from job to job


def post(service: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """The status and body of the answer to a signed request; 503 if none came."""
    # LocalStack sets AWS_ENDPOINT_URL for each function. On AWS nobody does.
    url = os.environ.get("AWS_ENDPOINT_URL") or os.environ[f"ASYNCJOB_URL_{service.upper()}"]
    scheme, _, host = url.partition("://")
    kept = host, threading.get_ident()
    if kept not in _connections:
        _connections[kept] = (HTTPSConnection if scheme == "https" else HTTPConnection)(host, timeout=5)
    try:
        _connections[kept].request("POST", path, body, _signed(service, host, path, headers, body))
        response = _connections[kept].getresponse()
        return response.status, response.read()
    except (OSError, HTTPException):
        _connections[kept].close()  # the next request opens it again
        return 503, b""


def _signed(service: str, host: str, path: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The headers, with AWS Signature Version 4."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    token = os.environ["AWS_SESSION_TOKEN"]
    headers = {**headers, "host": host, "x-amz-date": moment, "x-amz-security-token": token}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = (moment[:8], os.environ["AWS_REGION"], service, "aws4_request")
    place = "/".join(scope)
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (*scope, f"AWS4-HMAC-SHA256\n{moment}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{place}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": authorization}
