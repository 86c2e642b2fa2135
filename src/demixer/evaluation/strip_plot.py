"""Where everything stands in a strip plot: rows of dots, one dot a song, beside one another and never piled up."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LOWEST_DB, HIGHEST_DB = -20.0, 30.0  # songs beyond are drawn at the edge: one silent source would flatten the rest

# The plots' measures, in the units of their SVG
LEFT, RIGHT, WIDTH = 94.0, 744.0, 780.0
ROW, DOT = 62.0, 4.5


@dataclass(frozen=True)
class Strip:
    """One target's row of a plot: its songs as values, a mark in their middle, and one where the mixture stands."""

    target: str
    values: dict[str, float]
    middle: float
    mixture: float | None = None


def plot(strips: Sequence[Strip]) -> dict[str, Any]:
    """Where everything stands in a strip plot: an axis in dB that fits all strips, and the dots of each, unpiled."""
    strips = [strip for strip in strips if strip.values]
    marks = [v for strip in strips for v in (*strip.values.values(), strip.middle, strip.mixture) if v is not None]
    low, high = _limits(marks)
    step = next(step for step in (1, 2, 5, 10) if (high - low) / step <= 12)

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(LEFT + share * (RIGHT - LEFT), 1)

    rows = []
    for i, strip in enumerate(strips):
        centre = ROW * (i + 0.5)
        spots = unpile([x(value) for value in strip.values.values()], 2 * DOT, ROW / 2 - DOT - 2)
        dots = [
            {"x": spot[0], "y": round(centre + spot[1], 1), "song": song, "value": value}
            for spot, (song, value) in zip(spots, strip.values.items(), strict=True)
        ]
        mixture = None if strip.mixture is None or math.isnan(strip.mixture) else x(strip.mixture)
        marks_x = {"middle_x": x(strip.middle), "mixture_x": mixture, "middle": strip.middle, "mixture": strip.mixture}
        rows.append({"target": strip.target, "centre": centre, "dots": dots, **marks_x})
    ticks = [(x(v), str(v).replace("-", "−")) for v in range(math.ceil(low / step) * step, math.floor(high) + 1, step)]
    size = {"width": WIDTH, "height": ROW * len(rows), "dot": DOT}
    beyond = sum(not low <= value <= high for strip in strips for value in strip.values.values())
    return {**size, "rows": rows, "ticks": ticks, "zero": x(0) if low <= 0 <= high else None, "beyond": beyond}


def unpile(xs: Iterable[float], diameter: float, reach: float) -> list[tuple[float, float]]:
    """Give each dot at ``xs`` the height nearest to 0, within ±``reach``, at which it overlaps none placed before.

    >>> unpile([10.0, 11.0, 50.0], diameter=4.0, reach=20.0)
    [(10.0, 0.0), (11.0, 4.0), (50.0, 0.0)]
    """
    placed: list[tuple[float, float]] = []
    steps = int(reach // diameter)
    heights = [0.0] + [sign * diameter * k for k in range(1, steps + 1) for sign in (1, -1)]
    for x in xs:
        free = (y for y in heights if all(math.dist((x, y), spot) >= diameter for spot in placed))
        placed.append((x, next(free, 0.0)))
    return placed


def _limits(values: Iterable[float]) -> tuple[float, float]:
    finite = [min(max(value, LOWEST_DB), HIGHEST_DB) for value in values if not math.isnan(value)]
    if not finite:
        return -1.0, 1.0
    return math.floor(min(finite)) - 0.5, math.ceil(max(finite)) + 0.5
