"""What `scperformer demo` does: a real record through the Python door, drawn."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from scperformer.cli.loading import load_model
from scperformer.door.drawing import draw
from scperformer.door.picker import Picker
from scperformer.door.picks import Picks
from scperformer.door.views import View
from scperformer.errors import OutputError
from scperformer.picks.plots import save_figure
from scperformer.types import NS_PER_S, format_time

_SUFFIXES = (".txt", ".csv", ".scml", ".qml")


def run_demo(options: argparse.Namespace) -> int:
    """Pick obspy's example, a local earthquake in Bavaria; return the exit status."""
    import obspy  # noqa: PLC0415 - slow to import

    picker = Picker(load_model(options), {})
    stream = obspy.read()  # BW.RJOB, 2009-08-24
    picks = picker.classify(stream)
    (view,) = picker.look(stream)
    written = _write(options.out, picks)
    plot = options.out / "picks.png"
    save_figure(draw(picker, [view]), plot)
    _tell(view, picks, [*written, plot])
    return 0


def _write(folder: Path, picks: Picks) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--out: the folder {folder} cannot be made ({error.strerror}); name another one"
        ) from error
    paths = [folder / f"picks{suffix}" for suffix in _SUFFIXES]
    for path in paths:
        picks.write(path)
    return paths


def _tell(view: View, picks: Picks, paths: Sequence[Path]) -> None:
    start_ns = view.moment.start_ns
    print(
        f"{view.sensor_id}: {(view.end_ns - start_ns) / NS_PER_S:.0f} s "
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
