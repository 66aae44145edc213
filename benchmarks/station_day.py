"""A station-day, 3 x 100 Hz in STEIM2 miniSEED, from files to picks."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from benchmarks.data import record_trace, write_archive, write_short
from benchmarks.harness import Sizes, Table, elapsed_s, ready_model, run_tool, spread
from benchmarks.stages import timed_stages
from scperformer.cli.main import build_parser
from scperformer.cli.scan import read_request
from scperformer.cli.scan_session import Scan
from scperformer.networks.loading import LoadedModel

WANTED_S, WANTED_MB = 2.5, 600


class ScanError(RuntimeError):
    """A scan did not end well."""


def measure(sizes: Sizes) -> dict[str, Any]:
    """Scan it as a whole command, then in this process with the model ready."""
    trace, origin = record_trace()
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
        folder = Path(name)
        archive = write_archive(folder / "day", trace, sizes.day_h)
        short = write_short(folder / "short", trace)
        out = folder / "picks.csv"
        commands = _commands(archive, out, sizes)
        model = ready_model()
        scan_s(short, out, model)
        seconds, shares = [], []
        for _ in range(sizes.repeats):
            with timed_stages(files=True) as stages:
                seconds.append(scan_s(archive, out, model))
            shares.append(stages.shares(seconds[-1]))
        n_picks = len(out.read_text().splitlines()) - 1
        archive_mb = sum(path.stat().st_size for path in archive.iterdir()) / 2**20
    taken = spread(seconds)
    return {
        "data": origin,
        "hours": sizes.day_h,
        "archive_mb": round(archive_mb, 1),
        "picks": n_picks,
        "scan_s": taken.as_dict(),
        "seconds_a_station_day": round(taken.median * 24.0 / sizes.day_h, 3),
        "shares": {
            stage: round(spread([one[stage] for one in shares]).median, 4) for stage in shares[0]
        },
        "command": commands,
    }


def _commands(archive: Path, out: Path, sizes: Sizes) -> dict[str, Any] | None:
    if not sizes.commands:
        return None
    done = [run_tool("scan", archive, "-o", out) for _ in range(sizes.repeats)]
    return {
        "wall_s": spread([one.wall_s for one in done]).as_dict(),
        "cpu_s": spread([one.cpu_s for one in done]).as_dict(),
        "peak_mb": round(max(one.peak_mb for one in done)),
    }


def table(figures: dict[str, Any]) -> Table:
    whole = figures["scan_s"]["median"]
    rows = [
        (stage, f"{share * whole:.2f}", f"{share:.1%}")
        for stage, share in sorted(figures["shares"].items(), key=lambda item: -item[1])
    ]
    rows.append(("files to picks, start-up not counted", f"{whole:.2f}", "100.0%"))
    remarks = [f"{figures['seconds_a_station_day']} s a station-day (wanted: {WANTED_S:g})"]
    command = figures["command"]
    if command is not None:
        rows.append(("the whole command", f"{command['wall_s']['median']:.2f}", ""))
        remarks.append(f"peak memory of the command {command['peak_mb']} MB (wanted: {WANTED_MB})")
    return Table(
        f"Station-day: {figures['hours']:g} h of 3 x 100 Hz, {figures['archive_mb']} MB, "
        f"{figures['picks']} picks ({figures['data']})",
        ("stage", "s", "share"),
        tuple(rows),
        tuple(remarks),
    )


def scan_s(archive: Path, out: Path, model: LoadedModel) -> float:
    """Scan an archive into a file of picks; return the seconds that it took.

    Raises:
        ScanError: the exit status is not 0.
    """
    options = build_parser("scan").parse_args(["scan", str(archive), "-o", str(out)])
    request = read_request(options)
    told = io.StringIO()
    status: list[int] = []
    with redirect_stdout(told), redirect_stderr(told):
        seconds = elapsed_s(lambda: status.append(Scan(request, load=lambda: model).run()))
    if status != [0]:
        raise ScanError(f"scan of {archive}: exit status {status[0]}: {told.getvalue().strip()}")
    return seconds
