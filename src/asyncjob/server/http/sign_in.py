"""The route of the sign-in, by which a browser gets its cookie for the API key, asks whether it has one, and leaves."""

import msgspec

from asyncjob.contract import ApiError
from asyncjob.server.http import answers
from asyncjob.server.http.access import WrongKey, check_page
from asyncjob.server.http.answers import NO_STORE, Answer, Header
from asyncjob.server.http.requests import Request
from asyncjob.server.http.sessions import COOKIE, COOKIE_SECONDS, COOKIES, SECURE_COOKIE

MAX_BYTES = 1_024  # of a body that everybody may send


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser posts to get its cookie."""

    key: str


async def tell(request: Request) -> Answer:
    needed = request.access.needs_key
    signed_in = needed and request.access.sessions.find(request.headers) is not None
    return answers.json(msgspec.json.encode({"keyNeeded": needed, "signedIn": signed_in}))


async def sign_in(request: Request) -> Answer:
    check_page(request.headers)
    try:
        given = msgspec.json.decode(await request.json(MAX_BYTES), type=SignIn)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ApiError(400, 'the body must be {"key": "..."}') from None
    if not request.access.has_key(given.key.encode(errors="replace")):
        raise WrongKey("that is not the server's API key")
    session = request.access.sessions.start(request.headers, request.prefix)
    return answers.nothing([NO_STORE, _cookie(*session.cookie, COOKIE_SECONDS, request.prefix)])


async def sign_out(request: Request) -> Answer:
    check_page(request.headers)
    request.access.sessions.end(request.headers)
    return answers.nothing([NO_STORE, *(_cookie(name, '""', 0, request.prefix) for name in COOKIES)])


def _cookie(name: str, value: str, seconds: int, prefix: str) -> Header:
    """A cookie for the paths of the API and no others, but where its name demands that it is for all."""
    path = "/" if name == SECURE_COOKIE else prefix or "/"
    secure = "" if name == COOKIE else "; Secure"
    cookie = f"{name}={value}; HttpOnly; Max-Age={seconds}; Path={path}; SameSite=strict{secure}"
    return b"set-cookie", cookie.encode()
