"""Examples: waveforms, probabilities and picks, one above the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scperformer.picks.columns import floored
from scperformer.reporting.axes import Axis, Tick, short_number, time_axis
from scperformer.reporting.charts import Plot, envelope, figure
from scperformer.reporting.facts import Example, WantedExample
from scperformer.reporting.figures import KINDS
from scperformer.reporting.markup import Element, tag
from scperformer.reporting.words import listed, moment
from scperformer.types import COMPONENTS, SAMPLE_NS, SAMPLING_RATE_HZ, Phase, Pick

_TRACE_PX, _PROBABILITY_PX = 64, 100
_MOST_NAMED = 8
_TOP_FIRST = (2, 0, 1)
"""The vertical stands above the horizontals."""


def example_figure(example: Example, labels: Sequence[Pick]) -> Element:
    """Draw an example, and labels that lie in it."""
    end_ns = example.start_ns + max(example.waveform.shape[1], 1) * SAMPLE_NS
    x = time_axis(example.start_ns, end_ns)
    bare = Axis(x.low, x.high, tuple(Tick(tick.value, "") for tick in x.ticks), "")
    drawings = [_trace(example, row, bare, labels) for row in _TOP_FIRST]
    drawings[0].set("class", "plot bare first")
    drawings.append(_probabilities(example, x, labels))
    picks = [f"{pick.phase} {floored(pick.probability, 2)}" for pick in example.picks]
    wanted = example.wanted
    note = (
        f"{wanted.sensor_id}, {moment(example.start_ns)} UTC. Picks with their probabilities: "
        f"{listed(picks, _MOST_NAMED) or 'none'}."
    )
    if labels:
        note += f" Labels, dotted: {listed([str(label.phase) for label in labels], _MOST_NAMED)}."
    return figure(_capital(wanted.why), tag("div", *drawings), note=note)


def unread(wanted: WantedExample) -> str:
    """Say what would have been shown."""
    return (
        f"{_capital(wanted.why)}: {wanted.sensor_id}, {moment(wanted.start_ns)} to "
        f"{moment(wanted.end_ns)} UTC, was not read again."
    )


def _trace(example: Example, row: int, x: Axis, labels: Sequence[Pick]) -> Element:
    values = _centred(example.waveform[row])
    letter = COMPONENTS[row]
    peak = float(np.abs(values).max(initial=0.0))
    told = f"Largest amplitude {short_number(peak)}" if peak else "Not there"
    y = Axis(-1.0, 1.0, (Tick(0.0, letter),), "")
    plot = Plot(x, y, title=f"Component {letter}", description=told, height_px=_TRACE_PX)
    if peak:
        places, thinned = envelope(values)
        times_ns = example.start_ns + places * (1e9 / SAMPLING_RATE_HZ)
        plot.line(times_ns, thinned / peak, "wave")
    _mark(plot, labels)
    for pick in example.picks:
        label = str(pick.phase) if row == _TOP_FIRST[0] else ""
        plot.rule(float(pick.time_ns), KINDS[pick.phase], label)
    if not peak:
        plot.note("not there")
    made = plot.element()
    made.set("class", "plot bare")
    return made


def _probabilities(example: Example, x: Axis, labels: Sequence[Pick]) -> Element:
    y = Axis(0.0, 1.0, (Tick(0.0, "0"), Tick(0.5, "0.5"), Tick(1.0, "1")), "")
    highest = ", ".join(
        f"{phase} reaches {values.max(initial=0.0):.2f}"
        for phase, values in zip(Phase, example.probabilities.T, strict=False)
    )
    plot = Plot(
        x, y, title="Probabilities of P and S", description=highest, height_px=_PROBABILITY_PX
    )
    times_ns = example.times_ns.astype(np.float64)
    for phase, values in zip(Phase, example.probabilities.T, strict=False):
        places, thinned = envelope(values.astype(np.float64))
        at_ns = np.interp(places, np.arange(len(times_ns)), times_ns) if len(times_ns) else places
        plot.line(at_ns, thinned, f"curve {KINDS[phase]}")
    _mark(plot, labels)
    for pick in example.picks:
        plot.rule(float(pick.time_ns), KINDS[pick.phase])
    made = plot.element()
    made.set("class", "plot last")
    return made


def _mark(plot: Plot, labels: Sequence[Pick]) -> None:
    for label in labels:
        plot.rule(float(label.time_ns), "given")


def _centred(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    values = samples.astype(np.float64)
    good = np.isfinite(values)
    if not good.any():
        return np.zeros_like(values)
    return np.where(good, values - values[good].mean(), 0.0)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
