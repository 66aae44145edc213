"""How true are the onsets, at every sampling rate?

Made-up local earthquakes are picked by the whole pipeline at rates from 20 to 500 Hz; with
``--labelled`` the picks of analysts are held against the picker's too. Errors are pick minus
truth; an arrival is found if a pick of its phase lies within 0.5 s of it.

    python -m benchmarks.onsets [--rates 100,250] [--labelled FOLDER ...] [--json FILE]

The ground motion of a made-up arrival is a sum of sinusoids of random phase that begin at the
onset, with frequencies from 0.5 to 150 Hz and a spectrum that is flat up to a corner of 6
to 25 Hz and falls with the square beyond it. A recorder leaves out what lies above 0.8 of
its Nyquist frequency. The same number is the same earthquake at every rate: only the noise,
white and a microseism of five times its amplitude, is drawn anew.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import model_parser, write_json
from scperformer.cli.loading import load_model
from scperformer.config import Settings
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, Onset, Phase, Pick, Record, SeedId, parse_time
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
    parser = model_parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--rates", default=",".join(f"{r:g}" for r in RATES_HZ), help="sampling rates in Hz"
    )
    parser.add_argument("--events", type=int, default=N_EVENTS, help="earthquakes of each kind")
    parser.add_argument(
        "--labelled", nargs="*", default=[], type=Path, help="folders with picks.csv"
    )
    options = parser.parse_args()
    model = load_model(options)
    rates = [float(word) for word in options.rates.split(",") if word]
    rows = [*made_up(model, rates, options.events), *labelled(model, options.labelled)]
    figures = [row.figures() for row in rows]
    print(table(figures))
    write_json(figures, options.json)


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


Samples = NDArray[np.float64]

BEGINS_NS = 1_700_000_000 * NS_PER_S
LENGTH_S = 60.0
CHANNELS = ("HHN", "HHE", "HHZ")
_NOISE_COUNTS = 1000.0
_MICROSEISM, _MICROSEISM_HZ = 5.0, (0.2, 0.1)
_N_SINUSOIDS = 120
_PASSED = 0.8
_RISE_S = {Onset.IMPULSIVE: 0.004, Onset.EMERGENT: 0.15}
_SHARES = {Phase.P: (0.35, 0.35, 1.0), Phase.S: (1.0, 1.0, 0.35)}
_BANDS_HZ = {Phase.P: (1.0, 150.0), Phase.S: (0.5, 60.0)}


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """The ground motion of one phase.

    Attributes:
        time_s: onset, in seconds behind `BEGINS_NS`.
        rise_s, decay_s: of the envelope.
        peak: largest value on the vertical (P) or a horizontal (S), over the noise.
        frequencies_hz: (n,) of the sinusoids.
        amplitudes, phases: (3, n), components N, E, Z.
    """

    time_s: float
    rise_s: float
    decay_s: float
    peak: float
    frequencies_hz: Samples
    amplitudes: Samples
    phases: Samples

    def motion(self, times_s: Samples, nyquist_hz: float) -> Samples:
        """Return (3, n) ground motion at some times, band-limited."""
        used = self.frequencies_hz < _PASSED * nyquist_hz
        motion = np.zeros((3, len(times_s)))
        behind = times_s >= self.time_s
        after_s = times_s[behind] - self.time_s
        angles = 2 * np.pi * np.outer(self.frequencies_hz[used], after_s)
        envelope = (1.0 - np.exp(-after_s / self.rise_s)) * np.exp(-after_s / self.decay_s)
        for place in range(3):
            waves = np.sin(angles + self.phases[place, used, None])
            motion[place, behind] = envelope * (self.amplitudes[place, used] @ waves)
        largest = float(np.abs(motion).max())
        return motion * (self.peak / largest) if largest > 0.0 else motion


@dataclass(frozen=True, slots=True, eq=False)
class Earthquake:
    """A local earthquake at one station.

    Attributes:
        number: which one.
        arrivals: its P and S.
    """

    number: int
    arrivals: dict[Phase, Arrival]

    def records(self, rate_hz: float, *, nyquist_hz: float = math.inf) -> list[Record]:
        """Return a minute of it, one record a component, first sample anywhere within 10 ms.

        Args:
            rate_hz: sampling rate.
            nyquist_hz: leave out what a slower recorder would, too.
        """
        random = np.random.default_rng([11, self.number, round(rate_hz * 1000)])
        offset_ns = int(random.integers(0, 10_000_000))
        n_samples = round(LENGTH_S * rate_hz)
        times_s = offset_ns / NS_PER_S + np.arange(n_samples) / rate_hz
        counts = _noise(random, n_samples, rate_hz)
        for arrival in self.arrivals.values():
            counts += arrival.motion(times_s, min(rate_hz / 2.0, nyquist_hz))
        whole = np.round(counts * _NOISE_COUNTS).astype(np.int32)
        station = f"E{self.number:03d}"
        return [
            Record(SeedId("XX", station, "", channel), BEGINS_NS + offset_ns, rate_hz, trace)
            for channel, trace in zip(CHANNELS, whole, strict=True)
        ]

    def time_ns(self, phase: Phase) -> int:
        """When a phase begins."""
        return BEGINS_NS + round(self.arrivals[phase].time_s * NS_PER_S)


def earthquake(
    number: int, onset: Onset, *, signal_to_noise: tuple[float, float] = (15.0, 1e4)
) -> Earthquake:
    """Make up an earthquake.

    Args:
        number: which one; the same number is the same one.
        onset: impulsive or emergent.
        signal_to_noise: range of the P's peak over the noise's root mean square.
    """
    random = np.random.default_rng([7, number, onset is Onset.EMERGENT])
    p_s = 20.0 + random.uniform(0.0, 5.0)
    s_s = p_s + random.uniform(1.5, 7.0)
    peak = float(np.exp(random.uniform(*np.log(signal_to_noise))))
    decay_s = random.uniform(1.0, 4.0)
    s_over_p = random.uniform(1.5, 5.0)
    rise_s = _RISE_S[onset]
    p = _arrival(random, Phase.P, time_s=p_s, rise_s=rise_s, decay_s=decay_s, peak=peak)
    s_peak = s_over_p * peak
    s = _arrival(random, Phase.S, time_s=s_s, rise_s=rise_s, decay_s=1.5 * decay_s, peak=s_peak)
    return Earthquake(number, {Phase.P: p, Phase.S: s})


def _arrival(
    random: np.random.Generator,
    phase: Phase,
    *,
    time_s: float,
    rise_s: float,
    decay_s: float,
    peak: float,
) -> Arrival:
    low, high = np.log(_BANDS_HZ[phase])
    frequencies_hz = np.exp(random.uniform(low, high, _N_SINUSOIDS))
    corner_hz = random.uniform(6.0, 25.0)
    # They lie evenly in the logarithm, so that a flat spectrum wants the root of each.
    spectrum = np.sqrt(frequencies_hz) / (1.0 + (frequencies_hz / corner_hz) ** 2)
    shares = np.array(_SHARES[phase])[:, None] * random.uniform(0.5, 1.0, (3, _N_SINUSOIDS))
    phases = random.uniform(0.0, 2 * np.pi, (3, _N_SINUSOIDS))
    return Arrival(time_s, rise_s, decay_s, peak, frequencies_hz, spectrum * shares, phases)


def _noise(random: np.random.Generator, n_samples: int, rate_hz: float) -> Samples:
    white = random.standard_normal((3, n_samples))
    frequencies_hz = np.fft.rfftfreq(n_samples, 1.0 / rate_hz)
    peak_hz, width_hz = _MICROSEISM_HZ
    shape = np.exp(-(((frequencies_hz - peak_hz) / width_hz) ** 2))
    spectrum = shape * (random.standard_normal((3, len(shape))) + 0j)
    spectrum += 1j * shape * random.standard_normal((3, len(shape)))
    microseism = np.fft.irfft(spectrum, n_samples)
    return np.asarray(white + _MICROSEISM * microseism / microseism.std())


if __name__ == "__main__":
    main()
