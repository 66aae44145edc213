"""Our models beside PhaseNet and EQCCT on the labelled regions, in one table.

    python -m benchmarks.regions [--model-name NAME ...] [--only REGION,...] [--json FILE]

F1 at 0.5 s at each set's best threshold, P / S, by `scperformer evaluate` on each folder of
``../shared/data/labelled``; macro is the mean over the regions that all pickers have picks
for and that hold 25 labels of the phase. The picks of PhaseNet, EQCCT and of the mean of the
two are the maxima of their curves in ``../shared/data/teachers`` (0.05 and more, 1 s apart;
there are none for ncedc). A model that was trained on a region's records is not judged by
them: `benchmarks.left_out` trains without.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from benchmarks.harness import write_json
from scperformer.cli import main as scperformer
from scperformer.datasets.curves import CURVE_RATE_HZ, Curves, mean_opinion, read_curves
from scperformer.types import NS_PER_S, format_time

SHARED = Path(os.environ.get("SCPERFORMER_SHARED", Path(__file__).resolve().parents[2] / "shared"))
LABELLED, TEACHERS = SHARED / "data" / "labelled", SHARED / "data" / "teachers"
_LEAST, _APART_S, _FEWEST = 0.05, 1.0, 25
_PEERS = ("PhaseNet", "EQCCT", "mean of both")
_VOICES = ((0.6, 0.4), (0.5, 0.5))


def main(arguments: Sequence[str] | None = None) -> int:
    """Score and print the table."""
    options = _parser().parse_args(arguments)
    names = options.only.split(",") if options.only else sorted(f.name for f in LABELLED.iterdir())
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="scperformer-regions-") as scratch:
        for name in names:
            figures[name] = score(LABELLED / name, options.model_name, Path(scratch))
            print(_row(name, figures[name]), flush=True)
    print(_macro(figures))
    write_json(figures, options.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model-name", action="append", default=[], metavar="[NAME=]MODEL")
    parser.add_argument("--only", default="", metavar="REGION,...")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def score(folder: Path, models: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Return F1, precision, recall and threshold by picker and phase of a folder."""
    command = ["evaluate", str(folder), "--no-plots", "--draws", "0", "--cpu"]
    command += ["--out", str(scratch / folder.name)]
    for model in models:
        command += ["--model-name", model]
    curves = TEACHERS / f"{folder.name}.npz"
    if curves.is_file():
        for peer in _PEERS:
            path = scratch / f"{folder.name}-{peer.replace(' ', '-')}.csv"
            write_picks(path, read_curves(curves), peer)
            command += ["--picks", f"{peer}={path}"]
    if not models:
        command += ["--no-model"]
    if scperformer.main(command):
        raise RuntimeError(f"{folder}: could not be evaluated")
    report = json.loads((scratch / folder.name / "report.json").read_text())
    found: dict[str, Any] = {}
    for picker in report["pickers"]:
        for phase, scores in picker["scores"]["all"].items():
            best = scores["best"]
            keys = ("f1", "precision", "recall", "threshold", "labels")
            found.setdefault(picker["name"], {})[phase] = {key: best[key] for key in keys}
    return found


def write_picks(path: Path, curves: dict[str, list[Curves]], peer: str) -> None:
    """Write the maxima of a peer's curves as a table of picks."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "network", "station", "phase", "time", "probability"])
        for station, parts in curves.items():
            for part in parts:
                for phase, curve in zip("PS", _curve(part, peer), strict=True):
                    for time_ns, value in _maxima(curve, part.start_ns):
                        when = format_time(time_ns)
                        row = [f"{part.name}.mseed", *station.split("."), phase, when]
                        writer.writerow([*row, f"{value:.4f}"])


def _curve(part: Curves, peer: str) -> NDArray[np.float32]:
    if peer == _PEERS[2]:
        return mean_opinion(part.values, _VOICES)
    own = part.values[_PEERS.index(peer)] / np.float32(255.0)
    return np.asarray(gaussian_filter1d(own, 1.0, axis=-1), np.float32)


def _maxima(curve: NDArray[np.float32], start_ns: int) -> Iterator[tuple[int, float]]:
    places, _ = find_peaks(curve, height=_LEAST, distance=round(_APART_S * CURVE_RATE_HZ))
    for place in places:
        yield start_ns + round(place / CURVE_RATE_HZ * NS_PER_S), float(curve[place])


def _row(name: str, found: dict[str, Any]) -> str:
    cells = [f"{picker} {_pair(scores)}" for picker, scores in found.items()]
    return f"{name:14s} " + "   ".join(cells)


def _pair(scores: dict[str, Any]) -> str:
    return " / ".join(f"{scores[phase]['f1']:.3f}" for phase in "PS")


def _macro(figures: dict[str, Any]) -> str:
    pickers = list(dict.fromkeys(name for found in figures.values() for name in found))
    cells = []
    for picker in pickers:
        means = []
        for phase in "PS":
            values = [
                found[picker][phase]["f1"]
                for found in figures.values()
                if set(found) >= set(pickers) and found[picker][phase]["labels"] >= _FEWEST
            ]
            means.append(f"{np.mean(values):.3f}" if values else "-")
        cells.append(f"{picker} {' / '.join(means)}")
    return f"{'macro':14s} " + "   ".join(cells)


if __name__ == "__main__":
    raise SystemExit(main())
