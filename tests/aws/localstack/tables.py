"""LocalStack's DynamoDB and Kinesis: moto's server, with what the double knows of DynamoDB and moto does not.

`python -m tests.aws.localstack.tables PORT`. A value that an expression uses and the request does not have is refused
by name; the durable edition refuses requests so. Calls come one at a time: moto checks a condition and writes in two
steps.
"""

import json
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

from tests.aws.double.tables import VALIDATION, undefined

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class OneAtATime:
    """moto's application, corrected.

    Args:
        moto: the WSGI application.
    """

    def __init__(self, moto: App) -> None:
        self._moto = moto
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return self._moto(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        problem = _problem(body)
        if problem is not None:
            start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
            return [json.dumps({"__type": VALIDATION[1].decode(), "message": problem}).encode()]
        environ["wsgi.input"] = BytesIO(body)
        with self._lock:
            return list(self._moto(environ, start_response))


def _problem(body: bytes) -> str | None:
    try:
        return undefined(json.loads(body))
    except ValueError:
        return None  # moto's answer is as good


if __name__ == "__main__":
    app = OneAtATime(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
