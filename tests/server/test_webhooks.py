"""Notifications: signed, sent until they are answered, survivors of `kill -9`, and never where they must not go."""

import os
import re
import signal
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook, WebhookVerificationError

from tests.receiver import Received, Receiver
from tests.server.conftest import Gate, lines, wait_for
from tests.serving import COMMAND, FUNCTIONS, Server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
ENV = {"ASYNCJOB_NOTIFY_SECRET": SECRET, "ASYNCJOB_NOTIFY_ALLOW": "127.0.0.1 hooks.example"}


@contextmanager
def _served(folder: Path, *arguments: str, **env: str) -> Iterator[Server]:
    with Server(folder / "jobs.db", *arguments, target=FUNCTIONS, env={**ENV, **env}) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with _served(tmp_path) as server:
        yield server


def _deliveries(server: Server, job_id: str) -> list[dict[str, Any]]:
    deliveries: list[dict[str, Any]] = server.client.get(f"/jobs/{job_id}/deliveries").json()["deliveries"]
    return deliveries


def _settled(server: Server, job_id: str, status: str) -> dict[str, Any]:
    """The job's one delivery, once it has that status."""
    wait_for(lambda: [one["status"] for one in _deliveries(server, job_id)] == [status], status)
    (delivery,) = _deliveries(server, job_id)
    return delivery


def _verified(received: Received) -> dict[str, Any]:
    body: dict[str, Any] = Webhook(SECRET).verify(received.body, received.headers)
    return body


def _url(receiver: Receiver, path: str = "/") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


@pytest.mark.parametrize(
    ("type", "parameters", "status"),
    [("add", {"a": 1}, "Success"), ("raises", {"message": "no"}, "Failure")],
)
def test_who_is_named_is_told_how_the_job_ended(
    server: Server, type: str, parameters: dict[str, Any], status: str
) -> None:
    with Receiver() as receiver:
        job_id = server.submit(type, **parameters, options={"notify": _url(receiver, "/ended?token=1")})
        job = server.result(job_id)
        (received,) = receiver.wait()
        delivery = _settled(server, job_id, "Delivered")
    data = {name: value for name, value in job.items() if name not in ("parameters", "results")}
    assert _verified(received) == {"type": f"job.{status.lower()}", "timestamp": job["finishedAt"], "data": data}
    assert received.path == "/ended?token=1"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert delivery["id"] == received.headers["webhook-id"]
    assert (delivery["tries"], delivery["attempt"], delivery["url"]) == (1, 1, _url(receiver, "/ended?token=1"))
    assert "token" not in server.log.read_text()


def test_the_receiver_of_the_documentation_takes_what_is_sent_and_nothing_else(server: Server) -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    with Receiver() as receiver:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        (received,) = receiver.wait()
    assert names["SECRET"] == SECRET
    assert names["ended"](received.body.encode(), received.headers) == f"{job_id} is a Success"
    with pytest.raises(WebhookVerificationError):
        names["ended"](received.body.replace("Success", "Failure").encode(), received.headers)


def test_a_server_that_may_notify_is_started_as_the_documentation_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    (block,) = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    *before, serve = [line.removeprefix("$ ") for line in block.splitlines()]
    (tmp_path / "mine.py").write_text(Path(FUNCTIONS).read_text())
    env = {**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    script = "\n".join([*before, f"exec {serve} --port 0"])
    with subprocess.Popen(["bash", "-ec", script], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        refused = httpx.post(
            f"{url}/jobs", json={"type": "add", "a": 1, "options": {"notify": "https://other.example.com/"}}
        )
        server.terminate()
    assert server.returncode == 0
    assert "other.example.com is not allowed" in refused.json()["message"]


def test_a_canceled_job_and_each_further_end_are_told(server: Server, tmp_path: Path, gate: Gate) -> None:
    with Receiver() as receiver:
        job_id = server.submit("holds", started=str(tmp_path / "s"), gate=gate.path, options={"notify": _url(receiver)})
        wait_for(lambda: lines(tmp_path / "s"), "the job")
        server.client.post(f"/jobs/{job_id}/cancel").raise_for_status()
        receiver.wait()
        gate.open()
        server.client.post(f"/jobs/{job_id}/retry").raise_for_status()
        first, second = (_verified(received) for received in receiver.wait(2))
    assert (first["type"], second["type"]) == ("job.canceled", "job.success")
    assert (first["data"]["attempt"], second["data"]["attempt"]) == (1, 2)
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 2


def test_a_notification_is_sent_again_under_the_same_id_until_it_is_answered(server: Server) -> None:
    answers = iter([500, 429, 200])
    with Receiver(lambda received: (next(answers), {})) as receiver:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        received = receiver.wait(3)
        delivery = _settled(server, job_id, "Delivered")
    assert len({(one.headers["webhook-id"], one.body) for one in received}) == 1
    assert delivery["tries"] == 3
    assert "error" not in delivery  # it was delivered: what an earlier try came to is over


def test_a_receiver_that_is_gone_is_told_no_more(server: Server) -> None:
    with Receiver(lambda received: (410, {})) as receiver:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        delivery = _settled(server, job_id, "Failed")
    assert (delivery["tries"], delivery["error"]) == (1, "the answer was 410")


def test_a_redirect_is_not_followed(server: Server) -> None:
    with Receiver(lambda received: (307, {"location": "/elsewhere"})) as receiver:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver, "/here")})
        receiver.wait(3)
        (delivery,) = _deliveries(server, job_id)
    assert {received.path for received in receiver.received} == {"/here"}
    assert delivery["error"] == "the answer was 307"


def test_a_name_is_never_followed_to_a_private_address_that_is_not_allowed(tmp_path: Path) -> None:
    with Receiver() as receiver, _served(tmp_path, ASYNCJOB_NOTIFY_ALLOW="localhost") as server:
        job_id = server.submit("add", a=1, options={"notify": f"https://localhost:{receiver.port}/"})
        wait_for(lambda: any(one["tries"] for one in _deliveries(server, job_id)), "a try")
        (delivery,) = _deliveries(server, job_id)
    assert "not public and not allowed" in delivery["error"]
    assert receiver.received == []


def test_what_is_allowed_no_more_is_sent_no_more(tmp_path: Path) -> None:
    with Receiver(lambda received: (500, {})) as receiver:
        with _served(tmp_path) as server:
            job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
            receiver.wait()
        count = len(receiver.received)
        with _served(tmp_path, ASYNCJOB_NOTIFY_ALLOW="hooks.example") as server:
            wait_for(lambda: "not allowed here" in _deliveries(server, job_id)[0].get("error", ""), "a try")
        assert len(receiver.received) == count


def test_a_notification_that_was_under_way_at_kill_9_is_sent_by_the_next_server(tmp_path: Path) -> None:
    go_on = threading.Event()
    with Receiver(lambda received: (204 if go_on.wait(30) else 500, {})) as receiver, _served(tmp_path) as server:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        (first,) = receiver.wait()
        server.stop(signal.SIGKILL)
        go_on.set()
        server.start()
        _, second = receiver.wait(2)
        assert _settled(server, job_id, "Delivered")["tries"] == 1
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    _verified(second)


def test_a_notification_whose_receiver_was_down_is_sent_once_it_is_back(tmp_path: Path) -> None:
    with Receiver() as receiver:
        port = receiver.port
    with _served(tmp_path) as server:
        job_id = server.submit("add", a=1, options={"notify": f"http://127.0.0.1:{port}/"})
        wait_for(lambda: any(one["tries"] for one in _deliveries(server, job_id)), "a try")
        server.stop(signal.SIGKILL)
        with Receiver(port=port) as receiver:
            server.start()
            receiver.wait()
            assert _settled(server, job_id, "Delivered")["tries"] > 1


def test_after_a_day_it_is_given_up(tmp_path: Path) -> None:
    with Receiver(lambda received: (500, {})) as receiver, _served(tmp_path) as server:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        receiver.wait()
        server.stop()
        with closing(sqlite3.connect(server.database)) as connection, connection:
            connection.execute("UPDATE delivery SET created_ms = created_ms - 86400000, due_at = 1")
        server.start()
        assert _settled(server, job_id, "Failed")["error"] == "the answer was 500"


def test_a_job_that_is_purged_leaves_what_is_not_delivered_yet(tmp_path: Path) -> None:
    go_on = threading.Event()
    with (
        Receiver(lambda received: (204 if go_on.wait(30) else 500, {})) as receiver,
        _served(tmp_path, "--keep", "1s") as server,
    ):
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        wait_for(lambda: server.client.get(f"/jobs/{job_id}").status_code == 404, "the purge")
        assert _kept(server.database) == 1
        go_on.set()
        receiver.wait()
        wait_for(lambda: _kept(server.database) == 0, "the end of the delivery")


def _kept(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM delivery").fetchone()
    return int(count)


def test_https_is_verified_against_the_name_though_the_address_is_asked(tmp_path: Path) -> None:
    certificate, tls = _certificate(tmp_path, "localhost")
    env = {"ASYNCJOB_NOTIFY_ALLOW": "localhost 127.0.0.1 ::1", "SSL_CERT_FILE": str(certificate)}
    with Receiver(tls=tls) as receiver, _served(tmp_path, **env) as server:
        job_id = server.submit("add", a=1, options={"notify": f"https://localhost:{receiver.port}/"})
        (received,) = receiver.wait()
        _verified(received)
        assert received.headers["host"] == f"localhost:{receiver.port}"
        _settled(server, job_id, "Delivered")
        wrong = server.submit("add", a=1, options={"notify": f"https://127.0.0.1:{receiver.port}/"})
        wait_for(lambda: any(one["tries"] for one in _deliveries(server, wrong)), "a try")
        assert "CERTIFICATE_VERIFY_FAILED" in _deliveries(server, wrong)[0]["error"]
    assert len(receiver.received) == 1


def _certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate of its own for that name, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, private = folder / "certificate.pem", folder / "key.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, private)
    return path, context


@pytest.mark.parametrize(
    ("notify", "message"),
    [
        (7, "must be a URL"),
        ("", "must be a URL of at most 2,000 ASCII characters"),
        ("https://hooks.example/" + "x" * 2_000, "must be a URL of at most 2,000 ASCII characters"),
        ("https://hooks.example/é", "must be a URL of at most 2,000 ASCII characters"),
        ("hooks.example", "must be a URL with a host"),
        ("https://[hooks.example/", "is not a URL"),
        ("https://hooks.example:99999/", "is not a URL"),
        ("https://me:secret@hooks.example/", "must not carry a user or a password"),
        ("https://other.example/", "host other.example is not allowed here"),
        ("https://hooks.example.other.example/", "is not allowed here"),
        ("https://10.0.0.1/", "address 10.0.0.1 is not allowed here"),
        ("https://[::1]/", "address ::1 is not allowed here"),
        ("http://hooks.example/", "must begin with https://"),
        ("ftp://127.0.0.1/", "must begin with https://"),
    ],
)
def test_any_other_url_is_refused_and_leaves_no_job(server: Server, notify: object, message: str) -> None:
    answer = server.client.post("/jobs", json={"type": "add", "a": 1, "options": {"notify": notify}})
    assert (answer.status_code, server.client.get("/jobs").json()) == (400, {"jobs": []})
    assert answer.json()["message"].startswith("options.notify ")
    assert message in answer.json()["message"]


def test_the_same_id_with_another_notify_is_another_request(server: Server) -> None:
    with Receiver() as receiver:
        body = {"jobId": "one", "type": "add", "a": 1, "options": {"notify": _url(receiver)}}
        answers = [
            server.client.post("/jobs", json=sent).status_code
            for sent in (
                body,
                body,
                {**body, "options": {"notify": _url(receiver, "/2")}},
                {"jobId": "one", "type": "add", "a": 1},
            )
        ]
        server.result("one")
        _settled(server, "one", "Delivered")
    assert answers == [202, 202, 409, 409]
    assert len(receiver.received) == 1


def test_the_deliveries_of_an_unknown_job_are_not_found(server: Server) -> None:
    assert server.client.get("/jobs/unknown/deliveries").status_code == 404
    assert _deliveries(server, server.submit("add", a=1)) == []


def test_tries_are_counted(server: Server) -> None:
    with Receiver() as receiver:
        job_id = server.submit("add", a=1, options={"notify": _url(receiver)})
        _settled(server, job_id, "Delivered")
    assert 'asyncjob_deliveries_total{outcome="delivered"} 1.0' in server.client.get("/metrics").text


def test_the_openapi_document_has_notify_where_it_is_allowed(server: Server, tmp_path: Path) -> None:
    def fields(server: Server) -> list[bool]:
        schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
        return [
            "notify" in schema["properties"].get("options", {"properties": {}})["properties"]
            for name, schema in schemas.items()
            if name.startswith("parameters.") and "jobId" in schema.get("properties", {})
        ]

    with Server(tmp_path / "other.db", target=FUNCTIONS) as other:
        assert all(fields(server))
        assert not any(fields(other))
