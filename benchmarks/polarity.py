"""How often is a first motion right?

Nobody labelled first motions in the records at hand. So the clearest ones are taken for the
truth, noise with the spectrum of the record's own is added until the first swing has a given
ratio to the noise, and the records are picked again. Below a ratio of 3 or so the noise hides
the first swing, and the right answer is that it cannot be decided.

    python -m benchmarks.polarity FOLDER [FOLDER ...] [--draws 3] [--json FILE]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import model_parser, write_json
from benchmarks.onsets import pick
from scperformer.cli.loading import load_model
from scperformer.config import DEFAULT_FILTER
from scperformer.core.filters import parse_filter
from scperformer.core.onsets import first_swing
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, SAMPLE_NS, SAMPLING_RATE_HZ, Phase, Pick, Polarity, Record
from scperformer.waveforms.archive import ArchiveGroup, index_inputs

CLEAR_RATIO = 20.0
RATIOS = (30.0, 20.0, 14.0, 10.0, 7.0, 5.0, 3.0, 2.0, 1.0)
TOLERANCE_NS = NS_PER_S // 2
_DECIDED = (Polarity.POSITIVE, Polarity.NEGATIVE)
_LEAST_NOISE_SAMPLES = 300

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clear:
    """A record with a P whose first motion is beyond doubt.

    Attributes:
        records: the record, one part for each component.
        pick: its clearest P.
        swing: its first swing over the noise, with its sign.
    """

    records: list[Record]
    pick: Pick
    swing: float


def main() -> None:
    parser = model_parser(__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--draws", type=int, default=3, help="noises added to each record")
    options = parser.parse_args()
    figures = measure(load_model(options), options.folders, options.draws)
    print(
        f"{figures['clear']} records whose first swing is {CLEAR_RATIO:g} times the noise or more"
    )
    print(" swing  records    found  decided    right  right of decided")
    for row in figures["ratios"]:
        share = row["right"] / row["decided"] if row["decided"] else float("nan")
        counts = "".join(f"{row[key]:9d}" for key in ("records", "found", "decided", "right"))
        print(f"{row['swing']:6g}{counts}{share:18.3f}")
    write_json(figures, options.json)


def measure(model: LoadedModel, folders: Sequence[Path], n_draws: int) -> dict[str, Any]:
    """Count over all clear records of the folders."""
    clear = [one for group in index_inputs(folders).groups if (one := find_clear(model, group))]
    rows = []
    for ratio in RATIOS:
        counts = dict.fromkeys(("records", "found", "decided", "right"), 0)
        for number, one in enumerate(clear):
            for draw in range(n_draws):
                noisy = add_noise(one, ratio, np.random.default_rng([number, draw]))
                if noisy is None:
                    continue
                found = near(pick(model, noisy), one.pick)
                polarity = None if found is None else found.polarity
                counts["records"] += 1
                counts["found"] += found is not None
                counts["decided"] += polarity in _DECIDED
                counts["right"] += polarity is one.pick.polarity
        rows.append({"swing": ratio, **counts})
    return {"clear": len(clear), "ratios": rows}


def find_clear(model: LoadedModel, group: ArchiveGroup) -> Clear | None:
    """Return the record if it is whole and has a clear P with a first motion."""
    records = list(group.records())
    if len({r.seed_id for r in records}) != len(records):
        records = list(_joined(records))
    if any(round(r.sampling_rate_hz) != SAMPLING_RATE_HZ for r in records):
        return None
    picks = [p for p in pick(model, records) if p.phase is Phase.P and p.polarity in _DECIDED]
    clear = [Clear(records, p, first_swing(*_at(records, p), SAMPLING_RATE_HZ)) for p in picks]
    best = max(clear, key=lambda one: abs(one.swing), default=None)
    return best if best is not None and abs(best.swing) >= CLEAR_RATIO else None


def _at(records: Sequence[Record], pick: Pick) -> tuple[Samples, int]:
    """Return the filtered trace of a pick, and where in it the pick lies."""
    trace = next(r for r in records if r.seed_id == pick.seed_id)
    return _filtered(trace.samples), round((pick.time_ns - trace.start_ns) / SAMPLE_NS)


def _joined(records: Sequence[Record]) -> Iterator[Record]:
    """Put the parts of each component together; those with gaps are left out."""
    for seed_id in dict.fromkeys(record.seed_id for record in records):
        parts = sorted((r for r in records if r.seed_id == seed_id), key=lambda r: r.start_ns)
        ends = [part.end_ns for part in parts[:-1]]
        if all(abs(p.start_ns - end) < SAMPLE_NS for p, end in zip(parts[1:], ends, strict=True)):
            samples = np.concatenate([part.samples for part in parts])
            yield Record(seed_id, parts[0].start_ns, parts[0].sampling_rate_hz, samples)


def near(picks: Sequence[Pick], truth: Pick) -> Pick | None:
    """Return the P nearest to the true one, within half a second."""
    found = [p for p in picks if p.phase is Phase.P]
    nearest = min(found, key=lambda p: abs(p.time_ns - truth.time_ns), default=None)
    close = nearest is not None and abs(nearest.time_ns - truth.time_ns) <= TOLERANCE_NS
    return nearest if close else None


def add_noise(one: Clear, ratio: float, rng: np.random.Generator) -> list[Record] | None:
    """Add noise to all components so that the first swing has a ratio to it.

    The noise has the spectrum of what comes before the P, with phases drawn at random.

    Returns:
        The records; None if there is too little noise to take, or too much to begin with.
    """
    signal, onset = _at(one.records, one.pick)
    first = max(onset - 600, 0)
    if onset - first < _LEAST_NOISE_SAMPLES:
        return None
    own = float(np.std(signal[first : onset - 10]))
    peak = abs(one.swing) * float(np.sqrt(np.mean(signal[onset - 40 : onset] ** 2)))
    noises = [
        _surrogate(r.samples[first : onset - 10].astype(np.float64), len(r.samples), rng)
        for r in one.records
    ]
    vertical = [r.seed_id for r in one.records].index(one.pick.seed_id)
    level = float(np.std(_filtered(noises[vertical])))
    wanted = np.sqrt(max((peak / ratio) ** 2 - own**2, 0.0))
    if not wanted or not level:
        return None
    return [
        Record(r.seed_id, r.start_ns, r.sampling_rate_hz, r.samples + noise * (wanted / level))
        for r, noise in zip(one.records, noises, strict=True)
    ]


def _filtered(samples: NDArray[Any]) -> Samples:
    state = parse_filter(DEFAULT_FILTER).start()
    rows = np.tile(samples.astype(np.float64), (3, 1))
    state.prime(np.ones(3, dtype=bool), rows[:, 0])
    filtered: Samples = state.process(rows)[0]
    return filtered


def _surrogate(noise: Samples, n_samples: int, rng: np.random.Generator) -> Samples:
    """Noise of any length with the spectrum of a short stretch of it."""
    taper = np.hanning(len(noise))
    spectrum = np.abs(np.fft.rfft((noise - noise.mean()) * taper, n_samples))
    phases = rng.uniform(0.0, 2.0 * np.pi, len(spectrum))
    surrogate: Samples = np.fft.irfft(spectrum * np.exp(1j * phases), n_samples)
    return surrogate


if __name__ == "__main__":
    main()
