"""What docs/operations.md and its examples say is so: names of metrics, options, settings, limits."""

import configparser
import json
import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml

from asyncjob.cli import app
from asyncjob.contract import MAX_BODY_BYTES, MAX_WAIT_SECONDS
from asyncjob.server.http.listener import config
from tests.server.conftest import wait_for
from tests.serving import FUNCTIONS, Server

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
EXAMPLES = ROOT / "docs" / "examples"
SERVE = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
SETTINGS = {parameter.envvar for parameter in SERVE.params}
KINDS = ("_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a server shows that has seen some of everything."""
    folder = tmp_path_factory.mktemp("operations")
    with Server(folder / "jobs.db", "--workers", "1", target=FUNCTIONS) as server:
        server.result(server.submit("add", a=1))
        server.result(server.submit("raises", message="no"))
        server.result(server.submit("dies", runs=str(folder / "runs")))
        server.client.get("/nowhere")
        wait_for(lambda: "asyncjob_workers 1.0" in server.client.get("/metrics").text, "a new worker")
        return server.client.get("/metrics").text


def names(metrics: str) -> set[str]:
    """The names as people say them: a histogram's is one."""
    shown = re.findall(r"^(asyncjob_\w+)", metrics, re.MULTILINE)
    return {re.sub(f"({'|'.join(KINDS)})$", "", name) for name in shown}


def test_every_metric_is_described_and_nothing_else(metrics: str) -> None:
    described = set(re.findall(r"^\| `(asyncjob_\w+)`", PAGE, re.MULTILINE))
    assert described == names(metrics)
    for name in re.findall(r"`(process_\w+)`", PAGE):
        assert f"\n{name} " in metrics


def test_every_alert_asks_for_metrics_and_labels_that_are_there(metrics: str) -> None:
    (group,) = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"]
    assert len(group["rules"]) == 5
    for rule in group["rules"]:
        asked = re.findall(r"(asyncjob_\w+)(?:\{(.*?)\})?", rule["expr"])
        assert asked, rule
        for name, labels in asked:
            assert re.search(rf"^{name}[ {{].*{re.escape(labels)}", metrics, re.MULTILINE), (name, labels)
        assert rule["annotations"]["summary"].endswith(".")
    assert {rule["alert"] for rule in group["rules"]} == set(re.findall(r"^\| `(AsyncJob\w+)`", PAGE, re.MULTILINE))


def parse_serve(arguments: list[str]) -> dict[str, object]:
    """The settings that a command line gives; the command's own parser refuses what it does not know."""
    assert Path(arguments[0]).name == "asyncjob"
    assert arguments[1] == "serve"
    return dict(SERVE.make_context("asyncjob serve", arguments[2:]).params)


def test_the_unit_starts_a_server_and_leaves_it_its_grace() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(EXAMPLES / "asyncjob.service")
    service = unit["Service"]
    settings = parse_serve(shlex.split(service["ExecStart"]))
    assert float(service["TimeoutStopSec"]) > float(settings["grace"])  # type: ignore[arg-type]
    name, _, path = service["Environment"].partition("=")
    assert name in SETTINGS
    assert path.startswith(f"/var/lib/{service['StateDirectory']}/")
    assert (service["OOMPolicy"], service["KillMode"]) == ("continue", "mixed")


def test_the_containers_file_copies_what_is_there_and_starts_a_server() -> None:
    lines = (EXAMPLES / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if not line.startswith("#")]
    kinds = [kind for kind, _ in instructions]
    assert set(kinds) <= {"ARG", "FROM", "COPY", "RUN", "USER", "VOLUME", "ENV", "EXPOSE", "HEALTHCHECK", "CMD"}
    for kind, rest in instructions:
        if kind == "COPY":
            assert all((ROOT / source).exists() for source in rest.split()[:-1])
        if kind == "ENV":
            assert {pair.partition("=")[0] for pair in rest.split()} <= SETTINGS
        if kind == "HEALTHCHECK":
            compile(json.loads(rest.removeprefix("CMD "))[-1], "HEALTHCHECK", "exec")
    settings = parse_serve(json.loads(instructions[-1][1]))
    (stop_timeout,) = re.findall(r"--stop-timeout (\d+)", "\n".join(lines))
    assert float(stop_timeout) > float(settings["grace"])  # type: ignore[arg-type]
    assert kinds.index("USER") < kinds.index("CMD")


@pytest.mark.parametrize("example", ["nginx.conf", "nginx-prefix.conf"])
def test_the_proxy_is_as_patient_and_as_generous_as_the_server(example: str) -> None:
    text = (EXAMPLES / example).read_text()
    directives = dict(re.findall(r"^\s+(\w+) (.*?);", text, re.MULTILINE))
    assert int(directives["proxy_read_timeout"].removesuffix("s")) > MAX_WAIT_SECONDS
    assert int(directives["client_max_body_size"].removesuffix("m")) << 20 > MAX_BODY_BYTES
    assert int(directives["keepalive_timeout"].removesuffix("s")) < config(None, 1).timeout_keep_alive
    assert directives["proxy_buffering"] == "off"
