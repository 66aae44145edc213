"""The picks of fixed records by every way in, compared with those of another source tree.

A rewrite must not change an answer by accident: this scans and streams the records of
Ridgecrest (22 stations, 80 minutes), and plays them to the SeisComP module where SeisComP
is, with this tree and with another one (``git worktree add ../before COMMIT``) in turns,
and says which picks only one of them makes, how far the others' probabilities differ and
what processor time each took. It ends with 1 where picks differ.

    python -m benchmarks.fingerprint ../before [--repeats 1]

Needs the records in ../shared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import seiscomp
from benchmarks.harness import ROOT, Table, run

WANTED_DIFFERENCE = 2e-6
"""What a probability may differ by: 1e-6, and a last digit of those that are written."""

_MODULE = "module"


Key = tuple[str, ...]
"""Network, station, channel, phase and time, as written."""


@dataclass(slots=True)
class Taken:
    """What a tree answered by one way in, and the processor time of each run."""

    picks: dict[Key, float] = field(default_factory=dict)
    cpu_s: list[float] = field(default_factory=list)


def ways() -> list[str]:
    """Return the ways in that can be tried here."""
    return ["scan", "stream"] + ([_MODULE] if seiscomp.missing() is None else [])


def take(tree: Path, way: str, folder: Path, records: Path) -> tuple[float, dict[Key, float]]:
    """Run one way in of one tree; return seconds of processor time and each pick's probability."""
    if way == _MODULE:
        command = seiscomp.module_command(folder, tree)
        done = run([*command, f"file://{records}"], tree=tree)
        return done.cpu_s, _picks_of_scml(done.output)
    out = folder / "picks.jsonl"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "scperformer", way, str(records), "-o", str(out)]
    done = run(command, tree=tree)
    return done.cpu_s, _picks_of_lines(out.read_text())


def _picks_of_lines(text: str) -> dict[Key, float]:
    picks = map(json.loads, text.splitlines())
    return {
        (pick["network"], pick["station"], pick["channel"], pick["phase"], pick["time"]): pick[
            "probability"
        ]
        for pick in picks
    }


def _picks_of_scml(text: str) -> dict[Key, float]:
    picks = {}
    for pick in ElementTree.fromstring(text.encode()).iterfind(".//{*}pick"):
        stream = pick.find("{*}waveformID")
        texts = {
            comment.findtext("{*}id"): comment.findtext("{*}text")
            for comment in pick.iterfind("{*}comment")
        }
        assert stream is not None
        names = (stream.get(name, "") for name in ("networkCode", "stationCode", "channelCode"))
        key = (*names, pick.findtext("{*}phaseHint", ""), pick.findtext("{*}time/{*}value", ""))
        picks[key] = float(texts["probability"] or "nan")
    return picks


def compare(before: Taken, after: Taken) -> tuple[str, ...]:
    """Return a row: picks before, after, of one side alone; the largest difference; the cost."""
    both = before.picks.keys() & after.picks.keys()
    difference = max((abs(before.picks[key] - after.picks[key]) for key in both), default=0.0)
    ratio = statistics.median(b / a for a, b in zip(before.cpu_s, after.cpu_s, strict=True))
    return (
        str(len(before.picks)),
        str(len(after.picks)),
        str(len(before.picks.keys() ^ after.picks.keys())),
        f"{difference:.1e}",
        f"{statistics.median(before.cpu_s):.1f}",
        f"{ratio:.2f}",
    )


def same(before: Taken, after: Taken) -> bool:
    """Say whether both made the same picks at the same nanosecond, with the same probability."""
    if before.picks.keys() != after.picks.keys() or not before.picks:
        return False
    pairs = ((probability, after.picks[key]) for key, probability in before.picks.items())
    return all(abs(a - b) <= WANTED_DIFFERENCE for a, b in pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both trees in turns, print the table, end with 1 where picks differ."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fingerprint", description=__doc__.splitlines()[0]
    )
    parser.add_argument("before", type=Path, help="the source tree to compare with")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each (default: 1)")
    options = parser.parse_args(arguments)
    files = seiscomp.record_files()
    if not files:
        parser.error("no records: ../shared/data/continuous/ridgecrest is not there")
    trees = (options.before.resolve(), ROOT)
    rows = []
    is_same = True
    for way in ways():
        taken = (Taken(), Taken())
        with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
            folder = Path(name)
            records = seiscomp.write_records(folder)[0] if way == _MODULE else files[0].parent
            for _ in range(options.repeats):
                for tree, one in zip(trees, taken, strict=True):
                    cpu_s, one.picks = take(tree, way, folder, records)
                    one.cpu_s.append(cpu_s)
        rows.append((way, *compare(*taken)))
        is_same &= same(*taken)
    head = ("", "before", "after", "in one alone", "probability", "before, s", "ratio")
    title = f"Picks of the same records, {trees[0]} and this tree"
    remark = "the same picks" if is_same else "NOT the same picks"
    wanted = f"(wanted: none in one alone, probabilities to {WANTED_DIFFERENCE:g}; ratio of times)"
    print(Table(title, head, tuple(rows), (f"{remark} {wanted}",)), end="")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
