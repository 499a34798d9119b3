"""A horizontal bar chart in SVG, made by hand. The scale is logarithmic: a stack that is a thousand
times slower would have no bar to see on any other.

Its background is its own, so that it reads the same on a light page and on a dark one.
"""

import math
from html import escape
from typing import NamedTuple

WIDTH, LEFT, RIGHT, TOP = 860, 260, 110, 64
BAR, STEP = 20, 32
OURS, OTHER, INK, QUIET, GRID, PAPER = "#1f6feb", "#8b949e", "#1f2328", "#59636e", "#d1d9e0", "#ffffff"


class Bar(NamedTuple):
    name: str
    value: float
    is_ours: bool


def svg(title, subtitle, bars):
    low = 10 ** math.floor(math.log10(min(bar.value for bar in bars)))
    high = 10 ** math.ceil(math.log10(max(bar.value for bar in bars)))
    span = WIDTH - LEFT - RIGHT
    height = TOP + STEP * len(bars) + 36

    def x(value):
        return LEFT + span * math.log(value / low) / math.log(high / low)

    bottom = height - 30
    parts = [
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6" '
        f'fill="{PAPER}" stroke="{GRID}"/>',
        text(16, 26, title, INK, size=15, weight="bold"),
        text(16, 46, subtitle, QUIET),
    ]
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = x(10**power)
        parts.append(f'<path d="M{at:.1f} {TOP - 4}V{bottom}" stroke="{GRID}"/>')
        parts.append(text(at, bottom + 17, f"{10**power:,}", QUIET, anchor="middle"))
    for index, bar in enumerate(bars):
        y, end = TOP + STEP * index + 4, x(bar.value)
        width, colour = max(1, end - LEFT), OURS if bar.is_ours else OTHER
        parts.append(text(LEFT - 10, y + 15, bar.name, INK, anchor="end"))
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>')
        parts.append(text(end + 6, y + 15, f"{bar.value:,.0f}", INK, clear=True))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="system-ui, sans-serif">'
    )
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>", ""])


def text(x, y, words, colour, size=13, anchor="start", weight="normal", clear=False):
    """Clear: with a rim that hides the grid behind it."""
    rim = f'stroke="{PAPER}" stroke-width="4" paint-order="stroke" ' if clear else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'{rim}text-anchor="{anchor}">{escape(words)}</text>'
    )
