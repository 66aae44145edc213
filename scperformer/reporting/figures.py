"""The figures of the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scperformer.reporting.axes import (
    Axis,
    count_axis,
    linear_axis,
    logarithmic_axis,
    short_number,
    time_axis,
)
from scperformer.reporting.charts import Band, Numbers, Plot, figure, heat_strip, time_scale
from scperformer.reporting.histograms import Histogram
from scperformer.reporting.markup import Element, described, tag
from scperformer.reporting.pairing import BURST_S, PhasePair, WadatiLine, wadati_line
from scperformer.reporting.ranking import Judged
from scperformer.reporting.scan_report import PRESENT_SERIES, SERIES, ScanReport
from scperformer.reporting.words import counted, decimals, duration, moment, percent, rate
from scperformer.types import NS_PER_S, Phase

KINDS = {Phase.P: "p", Phase.S: "s"}

_NS_PER_HOUR = 3600 * NS_PER_S
_RATES = tuple(factor * 10.0**power for power in range(-2, 6) for factor in (1, 3))
_N_RATE_LEVELS, _N_SHARE_LEVELS = 5, 4
_STRIP_PX, _PRESENT_PX = 26, 8
_WIDE_PX = 140


def over_time(report: ScanReport) -> list[Element]:
    """Picks per hour of each phase and sensors with data, all sensors together."""
    first_ns, last_ns = _ends(report)
    x, total = time_axis(first_ns, last_ns), report.timeline.total()
    edges_ns, hours = _clipped(report)
    width = duration(report.timeline.width_ns)
    figures = []
    for phase in Phase:
        counts = total[SERIES[phase]]
        rates = counts / hours
        y = count_axis(float(rates.max(initial=0.0)), "picks per hour, all sensors")
        names = [
            f"{moment(int(start))}: {counted(int(count), f'{phase} pick')}, {rate(own)} per hour"
            for start, count, own in zip(edges_ns[:-1], counts, rates, strict=True)
        ]
        told = f"At most {rate(float(rates.max(initial=0.0)))} per hour, in bins of {width}."
        title = f"{phase} picks over time"
        plot = Plot(x, y, title=title, description=told, height_px=_WIDE_PX)
        plot.bars(edges_ns.astype(np.float64), rates, KINDS[phase], names)
        figures.append(figure(title, plot.element(), note=told))
    sensors = total[PRESENT_SERIES] / (hours * _NS_PER_HOUR)
    y = count_axis(float(len(report.tallies)), "sensors with data, mean")
    told = f"Of {counted(len(report.tallies), 'sensor')}, in bins of {width}."
    plot = Plot(x, y, title="Sensors with data", description=told, height_px=_WIDE_PX)
    names = [
        f"{moment(int(start))}: {count:,.1f}"
        for start, count in zip(edges_ns[:-1], sensors, strict=True)
    ]
    plot.bars(edges_ns.astype(np.float64), sensors, "have", names)
    return [*figures, figure("Sensors with data over time", plot.element(), note=told)]


def by_sensor(report: ScanReport, shown: Sequence[Judged]) -> list[Element]:
    """Availability and picks per hour of sensors, a strip each."""
    x, (edges_ns, hours) = time_axis(*_ends(report)), _clipped(report)
    rows = [(one, report.timeline.row(one.sensor_id)) for one in shown]
    most = max((float((_picks(row) / hours).max(initial=0.0)) for _, row in rows), default=0.0)
    bounds = _rate_bounds(most)
    strips = tag("div", class_="strips")
    for one, row in rows:
        shares = row[PRESENT_SERIES] / (hours * _NS_PER_HOUR)
        rates = _picks(row) / hours
        bands = _bands(shares, rates, bounds)
        drawing = heat_strip(x, edges_ns.astype(np.float64), bands)
        strips.append(_strip(one, drawing, float(rates.max(initial=0.0))))
    scale = tag("div", time_scale(x), class_="band")
    strips.append(tag("div", tag("span", class_="name"), scale, class_="row"))
    return [_key(bounds), strips]


def distributions(report: ScanReport) -> list[Element]:
    """Histograms of probabilities and uncertainties by phase."""
    figures = []
    for phase in Phase:
        own = report.probabilities[phase]
        x = linear_axis(0.0, 1.0, "probability")
        title = f"Probabilities of {phase}"
        figures.append(_histogram(own, x, KINDS[phase], title, "picks", digits=2, unit=""))
    for phase in Phase:
        own = report.uncertainties_s[phase]
        edges, _ = own.trimmed()
        x = logarithmic_axis(float(edges[0]), float(edges[-1]), "uncertainty (s), logarithmic")
        title = f"Stated uncertainties of {phase}"
        figures.append(_histogram(own, x, KINDS[phase], title, "picks", digits=3, unit=" s"))
    return figures


def s_minus_p(report: ScanReport) -> list[Element]:
    """Histogram of S minus P, and S minus P over time."""
    own = report.pairs.s_minus_p_s
    edges, _ = own.trimmed()
    x = linear_axis(0.0, float(edges[-1]), "S minus P (s)")
    figures = [_histogram(own, x, "pair", "S minus P", "pairs", digits=1, unit=" s")]
    sample = report.pairs.sample.pairs()
    first_ns, last_ns = _ends(report)
    x, y = time_axis(first_ns, last_ns), count_axis(float(edges[-1]), "S minus P (s)")
    some = "" if len(sample) == report.pairs.n else f", {len(sample):,} of them drawn by chance"
    told = f"{counted(report.pairs.n, 'pair')}{some}; unassociated."
    plot = Plot(x, y, title="S minus P over the time of P", description=told)
    plot.dots(
        [float(pair.p_ns) for pair in sample],
        [pair.s_minus_p_s for pair in sample],
        "pair",
        [""] * len(sample),
    )
    figures.append(figure("S minus P over the time of P", plot.element(), note=told))
    burst = report.pairs.burst.pairs()
    if len(burst) > 1:
        figures.append(_wadati(burst))
    return figures


def residuals(report: ScanReport) -> list[Element]:
    """Histograms of pick minus label."""
    if report.labels is None:
        return []
    return [
        _histogram(
            report.labels.residuals_s[phase],
            linear_axis(-0.5, 0.5, "pick minus label (s)"),
            KINDS[phase],
            f"Residuals of {phase}",
            "matched picks",
            digits=2,
            unit=" s",
        )
        for phase in Phase
    ]


def _wadati(burst: Sequence[PhasePair]) -> Element:
    """S minus P over the time of P, of the busiest half minute, with a line through it."""
    line = wadati_line(burst)
    line = line if line is not None and line.fits else None
    start_ns = burst[0].p_ns
    seconds = np.array([(pair.p_ns - start_ns) / NS_PER_S for pair in burst])
    waits_s = np.array([pair.s_minus_p_s for pair in burst])
    span_s = max(float(seconds.max()), 1.0)
    x = linear_axis(0.0, span_s * 1.02, f"P time (s after {moment(start_ns)} UTC)")
    y = count_axis(float(waits_s.max()), "S minus P (s)")
    told = (
        f"The {BURST_S:g} s in which the most sensors have a pair: {len(burst):,}, from "
        f"{moment(start_ns)} UTC. {_slope(line)}"
    )
    title = "Wadati diagram of the busiest half minute, unassociated"
    plot = Plot(x, y, title=title, description=told)
    if line is not None:
        at_s = np.array([0.0, span_s])
        before_s = (line.origin_ns - start_ns) / NS_PER_S
        plot.line(at_s, line.slope * (at_s - before_s), "fit")
    names = [
        f"{pair.sensor_id}: P {moment(pair.p_ns)}, S minus P {pair.s_minus_p_s:.2f} s"
        for pair in burst
    ]
    plot.dots(seconds, waits_s, "pair", names)
    return figure(title, plot.element(), note=told)


def _slope(line: WadatiLine | None) -> str:
    if line is None:
        return "They fit no line: too few, of several earthquakes, or of none."
    return (
        f"If they are of one earthquake, Vp/Vs is {line.vp_over_vs:.2f} and its origin time "
        f"{moment(line.origin_ns)} UTC (median of the slopes between all; median misfit "
        f"{line.misfit_s:.2f} s)."
    )


def _histogram(
    own: Histogram, x: Axis, kind: str, title: str, what: str, *, digits: int, unit: str
) -> Element:
    total = own.n_known
    if not total:
        return figure(title, note="None.")
    quartiles = [decimals(own.quantile(part), digits) for part in (0.05, 0.5, 0.95)]
    told = (
        f"{total:,} {what}; median {quartiles[1]}{unit}, nine in ten from {quartiles[0]} to "
        f"{quartiles[2]}{unit}."
    )
    outside = own.below + own.above
    told += f" {outside:,} outside." if outside else ""
    told += f" {own.unknown:,} without." if own.unknown else ""
    y = count_axis(float(own.counts.max()), f"number of {what}")
    plot = Plot(x, y, title=title, description=told)
    names = [
        f"{low:.4g} to {high:.4g}{unit}: {count:,}"
        for low, high, count in zip(own.edges[:-1], own.edges[1:], own.counts, strict=True)
    ]
    filled = own.counts > 0
    for row in np.flatnonzero(filled)[:1]:
        last = int(np.flatnonzero(filled)[-1]) + 1
        part = slice(int(row), last)
        plot.bars(
            own.edges[int(row) : last + 1], own.counts[part].astype(np.float64), kind, names[part]
        )
    return figure(title, plot.element(), note=told)


def _bands(shares: Numbers, rates: Numbers, bounds: Sequence[float]) -> list[Band]:
    """Return the shades of shares of time with data, and of picks per hour."""
    present = np.clip(np.ceil(shares * _N_SHARE_LEVELS - 1e-6), 1, _N_SHARE_LEVELS)
    present = np.where(shares > 0, present, 0).astype(np.int64)
    heat = np.searchsorted(bounds, rates * (1 - 1e-9)) + 1
    heat = np.where(rates > 0, np.minimum(heat, _N_RATE_LEVELS), 0).astype(np.int64)
    return [
        Band(present, "have", 0, _PRESENT_PX),
        Band(heat, "heat", _PRESENT_PX + 2, _STRIP_PX),
    ]


def _strip(one: Judged, drawing: Element, most_per_hour: float) -> Element:
    told = (
        f"{counted(one.tally.n_picks, 'pick')}, data for {percent(one.tally.availability)} of its "
        f"time; at most {rate(most_per_hour)} picks per hour"
    )
    described(drawing, f"{one.sensor_id}: availability and picks", told)
    return tag(
        "div",
        tag("span", str(one.sensor_id), class_="name"),
        tag("div", drawing, class_="band"),
        tag("span", counted(one.tally.n_picks, "pick"), class_="much"),
        class_="row",
    )


def _key(bounds: Sequence[float]) -> Element:
    shares = [f"up to {percent((k + 1) / _N_SHARE_LEVELS)}" for k in range(_N_SHARE_LEVELS)]
    rates = [f"up to {short_number(bound)}" for bound in bounds]
    return tag(
        "div",
        _swatches("Upper band, time with data:", "have", shares),
        _swatches("Lower band, picks per hour:", "heat", rates),
    )


def _swatches(title: str, kind: str, labels: Sequence[str]) -> Element:
    key = tag("ul", tag("li", title), class_="key")
    for level, label in enumerate(labels, 1):
        square = tag("rect", width="100%", height="100%", class_=f"{kind}{level}")
        key.append(tag("li", tag("svg", square, aria_hidden="true"), label))
    return key


def _rate_bounds(most: float) -> list[float]:
    """Return the upper ends of the shades: the last one reaches the largest rate."""
    top = next((row for row, rate in enumerate(_RATES) if rate >= most), len(_RATES) - 1)
    top = max(top, _N_RATE_LEVELS - 1)
    return list(_RATES[top - _N_RATE_LEVELS + 1 : top + 1])


def _picks(row: NDArray[np.int64]) -> NDArray[np.int64]:
    picks: NDArray[np.int64] = row[SERIES[Phase.P]] + row[SERIES[Phase.S]]
    return picks


def _ends(report: ScanReport) -> tuple[int, int]:
    first_ns, last_ns = report.first_ns or 0, report.last_ns or 0
    return first_ns, max(last_ns, first_ns + NS_PER_S)


def _clipped(report: ScanReport) -> tuple[NDArray[np.int64], Numbers]:
    """Return the bins' edges, and the hours of each that were in reach of the scan."""
    edges_ns = np.clip(report.timeline.edges_ns(), *_ends(report))
    return edges_ns, np.maximum(np.diff(edges_ns), 1) / _NS_PER_HOUR
