"""The routes of the page for people, at /, and of its files; sign_in.py lets a browser in.

The page is a client of the API like any other: it reads and changes jobs through the contract's own routes. Its
scripts, style and library come from this server alone, and nothing in it is evaluated from text.
"""

from functools import cache
from pathlib import Path

from asyncjob.server.http import answers
from asyncjob.server.http.answers import Answer
from asyncjob.server.http.requests import Request
from asyncjob.server.refusals import NotFound

# lit-html makes templates of the page's own markup; trusted-types lets nothing else become HTML or script.
CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types lit-html"
)
HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]
STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}


async def show(request: Request) -> Answer:
    base = f"{request.prefix}/" if request.prefix else ""  # at /work, without a slash, relative links would be wrong
    return answers.file(_html().replace(b"{base}", base.encode()), b"text/html; charset=utf-8", HEADERS)


async def file(request: Request) -> Answer:
    media_type = MEDIA_TYPES.get(request.name.rpartition(".")[2])
    content = _files().get(request.name)
    if media_type is None or content is None:
        raise NotFound
    return answers.file(content, media_type, HEADERS)


@cache
def _html() -> bytes:
    return (STATIC / "page.html").read_bytes()


@cache
def _files() -> dict[str, bytes]:
    """All files by path: what is asked for is looked up among them, never on the disk."""
    folder = STATIC / "page"
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.*")}
