"""What the processor costs on Lambda, beside the same function as it is usually written: a table, and the same as JSON.

Both run under Lambda's own runtime client with the libraries of its managed runtime, on the tests' double of AWS, and
write to the same table. Each round gives both a new execution environment, one after the other. A job's time is the
function's own: it excludes what the table took to answer, which would hide everything else. The table is reached
without TLS, and on AWS a function has only part of a core: compare the two sides, not a figure with one from AWS.

    python -m bench.aws [--rounds 7] [--json bench/results-aws.json]
"""

import argparse
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from tests.aws.double.double import Double
from tests.aws.double.environment import Environment, FunctionConfig, Measurement
from tests.aws.double.services import Answer, Services

HERE = Path(__file__).parent
TEMPLATE = HERE.parent / "template.yaml"
PEER = HERE / "aws_peer" / "index.py"
PEER_LAYER = Path(sys.prefix, "aws-peer-libraries")
WARM_JOBS = 20

INIT, COLD, WARM, MEMORY, SIZE = (
    "initialisation, ms",
    "first job's own time, ms",
    "another job's own time, ms",
    "memory at its peak, MB",
    "code and its own libraries, kB",
)
AT_MOST_HALF = (INIT, MEMORY)

Figures = dict[str, float]


def figures(double: Double, config: FunctionConfig) -> Figures:
    """What a new environment of the function takes, for its first job and for later ones.

    Raises:
        RuntimeError: a job is not a Success in the table.
    """
    job_ids = [str(uuid.uuid4()) for _ in range(1 + WARM_JOBS)]
    first, *others = double.run(_measurements(double, config, job_ids))
    for job_id in job_ids:
        item = double.item(job_id)
        if not item or item["status"] != "Success":
            raise RuntimeError(f"the table holds {item} after a job of {config.name}")
    assert first.init_ms is not None
    return {
        INIT: first.init_ms,
        COLD: first.duration_ms,
        WARM: statistics.median(other.duration_ms for other in others),
        MEMORY: others[-1].max_memory_mb,
        SIZE: size(config) / 1000,
    }


async def _measurements(double: Double, config: FunctionConfig, job_ids: list[str]) -> list[Measurement]:
    role = double.stack.named("Processor").properties["Role"]
    lines: list[str] = []
    environment = Environment(config, double.services.credentials(role), lines.append)
    measurements = []
    try:
        await environment.start()
        for job_id in job_ids:
            with table_time(double.services) as waits:
                result, measurement = await environment.run(str(uuid.uuid4()), event(job_id))
            if result.error:
                raise RuntimeError("\n".join([*lines, result.payload.decode()]))
            measurements.append(replace(measurement, duration_ms=measurement.duration_ms - sum(waits)))
    finally:
        await environment.close()
    return measurements


@contextmanager
def table_time(services: Services) -> Iterator[list[float]]:
    """How long each call of the table takes while this is open, in milliseconds."""
    waits: list[float] = []
    answer = services.dynamodb

    async def timed(role: str | None, operation: str, body: bytes) -> Answer:
        begin = time.perf_counter()
        try:
            return await answer(role, operation, body)
        finally:
            waits.append((time.perf_counter() - begin) * 1000)

    with patch.object(services, "dynamodb", timed):
        yield waits


def event(job_id: str) -> bytes:
    """The event that API Gateway makes from a request for a job that sleeps for 0 seconds."""
    request = {"jobId": job_id, "seconds": 0}
    created_at = time.time_ns() // 1_000_000
    return json.dumps(
        {"jobId": job_id, "requestId": str(uuid.uuid4()), "createdAt": created_at, "request": request}
    ).encode()


def size(config: FunctionConfig) -> int:
    """The size of what is deployed for a function, in bytes, without the bytecode that an installation adds."""
    files = [file for layer in config.layers for file in layer.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    code = config.code.stat().st_size if isinstance(config.code, Path) else len(config.code.encode())
    return code + sum(file.stat().st_size for file in files)


def measure(double: Double, sides: Mapping[str, FunctionConfig], rounds: int) -> dict[str, dict[str, list[float]]]:
    """The figures of all rounds, interleaved: by figure and side."""
    values: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        for side, config in sides.items():
            for name, value in figures(double, config).items():
                values.setdefault(name, {}).setdefault(side, []).append(value)
                print(f"round {number + 1} of {rounds}: {side}: {name}: {value:,.1f}", file=sys.stderr)
    return values


def table(values: Mapping[str, Mapping[str, list[float]]]) -> str:
    """The medians of both sides, and ours as a fraction of the peer's."""
    lines = [f"{'figure':<34}{'ours':>12}{'peer':>12}{'ours/peer':>12}"]
    for name, sides in values.items():
        ours, peer = statistics.median(sides["ours"]), statistics.median(sides["peer"])
        lines.append(f"{name:<34}{ours:>12,.1f}{peer:>12,.1f}{ours / peer:>12.3f}")
    return "\n".join(lines)


def over_half(values: Mapping[str, Mapping[str, list[float]]]) -> list[str]:
    """The figures that must be at most half of the peer's, and are not."""
    return [
        name
        for name in AT_MOST_HALF
        if statistics.median(values[name]["ours"]) > statistics.median(values[name]["peer"]) / 2
    ]


def main() -> None:
    """Measure both sides and print the table; exit with 1 if ours is over half where it must not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=HERE / "results-aws.json")
    given = parser.parse_args()
    # Both run in the processor's role, which may only put an item, as ours does. The peer also updates one.
    template = TEMPLATE.read_text().replace("dynamodb:PutItem,", "[dynamodb:PutItem, dynamodb:UpdateItem],")
    with Double(template) as double:
        ours = double.configs["AsyncJobProcessor"]
        peer = replace(ours, code=PEER.read_text(), handler="index.handler", layers=(PEER_LAYER,))
        values = measure(double, {"ours": ours, "peer": peer}, given.rounds)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {given.rounds} rounds, medians\n")
    print(table(values))
    given.json.write_text(json.dumps(values, indent=2) + "\n")
    if missed := over_half(values):
        sys.exit(f"not at most half of the peer's: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
