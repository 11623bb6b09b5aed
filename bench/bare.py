"""The benchmark's reference: an ASGI handler that answers two bytes shows what the HTTP server alone can do."""

from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request with an empty object."""
    assert scope["type"] == "http"  # failing on "lifespan" tells uvicorn that there is nothing to start
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})
