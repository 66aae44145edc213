"""Charts as SVG that is as wide as there is room, with text that keeps its size.

Marks and labels stand at percentages of the drawing; what needs a path lies in a drawing
inside it that is stretched. Labels reach over the edges into the margins that the style
sheet leaves. Classes give colours: ``p``, ``s``, ``have``, ``ink``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.picks import envelopes
from scperformer.reporting.axes import Axis
from scperformer.reporting.markup import Element, described, tag

Numbers = NDArray[np.float64]

_STRETCHED = 1000
_SEAM = 0.0005
_TALL_PX = 190
_MOST_COLUMNS = 500


class Plot:
    """One drawing with two axes.

    Args:
        x, y: its axes.
        title: what it shows.
        description: what is to be seen, in words.
        height_px: of the part between the axes.
    """

    def __init__(
        self, x: Axis, y: Axis, *, title: str, description: str, height_px: int = _TALL_PX
    ) -> None:
        self._x, self._y = x, y
        self._title, self._description = title, description
        self._height_px = height_px
        self._marks: list[Element] = []

    def bars(self, edges: Numbers, heights: Numbers, kind: str, names: Sequence[str]) -> None:
        """Draw (n,) bars between (n + 1,) edges; a name is told where the pointer rests."""
        group = tag("g", class_=kind)
        places = [self._x.place(float(edge)) for edge in edges]
        rows = zip(places[:-1], places[1:], heights, names, strict=True)
        for left, right, height, name in rows:
            top = self._y.place(float(height))
            if top > 0.0:
                group.append(
                    tag(
                        "rect",
                        tag("title", name),
                        x=_percent(left),
                        width=_percent(right - left + _SEAM),
                        y=_percent(1.0 - top),
                        height=_percent(top),
                    )
                )
        self._marks.append(group)

    def dots(self, x: Iterable[float], y: Iterable[float], kind: str, names: Sequence[str]) -> None:
        """Draw points; a name is told where the pointer rests, none where it is empty."""
        group = tag("g", class_=kind)
        for one, other, name in zip(x, y, names, strict=True):
            where = {"cx": _percent(self._x.place(one)), "cy": _percent(1.0 - self._y.place(other))}
            group.append(tag("circle", tag("title", name) if name else None, r="2.5", **where))
        self._marks.append(group)

    def line(self, x: Numbers, y: Numbers, kind: str) -> None:
        """Draw a line through points, broken where y is nan."""
        self._marks.append(stretched(line_path(self._x, self._y, x, y), kind))

    def rule(self, x: float, kind: str, label: str = "") -> None:
        """Draw a line from below to above at a value of x, with a label over it."""
        at = _percent(self._x.place(x))
        self._marks.append(tag("line", x1=at, x2=at, y1="0", y2="100%", class_=f"rule {kind}"))
        if label:
            named = {"text_anchor": "middle", "class_": f"label {kind}"}
            self._marks.append(tag("text", label, x=at, y="0", dy="-4", **named))

    def note(self, text: str) -> None:
        """Write something in the middle."""
        self._marks.append(tag("text", text, x="50%", y="50%", dy="4", text_anchor="middle"))

    def element(self) -> Element:
        """Return the drawing in its margins."""
        svg = tag("svg", width="100%", height=str(self._height_px))
        svg.extend(_grid(self._x, self._y))
        svg.extend(self._marks)
        svg.extend(_labels(self._x, self._y))
        return tag("div", described(svg, self._title, self._description), class_="plot")


def figure(title: str, *drawings: Element, note: str = "") -> Element:
    """Put drawings under a title, with a note below."""
    caption = tag("figcaption", tag("strong", f"{title}."), f" {note}" if note else None)
    return tag("figure", caption, *drawings)


def stretched(path: str, kind: str) -> Element:
    """Return a path of coordinates from 0 to 1000 over all of the drawing."""
    return tag(
        "svg",
        tag("path", d=path, class_=kind, vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 {_STRETCHED} {_STRETCHED}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
        class_="stretched",
        aria_hidden="true",
    )


def line_path(x_axis: Axis, y_axis: Axis, x: Numbers, y: Numbers) -> str:
    """Return a path through points, broken where y is nan."""
    parts, command = [], "M"
    for one, other in zip(x, y, strict=True):
        if np.isnan(other):
            command = "M"
            continue
        left = _STRETCHED * x_axis.place(float(one))
        top = _STRETCHED * (1.0 - y_axis.place(float(other)))
        parts.append(f"{command}{left:.5g} {top:.4g}")
        command = "L"
    return "".join(parts)


def envelope(values: Numbers) -> tuple[Numbers, Numbers]:
    """Thin (n,) samples out to their smallest and largest, as (places, values)."""
    return envelopes.envelope(values, -(-len(values) // _MOST_COLUMNS))


@dataclass(frozen=True, slots=True)
class Band:
    """A row of cells in a strip.

    Attributes:
        levels: (n,) int64, the shade of each cell, 0 for nothing.
        kind: class of the colour; its shades are ``1`` and up behind it.
        top, bottom: from where to where it reaches, in pixels from the strip's top.
    """

    levels: NDArray[np.int64]
    kind: str
    top: int
    bottom: int


def heat_strip(x: Axis, edges: Numbers, bands: Sequence[Band]) -> Element:
    """Draw bands of (n,) cells between (n + 1,) edges, without labels, as wide as there is room."""
    height_px = max(band.bottom for band in bands)
    places = [round(_STRETCHED * x.place(float(edge)), 1) for edge in edges]
    svg = tag(
        "svg",
        viewBox=f"0 0 {_STRETCHED} {height_px}",
        preserveAspectRatio="none",
        width="100%",
        height=str(height_px),
        class_="strip",
    )
    for band in bands:
        for level in np.unique(band.levels[band.levels > 0]):
            cells = _cells(band.levels == level, places, band.top, band.bottom)
            svg.append(tag("path", d=cells, class_=f"{band.kind}{level}"))
    return svg


def time_scale(x: Axis) -> Element:
    """Draw the labels of an axis alone, for what stands above it."""
    svg = tag("svg", width="100%", height="34", class_="scale", aria_hidden="true")
    for tick in x.ticks:
        place = x.place(tick.value)
        svg.append(
            tag("line", x1=_percent(place), x2=_percent(place), y1="0", y2="4", class_="tick")
        )
        svg.append(_label_below(place, tick.label, "16", tick.is_fine))
    svg.append(tag("text", x.title, x="50%", y="31", text_anchor="middle", class_="axis"))
    return svg


def _cells(chosen: NDArray[np.bool_], places: Sequence[float], top: int, bottom: int) -> str:
    """Return a path around runs of cells."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return "".join(
        f"M{places[start]:g} {top}H{places[end]:g}V{bottom}H{places[start]:g}z"
        for start, end in zip(steps[::2], steps[1::2], strict=True)
    )


def _grid(x: Axis, y: Axis) -> list[Element]:
    lines = []
    for tick in y.ticks:
        at = _percent(1.0 - y.place(tick.value))
        lines.append(tag("line", x1="0", x2="100%", y1=at, y2=at, class_="grid"))
    for tick in x.ticks:
        at = _percent(x.place(tick.value))
        lines.append(tag("line", x1=at, x2=at, y1="0", y2="100%", class_="grid"))
    return lines


def _labels(x: Axis, y: Axis) -> list[Element]:
    texts = [
        tag(
            "text",
            tick.label,
            x="0",
            dx="-6",
            y=_percent(1.0 - y.place(tick.value)),
            dy="4",
            text_anchor="end",
        )
        for tick in y.ticks
    ]
    texts += [
        _label_below(x.place(tick.value), tick.label, "100%", tick.is_fine) for tick in x.ticks
    ]
    for text in texts[len(y.ticks) :]:
        text.set("dy", "16")
    texts.append(
        tag("text", x.title, x="50%", y="100%", dy="33", text_anchor="middle", class_="axis")
    )
    texts.append(tag("text", y.title, x="0", y="0", dx="-40", dy="-13", class_="axis"))
    return texts


def _label_below(place: float, label: str, y: str, is_fine: bool) -> Element:
    kind = {"class_": "fine"} if is_fine else {}
    return tag("text", label, x=_percent(place), y=y, text_anchor="middle", **kind)


def _percent(part: float) -> str:
    return f"{100.0 * part:.2f}".rstrip("0").rstrip(".") + "%"
