"""What a scan reports: gathered while it runs, written as a page at any moment.

Memory grows with the number of sensors and with nothing else: time is kept in bins that
grow coarser, values in histograms, of pairs and examples a sample. It can be pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.atomic import write_bytes
from scperformer.reporting.choosing import ExampleChooser, overlap_ns
from scperformer.reporting.facts import Example, PieceFacts, RunFacts, WantedExample
from scperformer.reporting.histograms import Histogram
from scperformer.reporting.labelling import LabelMatching
from scperformer.reporting.pairing import Pairs
from scperformer.reporting.tallies import SensorTally, reached
from scperformer.reporting.timeline import Timeline
from scperformer.types import N_COMPONENTS, SAMPLE_NS, Phase, Pick, SensorId

P_SERIES, S_SERIES, PRESENT_SERIES = range(3)
SERIES = {Phase.P: P_SERIES, Phase.S: S_SERIES}

_MOST_NOTES = 50
_LEAST_HOURS = 0.25
"""A sensor with less data is not called the busiest."""


class ScanReport:
    """Gathers what a scan finds, and writes it as one HTML page.

    Args:
        run: how the scan was made.
        labels: picks of analysts to compare with, None or empty for none.

    Attributes:
        run: as given.
        tallies: counts by sensor.
        timeline: picks of P and of S, and nanoseconds with data, by sensor and time.
        probabilities, uncertainties_s: histograms by phase.
        pairs: P picks that an S follows.
        labels: the comparison with labels; None without any.
        first_ns, last_ns: from when to when was scanned; None before the first piece.
        notes: problems in words, the first of them.
        n_notes: how many problems there were.
        examples: that were read again.
    """

    def __init__(self, run: RunFacts, *, labels: Sequence[Pick] | None = None) -> None:
        self.run = run
        self.tallies: dict[SensorId, SensorTally] = {}
        self.timeline: Timeline[SensorId] = Timeline(3)
        tenths_of_a_decade = np.geomspace(1e-3, 10.0, 41)
        self.probabilities = {phase: Histogram(np.linspace(0.0, 1.0, 51)) for phase in Phase}
        self.uncertainties_s = {phase: Histogram(tenths_of_a_decade) for phase in Phase}
        self.pairs = Pairs()
        self.labels = LabelMatching(labels) if labels else None
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.notes: list[str] = []
        self.n_notes = 0
        self.examples: list[Example] = []
        self._chooser = ExampleChooser()

    def note(self, problem: str) -> None:
        """Take a problem that is to be named: an input that cannot be read, a piece that failed."""
        self.n_notes += 1
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(problem)

    def add(self, piece: PieceFacts, picks: Sequence[Pick]) -> None:
        """Take a finished piece and its picks, in any order; each piece once."""
        picks = sorted(picks, key=lambda pick: pick.time_ns)
        present_ns = piece.present()
        self._reach(piece)
        self.timeline.cover(piece.sensor_id, PRESENT_SERIES, present_ns)
        for phase in Phase:
            self._count(piece.sensor_id, phase, [pick for pick in picks if pick.phase is phase])
        pairs = self.pairs.add(piece.sensor_id, picks)
        tally = self.tallies.setdefault(piece.sensor_id, SensorTally())
        tally.add(piece, int(np.diff(present_ns).sum()), picks, pairs)
        self._chooser.add(piece.sensor_id, picks, pairs)
        if self.labels is not None:
            self.labels.add(piece, present_ns, picks)

    def wanted_examples(self) -> Sequence[WantedExample]:
        """Return the data that are to be read again and given to `add_example`, at most seven."""
        missed = self.labels.missed if self.labels else None
        return self._chooser.wanted(self._busiest(), missed)

    def add_example(
        self,
        sensor_id: SensorId,
        waveform: NDArray[np.float32],
        *,
        start_ns: int,
        times_ns: NDArray[np.int64],
        probabilities: NDArray[np.float32],
        picks: Sequence[Pick],
    ) -> None:
        """Take data of a wanted example; what is not wanted, or lies outside, is left out.

        Args:
            sensor_id: the sensor.
            waveform: (3, n) float32 at 100 Hz, components in the networks' order (N, E, Z);
                a component that is not there is zeros or nan.
            start_ns: time of the first sample.
            times_ns: (m,) int64, times of the probabilities.
            probabilities: (m, 3) float32, P, S and noise.
            picks: of the sensor.

        Raises:
            ValueError: the waveform or the probabilities have another shape.
        """
        if waveform.ndim != 2 or waveform.shape[0] != N_COMPONENTS:
            raise ValueError(f"waveform of shape {waveform.shape}; wanted (3, n)")
        if probabilities.shape != (len(times_ns), 3):
            raise ValueError(
                f"probabilities of shape {probabilities.shape}; wanted ({len(times_ns)}, 3)"
            )
        end_ns = start_ns + waveform.shape[1] * SAMPLE_NS
        all_wanted = self.wanted_examples()
        own = [one for one in all_wanted if one.sensor_id == sensor_id]
        wanted = max(own, key=lambda one: overlap_ns(one, start_ns, end_ns), default=None)
        if wanted is None or not overlap_ns(wanted, start_ns, end_ns):
            return
        low = max(-((start_ns - wanted.start_ns) // SAMPLE_NS), 0)
        high = max((wanted.end_ns - start_ns) // SAMPLE_NS, low)
        near = (times_ns >= wanted.start_ns) & (times_ns < wanted.end_ns)
        still = set(all_wanted) - {wanted}
        self.examples = [one for one in self.examples if one.wanted in still]
        self.examples.append(
            Example(
                wanted,
                np.array(waveform[:, low:high], np.float32),
                start_ns + low * SAMPLE_NS,
                np.array(times_ns[near], np.int64),
                np.array(probabilities[near], np.float32),
                tuple(p for p in picks if wanted.start_ns <= p.time_ns < wanted.end_ns),
            )
        )

    def write(self, path: Path, *, ended_by: str = "") -> None:
        """Write the page, complete or not at all; more may be added afterwards.

        Args:
            path: the file.
            ended_by: what ended the scan before its time, in words; empty if nothing did.

        Raises:
            OutputError: it cannot be written.
        """
        from scperformer.reporting.page import render  # noqa: PLC0415 - lxml, only now

        write_bytes(path, render(self, ended_by=ended_by))

    def _reach(self, piece: PieceFacts) -> None:
        self.timeline.reach(piece.sensor_id, piece.start_ns, piece.end_ns)
        self.first_ns, self.last_ns = reached(piece, self.first_ns, self.last_ns)

    def _count(self, sensor_id: SensorId, phase: Phase, picks: Sequence[Pick]) -> None:
        times_ns = np.array([pick.time_ns for pick in picks], np.int64)
        self.timeline.count(sensor_id, SERIES[phase], times_ns)
        probabilities = np.array([pick.probability for pick in picks], np.float64)
        uncertainties_s = np.array([pick.uncertainty_s for pick in picks], np.float64)
        self.probabilities[phase].add(probabilities)
        self.uncertainties_s[phase].add(uncertainties_s)

    def _busiest(self) -> SensorId | None:
        rates = {
            sensor_id: tally.per_hour(tally.n_picks)
            for sensor_id, tally in self.tallies.items()
            if tally.n_picks and tally.hours >= _LEAST_HOURS
        }
        return max(rates, key=lambda sensor_id: (rates[sensor_id], sensor_id), default=None)
