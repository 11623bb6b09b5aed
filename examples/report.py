"""A report from a CSV to a chart: `asyncjob serve examples/report.py`.

The table comes in the request and the chart, an SVG, goes out in the results, so it needs no disk on either engine.
"""

import csv
import statistics
from typing import Annotated, Any
from xml.sax.saxutils import escape

from msgspec import Meta

from asyncjob import Jobs

WIDTH, BAR, GAP, LABELS = 600, 18, 6, 120

jobs = Jobs()


@jobs.job
def report(table: Annotated[str, Meta(min_length=1)], label: str, value: str) -> dict[str, Any]:
    """Chart a column of a CSV: a bar a row, and the numbers that sum it up."""
    rows = list(csv.DictReader(table.splitlines()))
    values = [float(row[value]) for row in rows]
    chart = _chart([row[label] for row in rows], values)
    return {"rows": len(rows), "mean": statistics.mean(values), "median": statistics.median(values), "chart": chart}


def _chart(labels: list[str], values: list[float]) -> str:
    longest = max([abs(number) for number in values]) or 1
    height = len(values) * (BAR + GAP)
    bars = []
    for number, (label, size) in enumerate(zip(labels, values, strict=True)):
        top, width = number * (BAR + GAP), abs(size) / longest * (WIDTH - LABELS)
        bars.append(f'<text x="0" y="{top + BAR - GAP}">{escape(label)}: {size:g}</text>')
        bars.append(f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" fill="steelblue"/>')
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">{"".join(bars)}</svg>'
