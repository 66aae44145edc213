"""Record sections: the traces of many stations, one above the other, with their picks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scperformer.picks.envelopes import envelope
from scperformer.picks.plots import PHASE_COLOURS, TRACE_COLOUR, new_figure
from scperformer.types import NS_PER_S, SAMPLING_RATE_HZ, Phase, Pick, format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES_WIDE = 11.0
_LEAST_INCHES, _MOST_INCHES, _INCHES_A_ROW = 4.5, 16.0, 0.36
_MOST_POINTS = 4000
_TICK = 0.62
_REACH, _APART = 0.75, 0.55
"""How far a trace reaches, and how far labels stand apart, in rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A station of a record section.

    Attributes:
        label: what it is called.
        samples: (n,) at 100 Hz; nan where there are none.
        start_ns: time of the first sample.
        picks: made there.
        distance_km: from the epicentre, nan if not known.
    """

    label: str
    samples: NDArray[np.floating]
    start_ns: int
    picks: Sequence[Pick]
    distance_km: float = math.nan


def section_figure(
    rows: Sequence[Row],
    *,
    start_ns: int,
    end_ns: int,
    origin_ns: int | None = None,
    title: str = "",
) -> Figure:
    """Draw a record section: by distance where every row has one, else in the order given.

    Args:
        rows: the stations, at least one.
        start_ns: first time that is drawn.
        end_ns: last time that is drawn.
        origin_ns: seconds are counted from here; None: from `start_ns`.
        title: a line above.

    Raises:
        ConfigurationError: matplotlib is not installed.
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("no station to draw; wanted at least one")
    by_distance = all(math.isfinite(row.distance_km) for row in rows)
    heights = [row.distance_km if by_distance else float(-i) for i, row in enumerate(rows)]
    reach = max(max(heights) - min(heights), 1e-3 if by_distance else 0.0)
    row_height = reach / max(len(rows) - 1, 1) if by_distance else 1.0
    inches = min(max(_LEAST_INCHES, 1.4 + _INCHES_A_ROW * len(rows)), _MOST_INCHES)
    figure = new_figure((_INCHES_WIDE, inches))
    axis = figure.add_axes((0.07, 0.65 / inches, 0.85, 1.0 - 1.2 / inches))
    zero_ns = start_ns if origin_ns is None else origin_ns
    for row, height in zip(rows, heights, strict=True):
        _draw_row(axis, row, height, row_height, zero_ns)
    axis.set_xlim((start_ns - zero_ns) / NS_PER_S, (end_ns - zero_ns) / NS_PER_S)
    axis.set_ylim(min(heights) - 1.2 * row_height, max(heights) + 1.2 * row_height)
    _label_rows(axis, rows, heights, row_height)
    if by_distance:
        axis.set_ylabel("distance from the epicentre (km)")
    else:
        axis.set_yticks([])
        axis.set_ylabel("stations, the nearest above")
    since = "after the origin," if origin_ns is not None else "after"
    axis.set_xlabel(f"seconds {since} {format_time(zero_ns, '%Y-%m-%d %H:%M:%S.%f')[:-4]} UTC")
    axis.grid(axis="x", color="0.92")
    axis.set_axisbelow(True)
    for phase in Phase:
        axis.plot([], [], color=PHASE_COLOURS[phase], linewidth=2.0, label=str(phase))
    axis.legend(loc="lower right", ncols=2, fontsize=9, framealpha=0.9)
    figure.suptitle(title, fontsize=13, y=1.0 - 0.25 / inches)
    return figure


def _draw_row(axis: Axes, row: Row, height: float, row_height: float, zero_ns: int) -> None:
    values = row.samples.astype(np.float64)
    good = np.isfinite(values)
    if good.any():
        values -= np.median(values[good])
        peak = np.abs(values[good]).max() or 1.0
        places, values = envelope(values / peak, 2 * len(values) // _MOST_POINTS)
        times_s = (row.start_ns - zero_ns) / NS_PER_S + places / SAMPLING_RATE_HZ
        drawn = height + values * _REACH * row_height
        axis.plot(times_s, drawn, color=TRACE_COLOUR, linewidth=0.5)
    for pick in row.picks:
        at_s = (pick.time_ns - zero_ns) / NS_PER_S
        colour, half = PHASE_COLOURS[pick.phase], _TICK * row_height
        axis.plot([at_s, at_s], [height - half, height + half], color=colour, linewidth=1.8)
        if math.isfinite(pick.uncertainty_s):
            sides = at_s - pick.uncertainty_s, at_s + pick.uncertainty_s
            axis.fill_betweenx(
                [height - half, height + half], *sides, color=colour, alpha=0.25, linewidth=0
            )


def _label_rows(
    axis: Axes, rows: Sequence[Row], heights: Sequence[float], row_height: float
) -> None:
    """Name the rows at the right edge; names that would cover each other are moved apart."""
    order = sorted(range(len(rows)), key=lambda i: heights[i])
    places = _spread([heights[i] for i in order], _APART * row_height)
    for number, place in zip(order, places, strict=True):
        axis.annotate(
            rows[number].label,
            (1.0, heights[number]),
            xycoords=axis.get_yaxis_transform(),
            xytext=(1.02, place),
            textcoords=axis.get_yaxis_transform(),
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6, "shrinkA": 0},
            annotation_clip=False,
        )


def _spread(places: Sequence[float], apart: float) -> list[float]:
    """Move ascending places at least so far apart, each as little as may be.

    Places that come too near are a cluster, which is spread around its mean.
    """
    clusters: list[list[float]] = []
    for place in places:
        clusters.append([place])
        while (
            len(clusters) > 1
            and _middle(clusters[-1]) - _middle(clusters[-2])
            < apart * (len(clusters[-1]) + len(clusters[-2])) / 2
        ):
            last = clusters.pop()
            clusters[-1] += last
    return [
        _middle(own) + (i - (len(own) - 1) / 2) * apart for own in clusters for i in range(len(own))
    ]


def _middle(places: Sequence[float]) -> float:
    return sum(places) / len(places)
