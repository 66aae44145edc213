"""How true are the onsets, at every sampling rate?

Made-up local earthquakes (`benchmarks/ground_motion.py`) are picked by the whole pipeline at
rates from 20 to 500 Hz; with ``--labelled`` the picks of analysts are held against the
picker's too. Errors are pick minus truth; an arrival is found if a pick of its phase lies
within 0.5 s of it.

    python -m benchmarks.onsets [--rates 100,250] [--labelled FOLDER ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ground_motion import earthquake
from scperformer.cli.loading import load_model
from scperformer.cli.options import add_model_options
from scperformer.config import Settings
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, Onset, Phase, Pick, Record, parse_time
from scperformer.waveforms.archive import index_inputs

RATES_HZ = (20.0, 40.0, 50.0, 80.0, 100.0, 125.0, 200.0, 250.0, 500.0)
N_EVENTS = 40
TOLERANCE_S = 0.5
EARLY_S = 0.03


@dataclass(frozen=True, slots=True)
class Difference:
    """A found arrival.

    Attributes:
        error_s: pick minus truth.
        uncertainty_s: what the pick says of itself.
        onset: its quality.
    """

    error_s: float
    uncertainty_s: float
    onset: Onset


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The arrivals of one kind.

    Attributes:
        name: what they are.
        n: how many there are.
        found: those that were picked.
    """

    name: str
    n: int
    found: tuple[Difference, ...]

    def figures(self) -> dict[str, Any]:
        """Return what the table shows."""
        errors = np.array([one.error_s for one in self.found])
        deviations = np.array([one.uncertainty_s for one in self.found])
        inside = np.abs(errors)[None, :] <= np.array([[1.0], [2.0]]) * deviations
        has_some = bool(len(errors))
        return {
            "name": self.name,
            "n": self.n,
            "found": len(errors),
            "median_s": round(float(np.median(errors)), 4) if has_some else None,
            "mae_s": round(float(np.abs(errors).mean()), 4) if has_some else None,
            "early": round(float((errors < -EARLY_S).mean()), 3) if has_some else None,
            "one_sigma": round(float(inside[0].mean()), 3) if has_some else None,
            "two_sigma": round(float(inside[1].mean()), 3) if has_some else None,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rates", default=",".join(f"{r:g}" for r in RATES_HZ), help="sampling rates in Hz"
    )
    parser.add_argument("--events", type=int, default=N_EVENTS, help="earthquakes of each kind")
    parser.add_argument(
        "--labelled", nargs="*", default=[], type=Path, help="folders with picks.csv"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    add_model_options(parser)
    options = parser.parse_args()
    model = load_model(options)
    rates = [float(word) for word in options.rates.split(",") if word]
    rows = [*made_up(model, rates, options.events), *labelled(model, options.labelled)]
    figures = [row.figures() for row in rows]
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def made_up(model: LoadedModel, rates_hz: Sequence[float], n_events: int) -> Iterator[Arrivals]:
    """Pick made-up earthquakes; a row for each rate, kind of onset and phase."""
    for rate_hz in rates_hz:
        for onset in (Onset.IMPULSIVE, Onset.EMERGENT):
            found: dict[Phase, list[Difference]] = {phase: [] for phase in Phase}
            for number in range(n_events):
                one = earthquake(number, onset)
                picks = pick(model, one.records(rate_hz))
                for phase in Phase:
                    found[phase] += nearest(picks, phase, one.time_ns(phase))
            for phase in Phase:
                name = f"{rate_hz:g} Hz {onset} {phase}"
                yield Arrivals(name, n_events, tuple(found[phase]))


def labelled(model: LoadedModel, folders: Iterable[Path]) -> Iterator[Arrivals]:
    """Pick labelled records; a row for each folder and phase, and for each quality of onset."""
    for folder in folders:
        n_labels = dict.fromkeys(Phase, 0)
        found: dict[Phase, list[Difference]] = {phase: [] for phase in Phase}
        for row in csv.DictReader((folder / "picks.csv").read_text().splitlines()):
            groups = index_inputs([folder / row["file"]]).groups
            picks = pick(model, (r for group in groups for r in group.records()))
            for phase in Phase:
                if time := row[f"{phase.lower()}_time"]:
                    n_labels[phase] += 1
                    found[phase] += nearest(picks, phase, parse_time(time))
        for phase in Phase:
            yield Arrivals(f"{folder.name} {phase}", n_labels[phase], tuple(found[phase]))
            for onset in Onset:
                own = tuple(one for one in found[phase] if one.onset is onset)
                yield Arrivals(f"{folder.name} {phase} {onset}", len(own), own)


def pick(model: LoadedModel, records: Iterable[Record]) -> list[Pick]:
    """Pick a record by the whole pipeline, at the model's thresholds."""
    pipeline = model.pipeline(Settings(batch_size=4096))
    pipeline.batches.catches_up = True
    picks = [one for record in records for one in pipeline.feed(record)]
    return picks + pipeline.flush()


def nearest(picks: Iterable[Pick], phase: Phase, time_ns: int) -> list[Difference]:
    """Return the pick of a phase that lies nearest to an arrival, if it is near enough."""
    near = [
        Difference((p.time_ns - time_ns) / NS_PER_S, p.uncertainty_s, p.onset)
        for p in picks
        if p.phase is phase and abs(p.time_ns - time_ns) <= TOLERANCE_S * NS_PER_S
    ]
    return sorted(near, key=lambda one: abs(one.error_s))[:1]


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Write the figures down as a Markdown table."""
    lines = [
        "| arrivals | found | median s | MAE s | early | in 1 sigma | in 2 sigma |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in figures:
        if not row["found"]:
            lines.append(f"| {row['name']} | 0 of {row['n']} | | | | | |")
            continue
        lines.append(
            f"| {row['name']} | {row['found']} of {row['n']} | {row['median_s']:+.3f} "
            f"| {row['mae_s']:.3f} | {row['early']:.0%} | {row['one_sigma']:.0%} "
            f"| {row['two_sigma']:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
