"""Draws docs/lifecycle.svg from the transition table: `make lifecycle`. A test fails where the two differ.

Where the statuses stand is set by hand, what leads from one to another is not: a transition that the table gains has no
way drawn for it yet, and is an error here.
"""

import sys
from pathlib import Path

from asyncjob.job import FINAL, TRANSITIONS, Status

WIDTH, HEIGHT = 104, 40
CENTERS = {
    Status.PENDING: (80, 160),
    Status.RUNNING: (320, 160),
    Status.SUCCESS: (580, 70),
    Status.FAILURE: (580, 160),
    Status.CANCELED: (580, 250),
}
FRAME = "M516 38 H644 V282 H516 Z"  # around the final ones
# From where to where: the way, and where its words stand.
WAYS = {
    (Status.PENDING, Status.RUNNING): ("M132 152 H264", (198, 144)),
    (Status.RUNNING, Status.PENDING): ("M268 168 H136", (202, 184)),
    (Status.RUNNING, Status.SUCCESS): ("M372 150 L524 82", (436, 104)),
    (Status.RUNNING, Status.FAILURE): ("M372 160 H524", (446, 153)),
    (Status.RUNNING, Status.CANCELED): ("M372 170 L524 238", (440, 226)),
    (Status.PENDING, Status.CANCELED): ("M80 180 V262 H524", (220, 255)),
    (None, Status.PENDING): ("M516 56 H80 V136", (298, 49)),
}
STYLE = """
  text { font: 14px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }
  .way text { font-size: 12.5px; fill: #59636e }
  rect { fill: #eef2f6; stroke: #818b98 }
  path { fill: none; stroke: #59636e; stroke-width: 1.4 }
  .next path { stroke-dasharray: 5 4 }
  .frame { stroke: #d1d9e0; stroke-dasharray: none }
  marker path { fill: #59636e; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .way text { fill: #9198a1 }
    rect { fill: #212830; stroke: #656c76 } path { stroke: #9198a1 } .frame { stroke: #3d444d }
    marker path { fill: #9198a1 }
  }"""


def draw() -> str:
    """The diagram as SVG."""
    names: dict[tuple[Status | None, Status, bool], list[str]] = {}
    for transition in TRANSITIONS.values():
        sources: list[Status | None] = [None] if transition.sources == FINAL else [*sorted(transition.sources)]
        for source in sources:
            names.setdefault((source, transition.target, transition.next_attempt), []).append(transition.name)
    parts = [f'<path class="frame" d="{FRAME}"/>']
    for (start, target, is_next), found in names.items():
        way, (x, y) = WAYS[start, target]
        parts.append(
            f'<g class="way{" next" if is_next else ""}"><path d="{way}" marker-end="url(#tip)"/>'
            f'<text x="{x}" y="{y}">{", ".join(found)}</text></g>'
        )
    for status, (x, y) in CENTERS.items():
        parts.append(
            f'<rect x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
            f'<text x="{x}" y="{y + 5}">{status}</text>'
        )
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 300" width="660" role="img">
<title>The statuses of a job and what leads from one to another</title>
<style>{STYLE}
</style>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 L10 5 L0 10 Z"/></marker></defs>
{body}
</svg>
"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw())
