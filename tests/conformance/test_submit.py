"""POST /jobs."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from tests.conformance.answers import Job, assert_refused

MEGABYTE = 1_048_576
JSON = {"content-type": "application/json"}

Accepted = Callable[..., str]
Submit = Callable[..., str]
Ended = Callable[[str], Job]


def test_a_submission_is_accepted_with_its_id_and_where_to_look(
    api: httpx.Client, accepted: Accepted, job_id: str
) -> None:
    assert accepted(api.post("/jobs", json={"jobId": job_id, "seconds": 0}), job_id) == job_id


def test_without_an_id_the_server_makes_one_that_nobody_else_has(
    api: httpx.Client, accepted: Accepted, ended: Ended
) -> None:
    ids = {accepted(api.post("/jobs", json={"seconds": 0})) for _ in range(5)}
    assert len(ids) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}", job_id) for job_id in ids)
    assert {ended(job_id)["status"] for job_id in ids} == {"Success"}


@pytest.mark.parametrize("fields", [{"type": "sleep"}, {}], ids=repr)
def test_the_type_may_be_given_or_left_out(submitted: Submit, ended: Ended, fields: dict[str, str]) -> None:
    assert ended(submitted(0, **fields))["type"] == "sleep"


@pytest.mark.parametrize("suffix", ["-", "_", "~", ".", "..", "Az09", "x" * 86], ids=repr)
def test_an_id_may_have_every_unreserved_character_and_128_of_them(
    submitted: Submit, ended: Ended, job_id: str, suffix: str
) -> None:
    chosen = job_id + suffix
    assert len(chosen) <= 128
    submitted(0, jobId=chosen)
    assert ended(chosen)["jobId"] == chosen


BAD_IDS: list[Any] = [
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    "../jobs",
    "a b",
    "a?b",
    "a%41",
    "ü",
    "\u0000",
    "a\n",
    'a"b',
    'a", "status": "Success',
    "a\\",
    "a'b",
    "${jndi:x}",
    "$input.path('$')",
    "x" * 129,
    12345,
    1.5,
    True,
    None,
    [],
    {},
]


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
def test_an_id_that_could_break_out_of_json_or_of_the_path_is_refused(
    api: httpx.Client, capabilities: set[str], bad: Any
) -> None:
    message = assert_refused(api.post("/jobs", json={"jobId": bad, "seconds": 0}), 400)
    assert "jobId" in message or "named" not in capabilities


def test_the_same_request_again_is_accepted_and_starts_nothing_new(
    api: httpx.Client, accepted: Accepted, submitted: Submit, ended: Ended, job_id: str
) -> None:
    submitted(0, jobId=job_id)
    first = ended(job_id)
    accepted(api.post("/jobs", content=f'{{ "seconds":0,\n"jobId": "{job_id}" }}', headers=JSON), job_id)
    assert ended(job_id) == first


def test_eight_clients_with_one_id_at_once_are_all_accepted_and_it_runs_once(
    connect: Callable[[], httpx.Client], ended: Ended, job_id: str
) -> None:
    together = Barrier(8)

    def post() -> int:
        with connect() as client:
            together.wait()
            return client.post("/jobs", json={"jobId": job_id, "seconds": 0.2}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = [future.result() for future in [pool.submit(post) for _ in range(8)]]
    assert statuses == [202] * 8
    job = ended(job_id)
    assert (job["status"], job["attempt"]) == ("Success", 1)


@pytest.mark.needs("conflict")
@pytest.mark.parametrize("seconds", [1, 0.0, False], ids=repr)
def test_another_request_with_the_same_id_is_a_conflict(
    api: httpx.Client, submitted: Submit, ended: Ended, job_id: str, seconds: Any
) -> None:
    submitted(0, jobId=job_id)
    answer = api.post("/jobs", json={"jobId": job_id, "seconds": seconds})
    if seconds is False:
        assert_refused(answer, 400)
    else:
        assert job_id in assert_refused(answer, 409)
    assert ended(job_id)["parameters"] == {"seconds": 0}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"seconds": 0',
        b'{"seconds": 0}}',
        b"{seconds: 0}",
        b"{'seconds': 0}",
        b'{"seconds": NaN}',
        b'{"seconds": Infinity}',
        b'{"seconds": -Infinity}',
        b'{"seconds": 0x10}',
        b'{"seconds": 01}',
        b'{"seconds": 0, "note": "\xff"}',
        b'{"seconds": 0, "note": "\\ud800"}',
        b'{"seconds": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"null",
        b"[]",
        b'"seconds"',
        b"3",
    ],
    ids=lambda body: ascii(body[:30]),
)
def test_what_is_not_a_json_object_is_refused(api: httpx.Client, body: bytes) -> None:
    assert_refused(api.post("/jobs", content=body, headers=JSON), 400)


@pytest.mark.needs("range")
@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000], ids=lambda number: ascii(number[:10]))
def test_a_number_that_no_float_can_hold_is_refused(api: httpx.Client, number: bytes) -> None:
    assert_refused(api.post("/jobs", content=b'{"seconds": %s}' % number, headers=JSON), 400)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "seconds"),
        ({"seconds": "3"}, "seconds"),
        ({"seconds": None}, "seconds"),
        ({"seconds": True}, "seconds"),
        ({"seconds": [3]}, "seconds"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": -0.5}, "seconds"),
        ({"seconds": 0, "second": 0}, "second"),
        ({"seconds": 0, "job_id": "x"}, "job_id"),
        ({"seconds": 0, "type": "nap"}, "type"),
        ({"seconds": 0, "type": ""}, "type"),
        ({"seconds": 0, "type": None}, "type"),
        ({"seconds": 0, "type": ["sleep"]}, "type"),
    ],
    ids=repr,
)
def test_wrong_missing_and_unknown_parameters_are_refused_by_name(
    api: httpx.Client, capabilities: set[str], fields: dict[str, Any], named: str
) -> None:
    message = assert_refused(api.post("/jobs", json=fields), 400)
    assert named in message or "named" not in capabilities


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json ;x=y"],
)
def test_json_is_accepted_with_whatever_parameters(api: httpx.Client, content_type: str) -> None:
    answer = api.post("/jobs", content=b'{"seconds": 0}', headers={"content-type": content_type})
    assert answer.status_code == 202


def test_a_missing_content_type_counts_as_json(api: httpx.Client) -> None:
    request = api.build_request("POST", "/jobs", content=b'{"seconds": 0}')
    assert "content-type" not in request.headers
    assert api.send(request).status_code == 202


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonl",
        "application/xml",
        "x",
    ],
)
def test_another_content_type_is_refused(api: httpx.Client, content_type: str) -> None:
    assert_refused(api.post("/jobs", content=b'{"seconds": 0}', headers={"content-type": content_type}), 415)


def _padded(size: int) -> bytes:
    body = json.dumps({"seconds": 0}).encode()
    return body + b" " * (size - len(body))


def test_a_body_of_one_megabyte_is_accepted(api: httpx.Client) -> None:
    assert api.post("/jobs", content=_padded(MEGABYTE), headers=JSON).status_code == 202


def test_a_body_of_one_byte_more_is_refused_and_the_connection_goes_on(api: httpx.Client) -> None:
    assert_refused(api.post("/jobs", content=_padded(MEGABYTE + 1), headers=JSON), 413)
    assert api.post("/jobs", json={"seconds": 0}).status_code == 202


def test_a_body_that_does_not_tell_its_size_is_refused_when_it_is_too_large(api: httpx.Client) -> None:
    parts = iter([b'{"seconds": 0}', *[b" " * 65_536] * 17])
    assert_refused(api.post("/jobs", content=parts, headers=JSON), 413)


@pytest.mark.needs("bom")
def test_a_byte_order_mark_changes_nothing(api: httpx.Client, accepted: Accepted) -> None:
    accepted(api.post("/jobs", content=b'\xef\xbb\xbf{"seconds": 0}', headers=JSON))


@pytest.mark.needs("encoding")
def test_an_encoding_that_is_none_changes_nothing(api: httpx.Client, accepted: Accepted) -> None:
    headers = {**JSON, "content-encoding": "identity"}
    accepted(api.post("/jobs", content=b'{"seconds": 0}', headers=headers))


@pytest.mark.needs("encoding")
@pytest.mark.parametrize("content_encoding", ["gzip", "br", "gzip, identity", "x"])
def test_a_compressed_body_is_refused(api: httpx.Client, content_encoding: str) -> None:
    headers = {**JSON, "content-encoding": content_encoding}
    message = assert_refused(api.post("/jobs", content=b'{"seconds": 0}', headers=headers), 415)
    assert "Content-Encoding" in message


@pytest.mark.needs("inside")
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (rb'{"jobId": "\ud800", "seconds": 0}', "$.jobId"),
        (rb'{"type": "sl\udfffeep", "seconds": 0}', "$.type"),
        (rb'{"seconds": 0, "note": "\ud83d"}', "$.note"),
        (rb'{"seconds": 0, "note": [1, {"a": "\udc00\ud83d"}]}', "$.note[1].a"),
        (rb'{"seconds": 0, "a\ud800": 1}', "a key of $"),
        (rb'{"seconds": 0, "a": {"\udead": 1}}', "a key of $.a"),
    ],
)
def test_half_a_surrogate_pair_is_refused_by_name(api: httpx.Client, body: bytes, named: str) -> None:
    message = assert_refused(api.post("/jobs", content=body, headers=JSON), 400)
    assert message.startswith(f"{named} has half a surrogate pair")
