"""The benchmark of the processor measures what it says, and fails where the processor is too expensive.

Its peer needs libraries that only the benchmark installs, so our own processor stands in for it here.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from tests.aws.conftest import PROCESSOR
from tests.aws.double.double import Double

aws = import_module("bench.aws")  # bench.py's imports make it `aws` to mypy, which takes no file by two names


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with Double(aws.TEMPLATE.read_text()) as running:
        yield running


def values(init: tuple[float, float], memory: tuple[float, float]) -> dict[str, dict[str, list[float]]]:
    figures = {aws.INIT: init, aws.MEMORY: memory}
    return {name: {"ours": [ours], "peer": [peer]} for name, (ours, peer) in figures.items()}


def test_a_run_prints_every_figure_of_both_sides_and_fails_where_ours_is_over_half(
    double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer, layer, results = tmp_path / "index.py", tmp_path / "layer", tmp_path / "results.json"
    peer.write_text(str(double.configs[PROCESSOR].code))
    layer.mkdir()
    (layer / "library.py").write_bytes(b"#" * 2_000)
    monkeypatch.setattr(aws, "PEER", peer)
    monkeypatch.setattr(aws, "PEER_LAYER", layer)
    monkeypatch.setattr(aws, "WARM_JOBS", 2)
    monkeypatch.setattr(sys, "argv", ["aws.py", "--rounds", "1", "--json", str(results)])
    with pytest.raises(SystemExit, match=rf"not at most half of the peer's:.*{aws.MEMORY}"):
        aws.main()
    printed = capsys.readouterr().out
    measured = json.loads(results.read_text())
    for name in (aws.INIT, aws.COLD, aws.WARM, aws.MEMORY, aws.SIZE):
        assert re.search(rf"^{re.escape(name)}( +[\d.,]+){{3}}$", printed, re.M)
        assert measured[name]["ours"][0] > 0 and len(measured[name]["peer"]) == 1
    assert measured[aws.SIZE]["peer"][0] == pytest.approx(measured[aws.SIZE]["ours"][0] + 2)


def test_the_time_of_each_call_of_the_table_is_known_and_the_answer_is_the_tables(double: Double) -> None:
    request = b'{"TableName": "Jobs", "Key": {"jobId": {"S": "none"}}}'
    with aws.table_time(double.services) as waits:
        answers = [double.run(double.services.dynamodb(None, "GetItem", request)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert len(waits) == 2 and min(waits) > 0
    double.run(double.services.dynamodb(None, "GetItem", request))
    assert len(waits) == 2


def test_a_function_that_records_nothing_is_not_measured(double: Double) -> None:
    idle = replace(double.configs[PROCESSOR], code="def handler(event, context):\n    pass\n")
    with pytest.raises(RuntimeError, match="the table holds None after a job of AsyncJobProcessor"):
        aws.figures(double, idle)


def test_a_function_that_fails_is_not_measured_and_its_log_is_shown(double: Double) -> None:
    broken = replace(double.configs[PROCESSOR], code="def handler(event, context):\n    raise OSError('no disk')\n")
    with pytest.raises(RuntimeError, match=r"(?s)START RequestId.*OSError.*no disk"):
        aws.figures(double, broken)


def test_a_layer_comes_before_the_libraries_of_the_runtime(double: Double, tmp_path: Path) -> None:
    (tmp_path / "six.py").write_text("raise OSError('of the layer')\n")
    code = "import six\ndef handler(event, context):\n    pass\n"
    with pytest.raises(RuntimeError, match="of the layer"):
        aws.figures(double, replace(double.configs[PROCESSOR], code=code, layers=(tmp_path,)))


def test_bytecode_is_not_part_of_the_size(double: Double, tmp_path: Path) -> None:
    (tmp_path / "library.py").write_bytes(b"#" * 10)
    (tmp_path / "library.pyc").write_bytes(b"#" * 1_000)
    config = replace(double.configs[PROCESSOR], code="é", layers=(tmp_path,))
    assert aws.size(config) == 12


def test_the_table_compares_medians() -> None:
    lines = aws.table({"figure, ms": {"ours": [1, 2, 900], "peer": [8, 7, 9]}}).splitlines()
    assert lines[1].split() == ["figure,", "ms", "2.0", "8.0", "0.250"]


@pytest.mark.parametrize(
    ("init", "memory", "missed"),
    [
        ((50, 100), (30, 60), []),
        ((51, 100), (30, 60), [aws.INIT]),
        ((51, 100), (31, 60), [aws.INIT, aws.MEMORY]),
    ],
)
def test_half_of_the_peers_is_enough(init: tuple[float, float], memory: tuple[float, float], missed: list[str]) -> None:
    assert aws.over_half(values(init, memory)) == missed
