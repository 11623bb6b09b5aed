"""The page at / for people: its files, and the sign-in that gives a browser its cookie.

The page is a client of the API like any other: it reads and changes jobs through the contract's own routes. Its
scripts, style and library come from this server alone, and nothing in it is evaluated from text.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncjob.contract import ApiError, check_content_type
from asyncjob.server.http.access import COOKIE, COOKIE_SECONDS, SECURE_COOKIE, Access, WrongKey, check_page
from asyncjob.server.http.endpoints import read_body

# lit-html makes templates of the page's own markup; trusted-types lets nothing else become HTML or script.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
NO_STORE = {"cache-control": "no-store"}
MAX_SIGN_IN_BYTES = 1_024  # which everybody may send
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser posts to get its cookie."""

    key: str


def routes(access: Access) -> list[Route]:
    """The routes of the page."""
    page = Page(access)
    return [
        Route("/", page.show, methods=["GET"]),
        Route("/page/{path:path}", page.file, methods=["GET"]),
        Route("/session", page.session, methods=["GET", "POST", "DELETE"]),
    ]


class Page:
    """The handlers.

    Args:
        access: who may come in.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._files = dict(_files(resources.files("asyncjob.server.http").joinpath("static", "page"), ""))

    async def show(self, request: Request) -> Response:
        return self._answer("index.html")

    async def file(self, request: Request) -> Response:
        return self._answer(request.path_params["path"])

    def _answer(self, path: str) -> Response:
        media_type = MEDIA_TYPES.get(path.rpartition(".")[2])
        if media_type is None or path not in self._files:
            raise ApiError(404, "Not found")
        return Response(self._files[path], media_type=media_type, headers=HEADERS)

    async def session(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._sign_in(request)
        if request.method == "DELETE":
            return self._sign_out(request)
        needed = self._access.needs_key
        signed_in = needed and self._access.session(dict(request.scope["headers"])) is not None
        return _json({"keyNeeded": needed, "signedIn": signed_in})

    async def _sign_in(self, request: Request) -> Response:
        headers = dict(request.scope["headers"])
        check_page(headers)
        check_content_type(headers.get(b"content-type"))
        try:
            given = msgspec.json.decode(await read_body(headers, request.receive, MAX_SIGN_IN_BYTES), type=SignIn)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ApiError(400, 'the body must be {"key": "..."}') from None
        if not self._access.has_key(given.key.encode(errors="replace")):
            raise WrongKey(403, "Forbidden: that is not the server's API key")
        name, value = self._access.sign_in(headers).cookie
        answer = Response(status_code=204, headers=NO_STORE)
        _set_cookie(answer, name, value, COOKIE_SECONDS)
        return answer

    def _sign_out(self, request: Request) -> Response:
        headers = dict(request.scope["headers"])
        check_page(headers)
        self._access.sign_out(headers)
        answer = Response(status_code=204, headers=NO_STORE)
        for name in (COOKIE, SECURE_COOKIE):
            _set_cookie(answer, name, "", 0)
        return answer


def _set_cookie(answer: Response, name: str, value: str, seconds: int) -> None:
    secure = name == SECURE_COOKIE
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure)


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        else:
            found.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return found


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json", headers=NO_STORE)
