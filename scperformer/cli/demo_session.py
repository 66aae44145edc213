"""What `scperformer demo` does: a real record through the pipeline, drawn."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.cli.loading import load_model
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer
from scperformer.io.plots import Probabilities, plot_record
from scperformer.io.sinks import open_sink
from scperformer.types import (
    NS_PER_S,
    SAMPLE_NS,
    WINDOW_SAMPLES,
    Pick,
    Record,
    SeedId,
    SensorId,
    format_time,
)

_SUFFIXES = (".txt", ".csv", ".scml", ".qml")
_RECORD_SAMPLES = 100


def run_demo(options: argparse.Namespace) -> int:
    """Pick obspy's example, a local earthquake in Bavaria; return the exit status."""
    model = load_model(options)
    records = example_records()
    observer = _ScoreKeeper()
    pipeline = Pipeline(
        model.classifier, thresholds=model.thresholds, observer=observer, context=model.context
    )
    pipeline.expect({record.seed_id for record in records})
    picks = [pick for record in records for pick in pipeline.feed(record)]
    picks += pipeline.flush()
    picks.sort(key=lambda pick: pick.time_ns)
    written = _write(options.out, picks)
    plot = options.out / "picks.png"
    plot_record(
        plot,
        _by_component(records),
        start_ns=records[0].start_ns,
        probabilities=observer.probabilities(),
        picks=picks,
        title=f"{records[0].seed_id.sensor_id}, model {model.classifier.name}",
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


class _ScoreKeeper(Observer):
    wants_scores = True

    def __init__(self) -> None:
        self._times: list[NDArray[np.int64]] = []
        self._scores: list[NDArray[np.float32]] = []

    def scored(
        self,
        sensor_id: SensorId,
        window_start_ns: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        waveform: NDArray[np.float32],
    ) -> None:
        del sensor_id, waveform
        self._times.append(window_start_ns + WINDOW_SAMPLES // 2 * SAMPLE_NS)
        self._scores.append(probabilities)

    def probabilities(self) -> Probabilities:
        return np.concatenate(self._times), np.concatenate(self._scores)


def _by_component(records: list[Record]) -> dict[str, NDArray[np.generic]]:
    letters = sorted({record.seed_id.component for record in records})
    return {
        letter: np.concatenate([r.samples for r in records if r.seed_id.component == letter])
        for letter in letters
    }


def _write(folder: Path, picks: list[Pick]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"picks{suffix}" for suffix in _SUFFIXES]
    for path in paths:
        with open_sink(path) as sink:
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
