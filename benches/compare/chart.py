"""The chart of the README: processor time of a request beside native sticky clusters."""

from __future__ import annotations

import statistics
from pathlib import Path
from xml.sax.saxutils import escape

from .configurations import all_of_them
from .measure import Series
from .report import ratio

WIDTH, LABELS, ROW, TOP = 760, 300, 26, 56
# Colours that differ in light and dark surroundings, and for the colour-blind.
NATIVE, OTHER, OWN, INK = "#7a8794", "#c98a1b", "#2f7fb8", "#5b6670"


def colour(key: str) -> str:
    if key in "abcd":
        return NATIVE
    return OTHER if key in "ef" else OWN


def draw(series: dict[str, Series], path: Path, note: str) -> None:
    """A bar for each configuration: its ratio to `c`, with its quartiles and its µs a request."""
    compared = all_of_them()
    to_native = {one.key: ratio(series[one.key].workers, series["c"].workers) for one in compared}
    most = max(one.high for one in to_native.values())
    scale = (WIDTH - LABELS - 120) / most
    height = TOP + ROW * len(compared) + 16
    title = "Processor time of a request, native sticky clusters = 1"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<g fill="{INK}"><text x="8" y="20" font-size="15">{escape(title)}</text>',
        f'<text x="8" y="40" font-size="12">{escape(note)}</text></g>',
    ]
    one_at = LABELS + scale
    lines.append(
        f'<line x1="{one_at:.1f}" y1="{TOP - 6}" x2="{one_at:.1f}" y2="{height - 10}" '
        f'stroke="{INK}" stroke-dasharray="3 3"/>'
    )
    for place, one in enumerate(compared):
        told = to_native[one.key]
        middle = TOP + ROW * place + ROW / 2
        micros = statistics.median(series[one.key].workers)
        end = LABELS + told.median * scale
        low, high = LABELS + told.low * scale, LABELS + told.high * scale
        label = f"{one.key}  {one.title}"
        lines += [
            f'<text x="8" y="{middle + 4:.1f}" fill="{INK}">{escape(label)}</text>',
            f'<rect x="{LABELS}" y="{middle - 8:.1f}" width="{told.median * scale:.1f}" '
            f'height="16" fill="{colour(one.key)}"/>',
            f'<line x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" y2="{middle:.1f}" '
            f'stroke="{INK}" stroke-width="2"/>',
            f'<text x="{max(end, high) + 6:.1f}" y="{middle + 4:.1f}" fill="{INK}">'
            f"{told.median:.2f} · {micros:.0f} µs</text>",
        ]
    lines.append("</svg>")
    path.write_text("\n".join(lines) + "\n")
