"""The pictures of docs/concepts.md, drawn from real records.

    python -m benchmarks.drawings [--out docs/drawings]

An earthquake of M 1.6 at Ridgecrest, 2019-07-04 16:13:43 UTC, as the shipped model sees it in
``../shared/data/continuous/ridgecrest``. It needs matplotlib (the extra `plot`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import ROOT, ready_model, shared_folder
from scperformer.config import UNHURRIED, Settings
from scperformer.core.filters import parse_filter
from scperformer.core.statistics import Observer, ScoredWindows
from scperformer.core.streaming import COLD_COLUMNS
from scperformer.core.triggers import PHASES, log_odds, mean_odds
from scperformer.networks.loading import LoadedModel
from scperformer.types import N_COMPONENTS, NS_PER_S, Pick, Record, parse_time
from scperformer.waveforms.archive import index_inputs

STATION, BLURRED = "TOW2", "WCS2"
FROM, TO = "2019-07-04T16:12:00", "2019-07-04T16:15:00"
EVENT = parse_time("2019-07-04T16:13:43")
COLUMN_S, LOOK_AHEAD = 0.16, 11
LOOK_AHEAD_S = COLUMN_S * LOOK_AHEAD
_COLOURS = {"P": "#0b6e99", "S": "#b3541e"}
_GREY = "#444444"
_ZOOM_S = 0.7


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a station's records.

    Attributes:
        records: as they were read, cut to the span that is looked at.
        runs: (times of the answers in ns, probabilities of P and S) of each run without a break.
        picks: in the order of time.
    """

    records: list[Record]
    runs: list[tuple[NDArray[np.int64], NDArray[np.float64]]]
    picks: list[Pick]


class _Keeper(Observer):
    wants_scores = True

    def __init__(self) -> None:
        self.parts: list[ScoredWindows] = []

    def scored(self, windows: ScoredWindows) -> None:
        self.parts.append(windows)


def look(model: LoadedModel, records: list[Record]) -> Seen:
    """Take records through the picker and keep what it answers."""
    settings, keeper = Settings(**UNHURRIED), _Keeper()
    pipeline = model.pipeline(settings, observer=keeper)
    picks = [pick for record in records for pick in pipeline.feed(record)]
    picks += pipeline.flush()
    times = np.concatenate([part.centre_ns for part in keeper.parts])
    answers = np.concatenate([part.probabilities for part in keeper.parts])
    breaks = np.flatnonzero(np.diff(times) > 1.5 * COLUMN_S * NS_PER_S) + 1
    half = settings.half_smoothing_windows
    runs = []
    unanswered = LOOK_AHEAD + COLD_COLUMNS
    for own, said in zip(np.split(times, breaks), np.split(answers, breaks), strict=True):
        odds = mean_odds(log_odds(said[:, : len(PHASES)]), half, 0, len(own))
        runs.append((own[unanswered:], 1.0 / (1.0 + np.exp(-odds[unanswered:]))))
    return Seen(records, runs, sorted(picks, key=lambda pick: pick.time_ns))


def filtered(seen: Seen, component: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return seconds after the event and the samples of a component, high-passed at 1 Hz."""
    own = [record for record in seen.records if record.seed_id.component == component]
    raw = np.concatenate([record.samples for record in own]).astype(np.float64)
    samples = np.tile(raw, (N_COMPONENTS, 1))
    state = parse_filter("BW_HP(4,1)").start()
    state.prime(np.ones(N_COMPONENTS, dtype=bool), samples[:, 0])
    at_s = [
        _seconds(record.start_ns) + np.arange(len(record.samples)) / record.sampling_rate_hz
        for record in own
    ]
    return np.concatenate(at_s), state.process(samples)[0]


def station_records(folder: Path, station: str) -> list[Record]:
    """Return a station's records that begin in the span, in the order of time."""
    paths = sorted(folder.glob(f"*.{station}.*.D.*"))
    groups = index_inputs(paths).groups
    records = [record for group in groups for record in group.records()]
    first, last = parse_time(FROM), parse_time(TO)
    chosen = [record for record in records if first <= record.start_ns < last]
    return sorted(chosen, key=lambda record: (record.start_ns, record.seed_id))


def without(records: list[Record], first_s: float, last_s: float) -> list[Record]:
    """Leave out what lies between two times after the event."""
    kept = []
    for record in records:
        at_s = (record.start_ns - EVENT) / NS_PER_S + np.arange(len(record.samples)) / (
            record.sampling_rate_hz
        )
        for part in (at_s < first_s, at_s >= last_s):
            if part.any():
                start_ns = record.start_ns + int(np.argmax(part) / record.sampling_rate_hz * 1e9)
                kept.append(
                    Record(record.seed_id, start_ns, record.sampling_rate_hz, record.samples[part])
                )
    return sorted(kept, key=lambda record: (record.start_ns, record.seed_id))


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw all."""
    import matplotlib  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "drawings", metavar="FOLDER")
    out: Path = parser.parse_args(arguments).out
    shared = shared_folder()
    if shared is None:
        raise SystemExit("no ../shared, whose records are drawn")
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "lines.linewidth": 1.0})
    matplotlib.rcParams["axes.spines.right"] = False
    out.mkdir(parents=True, exist_ok=True)
    model, folder = ready_model(), shared / "data" / "continuous" / "ridgecrest"
    records = station_records(folder, STATION)
    seen = look(model, records)
    thresholds = dict(zip(PHASES, model.thresholds.by_components[N_COMPONENTS], strict=True))
    draw_probability(out / "probability.png", seen, thresholds)
    draw_delay(out / "delay.png", seen, thresholds)
    draw_gap(out / "gap.png", seen, look(model, without(records, -2.0, 0.0)))
    blurred = look(model, station_records(folder, BLURRED))
    draw_uncertainty(out / "uncertainty.png", seen, blurred)
    return 0


def _seconds(times_ns: Any) -> Any:
    return (np.asarray(times_ns) - EVENT) / NS_PER_S


def _near(seen: Seen, phase: str) -> Pick:
    """The pick of a phase that belongs to the event."""
    return next(p for p in seen.picks if p.phase == phase and 0 < _seconds(p.time_ns) < 30)


def _draw_waveform(axes: Any, seen: Seen, component: str, span: tuple[float, float]) -> None:
    at_s, samples = filtered(seen, component)
    inside = (at_s >= span[0]) & (at_s <= span[1])
    own = samples[inside]
    axes.plot(at_s[inside], own / np.abs(own).max(), color=_GREY, linewidth=0.6)
    axes.set_yticks([])
    axes.set_xlim(*span)


def _draw_curves(axes: Any, seen: Seen, span: tuple[float, float], marker: str = "") -> None:
    for run, (times, values) in enumerate(seen.runs):
        for column, phase in enumerate(PHASES):
            label = f"probability of {phase}" if run == 0 else None
            axes.plot(
                _seconds(times), values[:, column], marker=marker, markersize=2.5,
                color=_COLOURS[phase], label=label,
            )  # fmt: skip
    axes.set_ylim(-0.03, 1.05)
    axes.set_xlim(*span)
    axes.set_ylabel("probability")


def _finish(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


def _figure(rows: int, height: float, **options: Any) -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7.2, height), layout="constrained")
    return figure, figure.subplots(rows, 1, squeeze=False, **options)[:, 0]


def draw_probability(path: Path, seen: Seen, thresholds: dict[str, float]) -> None:
    """Three components, the two curves, thresholds and picks."""
    span = (-2.0, 12.0)
    figure, axes = _figure(4, 4.6, sharex=True, height_ratios=[1, 1, 1, 1.7])
    for own, letter in zip(axes, "ZNE", strict=False):
        _draw_waveform(own, seen, letter, span)
        own.set_ylabel(letter, rotation=0, labelpad=10)
    _draw_curves(axes[3], seen, span)
    for phase, value in thresholds.items():
        axes[3].axhline(value, color=_COLOURS[phase], linestyle=":", linewidth=0.8)
        axes[3].text(span[1], value, f" {value:.2f}", color=_COLOURS[phase], va="center")
    for pick in (_near(seen, "P"), _near(seen, "S")):
        for own in axes:
            own.axvline(_seconds(pick.time_ns), color=_COLOURS[pick.phase], linewidth=1.2)
        axes[3].text(
            _seconds(pick.time_ns) + 0.15, 1.0, f"{pick.phase} {pick.probability:.2f}",
            color=_COLOURS[pick.phase], va="top",
        )  # fmt: skip
    axes[3].legend(loc="upper left", frameon=False)
    axes[3].set_xlabel("seconds after the origin time")
    _finish(figure, path)


def draw_delay(path: Path, seen: Seen, thresholds: dict[str, float]) -> None:
    """What passes between the onset of a P and its decision."""
    pick = _near(seen, "P")
    onset = float(_seconds(pick.time_ns))
    span = (onset - 0.6, onset + pick.decision_delay_s + 0.5)
    figure, (above, below) = _figure(2, 3.6, sharex=True, height_ratios=[1, 1.5])
    _draw_waveform(above, seen, "Z", span)
    _draw_curves(below, seen, span, "o")
    below.axhline(thresholds["P"], color=_COLOURS["P"], linestyle=":", linewidth=0.8)
    for own in (above, below):
        own.axvline(onset, color=_COLOURS["P"], linewidth=1.2)
        own.axvline(onset + pick.decision_delay_s, color="black", linewidth=1.2, linestyle="--")
    above.annotate(
        "", (onset, -0.8), (onset + pick.decision_delay_s, -0.8), arrowprops={"arrowstyle": "<->"}
    )
    above.text(onset + 0.5, -0.72, f"decision_delay_s = {pick.decision_delay_s:.2f}")
    above.text(onset - 0.03, 0.75, "onset", ha="right", color=_COLOURS["P"])
    above.text(onset + pick.decision_delay_s + 0.03, 0.6, "certain", ha="left")
    certain = onset + pick.decision_delay_s
    for first, last, text in (
        (onset, certain - LOOK_AHEAD_S, "rise, maximum, fall"),
        (certain - LOOK_AHEAD_S, certain, f"look-ahead, {LOOK_AHEAD_S:.2f} s"),
    ):
        below.annotate("", (first, 1.08), (last, 1.08), arrowprops={"arrowstyle": "<->"})
        below.text((first + last) / 2, 1.13, text, ha="center")
    below.set_ylim(-0.03, 1.3)
    below.set_yticks([0.0, 0.5, 1.0])
    below.set_xlabel("seconds after the origin time")
    _finish(figure, path)


def draw_gap(path: Path, whole: Seen, broken: Seen) -> None:
    """The same record with and without two missing seconds before the P."""
    span = (-8.0, 12.0)
    figure, axes = _figure(2, 3.4, sharex=True)
    for own, seen, title in (
        (axes[0], whole, "as recorded"),
        (axes[1], broken, "two seconds missing"),
    ):
        _draw_curves(own, seen, span)
        own.set_title(title, loc="left", fontsize=9)
    last, first = float(_seconds(broken.runs[0][0][-1])), float(_seconds(broken.runs[1][0][0]))
    axes[1].axvspan(last, first, color="#ececec", label="no answer")
    axes[1].axvspan(-2.0, 0.0, color="#b5b5b5", label="gap")
    axes[1].legend(loc="center left", frameon=False)
    axes[1].set_xlabel("seconds after the origin time")
    _finish(figure, path)


def draw_uncertainty(path: Path, sharp: Seen, blurred: Seen) -> None:
    """A sharp onset and a blurred one with one and two stated uncertainties."""
    figure, axes = _figure(2, 3.6)
    for own, seen in zip(axes, (sharp, blurred), strict=True):
        pick = _near(seen, "P")
        at_s, samples = filtered(seen, "Z")
        at_s = at_s - _seconds(pick.time_ns)
        inside = np.abs(at_s) < _ZOOM_S
        own.plot(
            at_s[inside], samples[inside], color=_GREY, linewidth=0.8, marker=".", markersize=2
        )
        for times, alpha in ((2, 0.18), (1, 0.35)):
            width = times * pick.uncertainty_s
            own.axvspan(-width, width, color=_COLOURS["P"], alpha=alpha, linewidth=0)
        own.axvline(0.0, color=_COLOURS["P"], linewidth=1.2)
        own.set_xlim(-_ZOOM_S, _ZOOM_S)
        own.set_yticks([])
        own.set_title(
            f"{pick.seed_id}: uncertainty {pick.uncertainty_s:.3f} s, {pick.onset}",
            loc="left", fontsize=9,
        )  # fmt: skip
    axes[1].set_xlabel("seconds from the pick")
    _finish(figure, path)


if __name__ == "__main__":
    raise SystemExit(main())
