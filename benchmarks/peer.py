"""What does a scan cost beside SeisBench's PhaseNet?

    python -m benchmarks.peer --python /path/to/venv/bin/python [--records FOLDER]
        [--repeats 3] [--json FILE]

``--python`` is an interpreter that has SeisBench and PyTorch. Both pickers read the same files
and pick them, in turns, each in a process of its own; imports and loading the models do not
count. PhaseNet (`PhaseNet.classify`, its own window step and stacking, batches of 256) has
random weights, which cost what trained ones do, and thresholds that nothing reaches, so that it
has no picks to make: what it costs here is the least that it can cost.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, shared_folder, spread, write_json

_COUNT = """
import json, os, resource, sys, time
def used():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime
def tell(work):
    wall_s, cpu_s = time.perf_counter(), used()
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.perf_counter() - wall_s, used() - cpu_s, peak]))
"""

_OURS = (
    _COUNT
    + """
import tempfile
from pathlib import Path
from benchmarks.station_day import scan_s
from scperformer.allocation import keep_freed_memory
from scperformer.networks.loading import load_folder
keep_freed_memory()  # as the command does
model = load_folder(sys.argv[2], warm_up=True)
with tempfile.TemporaryDirectory() as folder:
    tell(lambda: scan_s(Path(sys.argv[1]), Path(folder) / "picks.csv", model))
"""
)

_THEIRS = (
    _COUNT
    + """
from pathlib import Path
import obspy
import seisbench.models
model = seisbench.models.PhaseNet(phases="PSN", norm="peak")
def work():
    files = Path(sys.argv[1]).glob("*.D.*")
    for station in sorted({path.name.rsplit("..", 1)[0] for path in files}):
        stream = obspy.Stream()
        for path in Path(sys.argv[1]).glob(f"{station}.*.D.*"):
            stream += obspy.read(str(path))
        model.classify(stream, P_threshold=0.99, S_threshold=0.99, batch_size=256)
tell(work)
"""
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True, metavar="FILE")
    parser.add_argument("--records", type=Path, metavar="FOLDER")
    parser.add_argument("--model-name", default="streaming", metavar="NAME")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    shared = shared_folder()
    records = options.records or (shared and shared / "data" / "continuous" / "ridgecrest")
    if records is None:
        raise SystemExit("no ../shared; give --records")
    ours, theirs = [], []
    for _ in range(options.repeats):
        ours.append(_run(sys.executable, _OURS, str(records), options.model_name))
        theirs.append(_run(options.python, _THEIRS, str(records)))
        print(f"ours {ours[-1]}   PhaseNet {theirs[-1]}", flush=True)
    figures: dict[str, Any] = {}
    for number, name in enumerate(("wall_s", "cpu_s", "peak_mb")):
        own, other = ([round(one[number], 3) for one in runs] for runs in (ours, theirs))
        ratio = spread(own).median / spread(other).median
        figures[name] = {"ours": own, "theirs": other, "ratio": round(ratio, 3)}
        print(f"{name}: ours {own}, PhaseNet {other}, ratio of medians {ratio:.3f}")
    write_json(figures, options.json)
    return 0


def _run(python: str, program: str, *words: str) -> list[float]:
    command = [python, "-c", program, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{python}: {done.stderr[-2000:]}")
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
