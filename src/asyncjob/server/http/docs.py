"""The routes that describe the API: the OpenAPI document, and Swagger UI at /docs, which shows it."""

import gzip
from functools import cache
from pathlib import Path

import msgspec

from asyncjob.server.http import answers
from asyncjob.server.http.answers import Answer
from asyncjob.server.http.requests import Request
from asyncjob.server.refusals import NotFound

# Swagger UI writes style attributes; scripts come only from files of this server.
CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = [(b"content-security-policy", CONTENT_SECURITY_POLICY), (b"referrer-policy", b"no-referrer")]
FILE_HEADERS = [(b"cache-control", b"max-age=3600"), (b"vary", b"accept-encoding")]
SCRIPT, STYLE = b"text/javascript; charset=utf-8", b"text/css; charset=utf-8"
FILES = {
    "docs.js": ("docs.js", SCRIPT),
    "docs.css": ("docs.css", STYLE),
    "swagger-ui-bundle.js": ("swagger-ui/swagger-ui-bundle.js.gz", SCRIPT),
    "swagger-ui.css": ("swagger-ui/swagger-ui.css.gz", STYLE),
}


async def openapi(request: Request) -> Answer:
    document = request.document
    if request.prefix:  # without `servers`, paths begin at the host
        servers = msgspec.json.encode({"servers": [{"url": request.prefix}]})
        document = b"%b,%b" % (servers[:-1], document[1:])
    return answers.json(document)


async def show(request: Request) -> Answer:
    return answers.file(_read("docs.html"), b"text/html; charset=utf-8", PAGE_HEADERS)


async def file(request: Request) -> Answer:
    if request.name not in FILES:
        raise NotFound
    path, media_type = FILES[request.name]
    if not path.endswith(".gz"):
        return answers.file(_read(path), media_type, FILE_HEADERS)
    if "gzip" in (request.header(b"accept-encoding") or ""):
        return answers.file(_read(path), media_type, [*FILE_HEADERS, (b"content-encoding", b"gzip")])
    return answers.file(_decompressed(path), media_type, FILE_HEADERS)


@cache
def _decompressed(path: str) -> bytes:
    """One copy for all clients: a slow one holds it for as long as it reads."""
    return gzip.decompress(_read(path))


@cache
def _read(path: str) -> bytes:
    return (Path(__file__).parent / "static" / path).read_bytes()
