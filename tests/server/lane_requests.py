"""Requests for test_lane.py: those that the lane answers, those that it leaves alone, and several on one connection."""

from asyncjob.server.http.protocol import MAX_HEADERS, MAX_PIPELINED

HOST = b"host: 127.0.0.1:8000\r\n"
JSON = HOST + b"content-type: application/json\r\n"
HASTY = b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n"


def post(body: bytes, headers: bytes = JSON, line: bytes = b"POST /jobs HTTP/1.1") -> bytes:
    return b"%b\r\n%bcontent-length: %d\r\n\r\n%b" % (line, headers, len(body), body)


def get(name: bytes, headers: bytes = HOST, line: bytes = b"GET /jobs/%b HTTP/1.1") -> bytes:
    return b"%b\r\n%b\r\n" % (line % name, headers)


HIDING = b"GET /jobs/known HTTP/1.1\r\nx-smuggled: "
ADD = b'{"type": "add", "a": 1, "jobId": "known"}'
POSTED, SHOWN, OVER = post(ADD), get(b"known"), get(b"over")

IN_LANE = {
    "a job": POSTED,
    "a job without an id": post(b'{"type":"add","a":2}'),
    "a job in odd JSON": post('\ufeff{ "a":3,\r\n\r\n"type":"add","jobId":"odd"}'.encode()),
    "another job with that id": post(b'{"type": "add", "a": 9, "jobId": "known"}'),
    "keep-alive": post(ADD, JSON + b"Connection: keep-alive\r\nUser-Agent: x\r\n"),
    "a job with a priority": post(b'{"type":"add","a":4,"options":{"priority":-3}}'),
    "a job for later": post(b'{"type":"add","a":5,"jobId":"later","options":{"delay":"1h"}}'),
    "the same for another time": post(b'{"type":"add","a":5,"jobId":"later","options":{"delay":"2h"}}'),
    "no content-type": post(ADD, HOST),
    "a charset": post(ADD, HOST + b"Content-Type: Application/JSON; charset=utf-8\r\n"),
    "a length with a zero before it": POSTED.replace(b"length: ", b"length: 0"),
    "a job that waits": SHOWN,
    "a job that is final": OVER,
    "any answer": post(ADD, JSON + b"accept: */*\r\n"),
    "a GET with length 0": get(b"known", HOST + b"content-length: 0\r\n"),
}
"""Requests that the lane answers, once it knows their headers."""

ORDINARY = {
    "not JSON": post(b'{"type": "add", "a": 1'),
    "no parameter": post(b'{"type": "add"}'),
    "unknown type": post(b'{"type": "nothing"}'),
    "bad id": post(b'{"type": "add", "a": 1, "jobId": ".a"}'),
    "notify": post(b'{"type": "add", "a": 1, "options": {"notify": "https://a.example/"}}'),
    "unknown option": post(b'{"type": "add", "a": 1, "options": {"nonsense": 1}}'),
    "no such priority": post(b'{"type": "add", "a": 1, "options": {"priority": 11}}'),
    "empty": post(b""),
    "a query": post(ADD, line=b"POST /jobs?a=1 HTTP/1.1"),
    "a wait": post(ADD, line=b"POST /jobs?wait=0 HTTP/1.1"),
    "a slash": post(ADD, line=b"POST /jobs/ HTTP/1.1"),
    "absolute": post(ADD, line=b"POST http://127.0.0.1:8000/jobs HTTP/1.1"),
    "two spaces": post(ADD, line=b"POST  /jobs HTTP/1.1"),
    "lower case": post(ADD, line=b"post /jobs HTTP/1.1"),
    "HTTP/1.0": post(ADD, line=b"POST /jobs HTTP/1.0"),
    "HTTP/1.2": post(ADD, line=b"POST /jobs HTTP/1.2"),
    "PUT": post(ADD, line=b"PUT /jobs HTTP/1.1"),
    "close": post(ADD, JSON + b"connection: close\r\n"),
    "upgrade": post(ADD, JSON + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"),
    "upgrade alone": post(ADD, JSON + b"upgrade: h2c\r\n"),
    "expect": post(ADD, JSON + b"expect: 100-continue\r\n"),
    "text": post(ADD, HOST + b"content-type: text/plain\r\n"),
    "compressed": post(ADD, JSON + b"content-encoding: gzip\r\n"),
    "traceparent": post(ADD, JSON + b"traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n"),
    "cookie": post(ADD, JSON + b"cookie: asyncjob=x\r\n"),
    "key": post(b'{"type":"add","a":1}', JSON + b'idempotency-key: "known"\r\n'),
    "key of another": post(b'{"type":"add","a":2}', JSON + b'idempotency-key: "known"\r\n'),
    "two keys": post(ADD, JSON + b'idempotency-key: "known"\r\n' * 2),
    "problem": post(b'{"type":"add","a":9,"jobId":"known"}', JSON + b"accept: application/problem+json\r\n"),
    "prefer": post(ADD, JSON + b"prefer: respond-async\r\n"),
    "another host": post(ADD, b"host: evil.example\r\n"),
    "its own origin": post(ADD, JSON + b"origin: http://127.0.0.1:8000\r\n"),
    "another origin": post(ADD, JSON + b"origin: http://evil.example\r\n"),
    "no host": post(ADD, b""),
    "two hosts": post(ADD, JSON + HOST),
    "two lengths": post(ADD, JSON + b"content-length: %d\r\n" % len(ADD)),
    "length and chunked": post(ADD, JSON + b"transfer-encoding: chunked\r\n"),
    "chunked": b"POST /jobs HTTP/1.1\r\n%btransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (JSON, len(ADD), ADD),
    "a length with a sign": POSTED.replace(b"length: ", b"length: +"),
    "no length": b"POST /jobs HTTP/1.1\r\n" + JSON + b"\r\n",
    "folded": post(ADD, JSON + b"x-a: b\r\n c\r\n"),
    "bare line feed": post(ADD, JSON + b"x-a: b\n"),
    "bare line feeds": POSTED.replace(b"\r\n", b"\n"),
    "bare carriage return": post(ADD, JSON + b"x-a: b\rc: d\r\n"),
    "too many headers": post(ADD, JSON + b"".join(b"x-%d: a\r\n" % number for number in range(MAX_HEADERS))),
    "long headers": post(ADD, JSON + b"x-a: %b\r\n" % (b"b" * 3_000)),
    "blank line before": b"\r\n" + POSTED,
    "cut off": POSTED[:-1],
    "one byte more": POSTED + b"x",
    "no such job": get(b"unknown"),
    "no id": get(b""),
    "hidden": get(b".a"),
    "escaped": get(b"kn%6Fwn"),
    "wait": get(b"known?wait=0"),
    "bad query": get(b"known?a=1"),
    "two segments": get(b"known/attempts"),
    "GET of 1.0": get(b"known", line=b"GET /jobs/%b HTTP/1.0"),
    "HEAD": get(b"known", line=b"HEAD /jobs/%b HTTP/1.1"),
    "GET with a body": get(b"known", HOST + b"content-length: 2\r\n") + b"{}",
    "GET with close": get(b"known", HOST + b"connection: close\r\n"),
    "GET of a version": get(b"known", HOST + b"if-none-match: *\r\n"),
    "GET with a preference": get(b"known", HOST + b"prefer: wait=0\r\n"),
    "GET with another's page": get(b"known", HOST + b"origin: http://evil.example\r\n"),
}
"""Requests that it leaves alone."""

TOGETHER = {
    "two jobs": POSTED + post(b'{"type":"add","a":2,"jobId":"second"}'),
    "job, GET, nonsense": POSTED + SHOWN + b"nonsense\r\n\r\n",
    "GET, job, elsewhere": SHOWN + POSTED + HASTY,
    "two GETs": SHOWN + SHOWN,
    "a job and half a GET": POSTED + SHOWN[:20],
    "smuggled in a header": HIDING + OVER,
    "smuggled in a header of the second": SHOWN + HIDING + OVER,
    "a job smuggled in a header": HIDING + POSTED,
    "smuggled in a body": post(OVER),
    "smuggled in a body that nobody reads": post(OVER, HOST + b"content-type: text/plain\r\n"),
    "a job smuggled in a body": post(POSTED) + SHOWN,
    "smuggled in a body without an end": post(POSTED)[:-1],
    "more than may be pipelined": SHOWN + POSTED * (MAX_PIPELINED + 2),
}
"""Several requests on one connection."""
