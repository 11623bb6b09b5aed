"""Draws the curves of bench/growth.py, one SVG each, for docs/performance.md.

It has a virtual environment of its own (`make bench-growth`), because nothing else needs a plotting library.

    python bench/plot.py bench/growth.json docs/
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "asyncjob", "svg.fonttype": "none", "font.size": 9}
from matplotlib import pyplot  # noqa: E402  (after the choice of its output)

RATES = ("submissions/s", "GETs/s", "jobs/s, first POST to last outcome")
NAMES = {
    "connections": "connections",
    "worker processes": "workers",
    "bytes of a body": "body",
    "finished jobs in the file": "stored",
}


def draw(name: str, curve: dict[str, dict[str, float]], target: Path) -> None:
    """Rates on the left, a submission's p99 on the right."""
    x = [int(key) for key in curve]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for rate in RATES:
        _line(left, x, curve, rate)
    for latency in ("submission p99, ms", "GET p99, ms"):
        _line(right, x, curve, latency)
    for axes in (left, right):
        if max(x) > 10:
            axes.set_xscale("symlog" if 0 in x else "log", **({"linthresh": 100_000} if 0 in x else {"base": 2}))
        axes.set_xticks(x, [f"{value:,}" for value in x], rotation=45 if max(x) > 10 else 0, ha="right")
        axes.minorticks_off()
        axes.set_xlabel(name)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(target, metadata={"Date": None})
    pyplot.close(figure)


def _line(axes: Any, x: list[int], curve: dict[str, dict[str, float]], name: str) -> None:
    points = list(curve.values())
    if name in points[0]:
        axes.plot(x, [point[name] for point in points], marker="o", markersize=3, label=name)


def main(source: Path, folder: Path) -> None:
    """Draw every curve of the file."""
    for name, curve in json.loads(source.read_text()).items():
        target = folder / f"performance-{NAMES[name]}.svg"
        draw(name, curve, target)
        print(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
