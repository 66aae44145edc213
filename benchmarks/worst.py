"""What goes wrong where: misses and false picks of an evaluation by kind, distance and noise.

    scperformer evaluate FOLDER -o EVALUATION
    python -m benchmarks.worst FOLDER EVALUATION [--picker streaming] [--list 50]

At the best threshold of the evaluation, each label that was not hit is of one kind: the same
phase was picked at the wrong time (0.5 to 2 s off), the other phase was picked there, the pick
lies below the threshold, or nothing was seen. Each false pick counts where its record has a
label of its phase: at a wrong time, on the other phase's label, before the first label, behind
the last one or between them. Distance is told by S - P, noise by the signal-to-noise ratio on
the vertical component (root mean square of 2 s behind P against 5 s before it, 2 to 20 Hz).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from obspy import UTCDateTime, read

from scperformer.picks.pick_files import read_pick_file
from scperformer.types import NS_PER_S

_TOLERANCE_S, _NEAR_S = 0.5, 2.0
_OTHER = {"P": "S", "S": "P"}
_SP_S = (0.0, 1.5, 3.0, 6.0, 12.0, np.inf)
_SNR = (0.0, 2.0, 4.0, 10.0, np.inf)


@dataclass(frozen=True, slots=True)
class Case:
    """A label or a false pick and what became of it.

    Attributes:
        file: of the record.
        phase: P or S.
        kind: hit, or what went wrong.
        probability: of the pick, 0 if there is none.
        time_ns: of the label or of the false pick.
        sp_s: S minus P, NaN where one of them is not labelled.
        snr: of P on the vertical component, NaN where it cannot be told.
        n_components: of the record.
    """

    file: str
    phase: str
    kind: str
    probability: float
    time_ns: int
    sp_s: float
    snr: float
    n_components: int


Times = dict[str, dict[str, int]]
Picks = dict[str, list[tuple[str, int, float]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--picker", default="streaming")
    parser.add_argument("--list", type=int, default=0, metavar="N", help="print the N worst")
    options = parser.parse_args(arguments)
    report = json.loads((options.evaluation / "report.json").read_text())
    labels = _labels(options.folder / "picks.csv")
    picks = _picks(options.evaluation / f"picks_{options.picker}.csv")
    about = {file: _about(options.folder / file, times) for file, times in labels.items()}
    for phase in "PS":
        threshold = _threshold(report, options.picker, phase)
        cases = [
            Case(file, phase, *case, *about[file])
            for file, times in labels.items()
            if phase in times
            for case in _cases(times, picks.get(file, []), phase, threshold)
        ]
        _print(phase, threshold, cases, options.list)
    return 0


def _labels(path: Path) -> Times:
    found: Times = {}
    for pick in read_pick_file(path):
        found.setdefault(pick.file, {})[pick.phase] = pick.time_ns
    return found


def _picks(path: Path) -> Picks:
    found: Picks = {}
    for pick in read_pick_file(path):
        found.setdefault(pick.file, []).append((pick.phase, pick.time_ns, pick.probability))
    return found


def _threshold(report: dict, picker: str, phase: str) -> float:
    for entry in report["pickers"]:
        if entry["name"] == picker:
            return float(entry["scores"]["all"][phase]["best"]["threshold"])
    raise ValueError(f"the evaluation has no picker {picker!r}")


def _about(path: Path, times: dict[str, int]) -> tuple[float, float, int]:
    """Return S - P in seconds, the signal-to-noise ratio and the number of components."""
    sp_s = (times["S"] - times["P"]) / NS_PER_S if len(times) == 2 else np.nan
    stream = read(str(path))
    live = [trace for trace in stream if np.ptp(trace.data) > 0]
    verticals = [trace for trace in live if trace.stats.channel[-1:] == "Z"] or live
    if not verticals or "P" not in times:
        return sp_s, np.nan, len(live)
    trace = verticals[0].copy().detrend("demean")
    trace.data = trace.data.astype(float)
    trace.filter("bandpass", freqmin=2.0, freqmax=min(20.0, 0.45 * trace.stats.sampling_rate))
    onset = UTCDateTime(ns=times["P"])
    noise = trace.slice(onset - 5.5, onset - 0.5).data
    signal = trace.slice(onset, onset + 2.0).data
    if len(noise) < 50 or len(signal) < 50:
        return sp_s, np.nan, len(live)
    return sp_s, float(signal.std() / max(noise.std(), 1e-12)), len(live)


def _cases(
    times: dict[str, int], picks: Sequence[tuple[str, int, float]], phase: str, threshold: float
) -> Iterator[tuple[str, float, int]]:
    label = times[phase]
    own = sorted((abs(t - label) / NS_PER_S, p, t) for ph, t, p in picks if ph == phase)
    taken = next((c for c in own if c[0] <= _TOLERANCE_S and c[1] >= threshold), None)
    if taken:
        yield "hit", taken[1], label
    else:
        yield (*_miss(own, picks, phase, label, threshold), label)
    for off_s, probability, time_ns in own:
        if probability >= threshold and (off_s, probability, time_ns) != taken:
            yield _false(times, phase, off_s, time_ns), probability, time_ns


def _miss(
    own: Sequence[tuple[float, float, int]],
    picks: Sequence[tuple[str, int, float]],
    phase: str,
    label: int,
    threshold: float,
) -> tuple[str, float]:
    near = [c for c in own if c[0] <= _NEAR_S and c[1] >= threshold]
    if near:
        return "missed: wrong time", near[0][1]
    for other, time_ns, probability in picks:
        if other == _OTHER[phase] and abs(time_ns - label) <= _TOLERANCE_S * NS_PER_S:
            return "missed: called " + other, probability
    low = [c[1] for c in own if c[0] <= _TOLERANCE_S]
    return ("missed: below threshold", max(low)) if low else ("missed: not seen", 0.0)


def _false(times: dict[str, int], phase: str, off_s: float, time_ns: int) -> str:
    other = times.get(_OTHER[phase])
    if other is not None and abs(time_ns - other) <= _TOLERANCE_S * NS_PER_S:
        return f"false: on {_OTHER[phase]}"
    if off_s <= _NEAR_S:
        return "false: wrong time"
    if time_ns < min(times.values()):
        return "false: before"
    return "false: behind" if time_ns > max(times.values()) else "false: between"


def _print(phase: str, threshold: float, cases: Sequence[Case], n_listed: int) -> None:
    labels = [c for c in cases if not c.kind.startswith("false")]
    print(f"\n{phase}, threshold {threshold:.2f}: {len(labels)} labels")
    for kind, n in Counter(c.kind for c in cases).most_common():
        print(f"  {kind:26s} {n:5d}")
    _by("S - P (s)", _SP_S, [(c.sp_s, c) for c in cases])
    _by("SNR of P", _SNR, [(c.snr, c) for c in cases])
    _by("components", (1, 2, 3, np.inf), [(c.n_components, c) for c in cases])
    wrong = [c for c in cases if c.kind != "hit"]
    # The surest errors first: misses of what was clear, false picks that were sure.
    wrong.sort(key=lambda c: -c.probability if c.kind.startswith("false") else -_surety(c))
    for case in wrong[:n_listed]:
        at = UTCDateTime(ns=case.time_ns)
        print(
            f"  {case.kind:26s} {case.file:44s} {at} p {case.probability:.2f} "
            f"S-P {case.sp_s:5.1f} SNR {case.snr:6.1f} components {case.n_components}"
        )


def _surety(case: Case) -> float:
    return 0.0 if np.isnan(case.snr) else case.snr / (case.snr + 2.0)


def _by(title: str, edges: Sequence[float], valued: Sequence[tuple[float, Case]]) -> None:
    print(f"  {title:14s} labels  found  false")
    for low, high in itertools.pairwise(edges):
        inside = [c for value, c in valued if low <= value < high]
        n_false = sum(c.kind.startswith("false") for c in inside)
        n_hit = sum(c.kind == "hit" for c in inside)
        n = len(inside) - n_false
        if n:
            print(f"  {low:5g} - {high:5g}   {n:6d}  {n_hit / n:5.2f}  {n_false / n:5.2f}")


if __name__ == "__main__":
    raise SystemExit(main())
