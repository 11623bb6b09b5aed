"""Signs requests for an API with AWS_IAM authorization, with botocore's signer and the credentials that it finds.

It is an httpx.Auth, so it signs whatever either client sends, repetitions and redirects included.
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
        url: where the API is. The region comes from its host, or else from AWS's usual settings.

    Raises:
        ClientError: botocore, credentials or the region are missing.
    """

    requires_request_body = True

    def __init__(self, url: httpx.URL) -> None:
        try:
            import botocore.exceptions
            import botocore.session
        except ImportError:
            raise ClientError("signing requests needs botocore: pip install botocore") from None
        known = HOST.fullmatch(url.host)
        try:
            session = botocore.session.get_session()
            self._region = known["region"] if known else session.get_config_variable("region")
            self._credentials: Any = session.get_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise ClientError(f"signing requests needs credentials: {error}") from None
        if self._region is None:
            raise ClientError("signing requests needs a region: set AWS_DEFAULT_REGION")
        if self._credentials is None:
            raise ClientError(
                "signing requests needs credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the method, the URL, the body and the time; other headers may be changed on the way."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        signed = AWSRequest(request.method, str(request.url), data=request.content)
        # Frozen, so that a key is never paired with the secret of the one that replaces it.
        try:
            SigV4Auth(self._credentials.get_frozen_credentials(), SERVICE, self._region).add_auth(signed)
        except BotoCoreError as error:
            raise ClientError(f"the request cannot be signed: {error}") from None
        request.headers.update(dict(signed.headers))
        yield request
