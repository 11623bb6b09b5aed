"""Signs requests for an API with AWS_IAM authorization, with botocore's signer and the credentials that it finds.

As httpx's kind of authentication, so that it signs whatever is sent, by either client: each repetition anew, and what
a redirection leads to.
"""

import re
from collections.abc import Generator
from typing import Any

import httpx

from asyncjob.client.errors import ClientError

SERVICE = "execute-api"
HOST = re.compile(rf"[a-z0-9-]+\.{SERVICE}\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")


class AwsAuth(httpx.Auth):
    """AWS Signature Version 4.

    Args:
        url: where the API is; its host says the region, or else AWS's usual settings do.

    Raises:
        ClientError: botocore, credentials or the region are missing.
    """

    requires_request_body = True

    def __init__(self, url: httpx.URL) -> None:
        try:
            import botocore.exceptions
            import botocore.session
        except ImportError:
            raise ClientError("to sign requests botocore is needed: pip install botocore") from None
        known = HOST.fullmatch(url.host)
        try:
            session = botocore.session.get_session()
            self._region = known["region"] if known else session.get_config_variable("region")
            self._credentials: Any = session.get_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise ClientError(f"to sign requests credentials are needed: {error}") from None
        if self._region is None:
            raise ClientError("to sign requests the region is needed: set AWS_DEFAULT_REGION")
        if self._credentials is None:
            raise ClientError(
                "to sign requests credentials are needed: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and so on"
            )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the method, the URL, the body and the time; other headers may be changed on the way."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        signed = AWSRequest(request.method, str(request.url), data=request.content)
        # Frozen: an expired key and the secret of its successor would not fit.
        try:
            SigV4Auth(self._credentials.get_frozen_credentials(), SERVICE, self._region).add_auth(signed)
        except BotoCoreError as error:
            raise ClientError(f"the request cannot be signed: {error}") from None
        request.headers.update(dict(signed.headers))
        yield request
