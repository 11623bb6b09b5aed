"""Draws the transition table of a job: `make lifecycle` writes docs/lifecycle.svg.

Where things stand is chosen by hand; which arrows there are, what they are called and which of them are dashed comes
from the table, so a transition that nobody has placed is an error and not a gap in the picture.

    python -m tests.lifecycle docs/lifecycle.svg
"""

import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from asyncjob.job import FINAL, TRANSITIONS, Status

WIDTH, HEIGHT = 880, 520
BOX_WIDTH, BOX_HEIGHT = 130, 48
STYLE = """
  svg { --paper: #fff; --ink: #1c2733; --line: #5b6b7b; --box: #eef3f8; --next: #a04a00 }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #12181f; --ink: #e6edf3; --line: #93a4b5; --box: #1f2a36; --next: #f0a35e }
  }
  .paper { fill: var(--paper) }
  text { font: 15px system-ui, sans-serif; fill: var(--ink); text-anchor: middle }
  .name { font-weight: 600 }
  .label { paint-order: stroke; stroke: var(--paper); stroke-width: 5px }
  rect.box { fill: var(--box); stroke: var(--ink); stroke-width: 1.5 }
  rect.inner { fill: none; stroke: var(--ink) }
  path.arrow { fill: none; stroke: var(--line); stroke-width: 1.8; marker-end: url(#head) }
  path.next { stroke: var(--next); stroke-dasharray: 7 4; marker-end: url(#next) }
  .head { fill: var(--line) } .next-head, .label.next { fill: var(--next) }
"""


class Arrow(NamedTuple):
    """A path from one box to another, and the middle of its label's base line."""

    path: str
    x: int
    y: int


CENTERS = {
    Status.PENDING: (150, 240),
    Status.RUNNING: (420, 240),
    Status.SUCCESS: (730, 110),
    Status.FAILURE: (730, 240),
    Status.CANCELED: (730, 370),
}
ARROWS = {
    (Status.PENDING, Status.RUNNING): Arrow("M215 230 H353", 284, 221),
    (Status.RUNNING, Status.PENDING): Arrow("M355 252 H217", 285, 275),
    (Status.RUNNING, Status.SUCCESS): Arrow("M485 230 C575 230 575 120 663 120", 575, 176),
    (Status.RUNNING, Status.FAILURE): Arrow("M485 240 H663", 575, 245),
    (Status.RUNNING, Status.CANCELED): Arrow("M485 250 C575 250 575 360 663 360", 575, 312),
    (Status.PENDING, Status.FAILURE): Arrow("M198 264 V302 Q198 317 213 317 H690 Q705 317 705 302 V266", 420, 322),
    (Status.PENDING, Status.CANCELED): Arrow("M180 264 V367 Q180 382 195 382 H663", 420, 387),
    (Status.SUCCESS, Status.PENDING): Arrow("M665 98 H195 Q180 98 180 113 V214", 420, 103),
    (Status.FAILURE, Status.PENDING): Arrow(
        "M795 240 H825 Q840 240 840 225 V55 Q840 40 825 40 H135 Q120 40 120 55 V214", 420, 45
    ),
    (Status.CANCELED, Status.PENDING): Arrow("M730 394 V425 Q730 440 715 440 H135 Q120 440 120 425 V266", 420, 445),
}


def draw() -> str:
    """The picture, as SVG.

    Raises:
        ValueError: an arrow of the table has no place here, or one that has a place is not in the table.
    """
    names: dict[tuple[Status, Status], list[str]] = {}
    begins_next = set()
    for transition in TRANSITIONS.values():
        for source in transition.sources:
            names.setdefault((source, transition.target), []).append(transition.name)
            if transition.next_attempt:
                begins_next.add((source, transition.target))
    if names.keys() != ARROWS.keys():
        raise ValueError(f"arrows to be placed or removed in {__file__}: {names.keys() ^ ARROWS.keys()}")
    parts = [_arrow(arrow, ", ".join(names[ends]), ends in begins_next) for ends, arrow in ARROWS.items()]
    parts += [_box(status) for status in Status]
    return _SVG.format(width=WIDTH, height=HEIGHT, style=STYLE, parts="\n".join(parts))


def _arrow(arrow: Arrow, label: str, is_next: bool) -> str:
    more = " next" if is_next else ""
    return (
        f'<path class="arrow{more}" d="{arrow.path}"/>\n'
        f'<text class="label{more}" x="{arrow.x}" y="{arrow.y}">{escape(label)}</text>'
    )


def _box(status: Status) -> str:
    x, y = CENTERS[status]
    left, top = x - BOX_WIDTH // 2, y - BOX_HEIGHT // 2
    box = f'<rect class="box" x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>\n'
    if status in FINAL:
        width, height = BOX_WIDTH - 8, BOX_HEIGHT - 8
        box += f'<rect class="inner" x="{left + 4}" y="{top + 4}" width="{width}" height="{height}" rx="5"/>\n'
    return f'{box}<text class="name" x="{x}" y="{y + 5}">{status}</text>'


_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">
<title id="title">How the status of a job changes</title>
<style>{style}</style>
<defs>
<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path class="head" d="M0 0 L10 5 L0 10 z"/></marker>
<marker id="next" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path class="next-head" d="M0 0 L10 5 L0 10 z"/></marker>
</defs>
<rect class="paper" width="100%" height="100%" rx="10"/>
<circle class="head" cx="24" cy="240" r="7"/>
<path class="arrow" d="M31 240 H83"/>
<text class="label" x="52" y="228">submit</text>
{parts}
<text x="440" y="495">double frame: final&#8195;&#8195;dashed: the next attempt of the job begins</text>
</svg>
"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw())
