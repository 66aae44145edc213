"""What `scperformer demo` does: a real record through the pipeline, drawn."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.cli.loading import load_model
from scperformer.config import Settings
from scperformer.core.filters import parse_filter
from scperformer.core.statistics import Observer, ScoredWindows
from scperformer.core.triggers import PHASES, log_odds, mean_odds
from scperformer.errors import OutputError
from scperformer.picks.pick_files import open_sink
from scperformer.picks.plots import Probabilities, plot_record
from scperformer.picks.style import Style
from scperformer.types import (
    N_COMPONENTS,
    NS_PER_S,
    SAMPLE_NS,
    Pick,
    Record,
    SeedId,
    format_time,
)

_SUFFIXES = (".txt", ".csv", ".scml", ".qml")
_RECORD_SAMPLES = 100
_DRAWN = "ZNE"


def run_demo(options: argparse.Namespace) -> int:
    """Pick obspy's example, a local earthquake in Bavaria; return the exit status."""
    model, settings = load_model(options), Settings()
    settings = replace(settings, filter=model.own_filter)
    records = example_records()
    keeper = _AnswerKeeper()
    pipeline = model.pipeline(settings, observer=keeper)
    pipeline.expect({record.seed_id for record in records})
    picks = [pick for record in records for pick in pipeline.feed(record)]
    picks += pipeline.flush()
    picks.sort(key=lambda pick: pick.time_ns)
    written = _write(options.out, picks, settings)
    plot = options.out / "picks.png"
    half = settings.half_smoothing_windows
    sensor_id = records[0].seed_id.sensor_id
    plot_record(
        plot,
        _filtered_channels(records, settings.filter),
        unit="counts",
        start_ns=records[0].start_ns,
        probabilities=keeper.deciding_probabilities(half),
        averaged=f"mean of {2 * half + 1} answers",
        thresholds=dict(zip(PHASES, model.thresholds.by_components[N_COMPONENTS], strict=True)),
        picks=picks,
        title=f"{sensor_id.network}.{sensor_id.station}, filtered with {settings.filter}, "
        f"picked by {model.classifier.name}",
    )
    _tell(records, picks, [*written, plot])
    return 0


def example_records() -> list[Record]:
    """Return the record that obspy carries, BW.RJOB of 2009-08-24, second by second."""
    import obspy  # noqa: PLC0415

    records = []
    for trace in obspy.read():
        header = trace.stats
        seed_id = SeedId(header.network, header.station, header.location, header.channel)
        for first in range(0, len(trace.data), _RECORD_SAMPLES):
            start_ns = header.starttime.ns + first * SAMPLE_NS
            samples = trace.data[first : first + _RECORD_SAMPLES]
            records.append(Record(seed_id, start_ns, header.sampling_rate, samples))
    return sorted(records, key=lambda record: (record.start_ns, record.seed_id))


class _AnswerKeeper(Observer):
    wants_scores = True

    def __init__(self) -> None:
        self._times: list[NDArray[np.int64]] = []
        self._answers: list[NDArray[np.float32]] = []

    def scored(self, windows: ScoredWindows) -> None:
        self._times.append(windows.centre_ns)
        self._answers.append(windows.probabilities)

    def deciding_probabilities(self, half: int) -> Probabilities:
        """Return what picks are decided by: means of log-odds, and the times they speak of."""
        odds = log_odds(np.concatenate(self._answers)[:, : len(PHASES)])
        means = mean_odds(odds, half, 0, len(odds))
        return np.concatenate(self._times), 1.0 / (1.0 + np.exp(-means))


def _filtered_channels(records: list[Record], filter_text: str) -> dict[str, NDArray[np.float64]]:
    """Return what the network sees of each channel, the vertical first."""
    channels = sorted({r.seed_id for r in records}, key=lambda s: _DRAWN.index(s.component))
    parts = ([r.samples for r in records if r.seed_id == seed_id] for seed_id in channels)
    raw = np.stack([np.concatenate(own) for own in parts]).astype(np.float64)
    state = parse_filter(filter_text).start()
    state.prime(np.ones(len(channels), dtype=bool), raw[:, 0])
    filtered = state.process(raw)
    return {seed_id.channel: own for seed_id, own in zip(channels, filtered, strict=True)}


def _write(folder: Path, picks: list[Pick], settings: Settings) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--out: the folder {folder} cannot be made ({error.strerror}); name another one"
        ) from error
    paths = [folder / f"picks{suffix}" for suffix in _SUFFIXES]
    style = Style(amplitude_phases=settings.amplitude_phases)
    for path in paths:
        with open_sink(path, style) as sink:
            sink.write(picks)
    return paths


def _tell(records: list[Record], picks: list[Pick], paths: list[Path]) -> None:
    start_ns, end_ns = records[0].start_ns, max(record.end_ns for record in records)
    print(
        f"{records[0].seed_id.sensor_id}: {(end_ns - start_ns) / NS_PER_S:.0f} s "
        f"from {format_time(start_ns)}, {len(picks)} picks"
    )
    for pick in picks:
        polarity = f", first motion {pick.polarity}" if pick.polarity else ""
        print(
            f"  {pick.phase} {format_time(pick.time_ns)} +- {pick.uncertainty_s:.2f} s on "
            f"{pick.seed_id}, probability {pick.probability:.4f}, SNR {pick.snr:.1f}, "
            f"{pick.onset}{polarity}"
        )
    print("written:", *paths, sep="\n  ")
