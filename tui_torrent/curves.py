"""Completion curves as a picture: how much of the swarm was done when. SVG, written by hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 46, 44

#: Points of a curve.
POINTS = 240


@dataclass(frozen=True)
class Curves:
    """Ascending times of what came to be, and how many were wanted; the bound in seconds."""

    title: str
    clients: tuple[Sequence[float], int]
    segments: tuple[Sequence[float], int]
    bound: float


def draw(curves: Curves) -> str:
    """The picture: time to the right, shares of what was wanted upward."""
    end = max(curves.bound, *(times[-1] if times else 0.0 for times, _ in (curves.clients, curves.segments)))
    end = end or 1.0

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / end

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def path(times: Sequence[float], wanted: int) -> str:
        steps = (end * step / POINTS for step in range(POINTS + 1))
        return " ".join(f"{x(at):.1f},{y(bisect_right(times, at) / max(1, wanted)):.1f}" for at in steps)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{escape(curves.title)}</text>',
    ]
    for quarter in range(5):
        share, at = quarter / 4, end * quarter / 4
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}" '
            'stroke="#dddddd"/>',
            f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{25 * quarter} %</text>',
            f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at:.2f} s</text>',
        ]
    parts += [
        f'<line x1="{x(curves.bound):.1f}" x2="{x(curves.bound):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
        'stroke="#888888" stroke-dasharray="4 4"/>',
        f'<text x="{x(curves.bound) - 6:.1f}" y="{TOP + 12}" text-anchor="end" fill="#666666">bound</text>',
        f'<polyline points="{path(*curves.segments)}" fill="none" stroke="#0072b2" stroke-width="2"/>',
        f'<polyline points="{path(*curves.clients)}" fill="none" stroke="#d55e00" stroke-width="2" '
        'stroke-dasharray="8 3"/>',
        f'<text x="{LEFT + 10}" y="{TOP + 16}" fill="#0072b2">segments stored (solid)</text>',
        f'<text x="{LEFT + 10}" y="{TOP + 32}" fill="#d55e00">clients complete (dashed)</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
