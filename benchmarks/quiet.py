"""How often does a model pick where nothing arrives?

    python -m benchmarks.quiet [--model-name NAME] [--json FILE]

Quiet is what the curves in ``../shared/data/teachers`` leave: stretches of 20 s and more in which
neither PhaseNet nor EQCCT reaches 0.1 for P or S, 5 s away from where one does. Picks there, at
the thresholds of the model's card, are counted by station-day. PhaseNet has none there by
definition; so that it can be compared, both are counted as well where EQCCT alone sees nothing,
PhaseNet's maxima at 0.3. Some of these picks are earthquakes that only one of them saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import model_parser, write_json
from benchmarks.regions import SHARED, TEACHERS, maxima
from scperformer.cli.loading import load_model
from scperformer.config import UNHURRIED, Settings
from scperformer.datasets.curves import CURVE_RATE_HZ, Curves, read_curves
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, Pick
from scperformer.waveforms.archive import index_inputs

FOLDERS = ("continuous/ridgecrest", "unlabelled/new-zealand", "unlabelled/obs-noise-and-taiwan")
_SEEN, _AWAY_S, _LEAST_S, _COLD_S = 0.1, 5.0, 20.0, 5.0
_PHASENET_THRESHOLD = 0.3
_DAY_S = 86_400.0
Spans = list[tuple[int, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = model_parser(__doc__.partition("\n")[0])
    options = parser.parse_args(arguments)
    figures = measure(load_model(options))
    for name, row in figures.items():
        print(name, row)
    write_json(figures, options.json)
    return 0


def measure(model: LoadedModel) -> dict[str, Any]:
    """Return picks a station-day by folder, in what both leave quiet and in what EQCCT does."""
    figures: dict[str, Any] = {}
    for folder in FOLDERS:
        curves = read_curves(TEACHERS / f"{Path(folder).name}.npz")
        picks = list(model_picks(model, SHARED / "data" / folder))
        both, alone = _quiet(curves, [0, 1]), _quiet(curves, [1])
        others = _phasenet(curves)
        own = {station: _times(picks, station) for station in curves}
        figures[folder] = {
            "quiet_h": round(float(_seconds(both)) / 3600.0, 2),
            "ours": _rate(own, both),
            "quiet_for_eqcct_h": round(float(_seconds(alone)) / 3600.0, 2),
            "ours_there": _rate(own, alone),
            "phasenet_there": _rate(others, alone),
        }
    return figures


def model_picks(model: LoadedModel, folder: Path) -> Iterator[Pick]:
    pipeline = model.pipeline(Settings(**UNHURRIED))
    for group in index_inputs([folder]).groups:
        for record in group.records():
            yield from pipeline.feed(record)
        yield from pipeline.flush()


def _times(picks: Sequence[Pick], station: str) -> NDArray[np.int64]:
    return np.sort(np.array([p.time_ns for p in picks if p.station == station], np.int64))


def _phasenet(curves: dict[str, list[Curves]]) -> dict[str, NDArray[np.int64]]:
    found = {}
    for station, parts in curves.items():
        times = [
            time_ns
            for part in parts
            for row in part.values[0] / np.float32(255.0)
            for time_ns, value in maxima(row, part.start_ns)
            if value >= _PHASENET_THRESHOLD
        ]
        found[station] = np.sort(np.array(times, np.int64))
    return found


def _quiet(curves: dict[str, list[Curves]], teachers: Sequence[int]) -> dict[str, Spans]:
    """Stretches of each station in which none of the teachers sees anything."""
    found: dict[str, Spans] = {}
    away = round(_AWAY_S * CURVE_RATE_HZ)
    for station, parts in curves.items():
        spans = found.setdefault(station, [])
        for part in parts:
            seen = part.values[teachers].max(axis=(0, 1)) >= 255 * _SEEN
            near = np.convolve(seen, np.ones(2 * away + 1), "same") > 0
            near[: round(_COLD_S * CURVE_RATE_HZ)] = True
            edges = np.flatnonzero(np.diff(np.concatenate([[1], near, [1]]).astype(np.int8)))
            for first, end in edges.reshape(-1, 2):
                if end - first >= _LEAST_S * CURVE_RATE_HZ:
                    step = NS_PER_S // CURVE_RATE_HZ
                    spans.append((part.start_ns + first * step, part.start_ns + end * step))
    return found


def _seconds(spans: dict[str, Spans]) -> float:
    return sum(end - first for own in spans.values() for first, end in own) / NS_PER_S


def _rate(times: dict[str, NDArray[np.int64]], spans: dict[str, Spans]) -> float:
    """Picks inside the spans, a station-day."""
    n = sum(
        int(np.diff(np.searchsorted(times[station], span))[0])
        for station, own in spans.items()
        for span in own
    )
    return round(float(n / _seconds(spans) * _DAY_S), 1)


if __name__ == "__main__":
    raise SystemExit(main())
