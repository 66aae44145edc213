"""How much each part of the benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Amounts of data and numbers of repetitions; the defaults fit a coffee break.

    Attributes:
        repeats: runs of a command, or of a scan; the median counts.
        pairs: pairs of runs, ours and Keras's, for each network and batch size.
        windows: windows of one run, by network.
        batch_sizes: windows answered in one call.
        day_h: length of the archive that stands for a station-day.
        stations, station_h: archives of so many stations, each of that length.
        lengths_h: archives of one station of these lengths.
        commands: scan the archives by whole commands too, for their peak memory.
        live_stations, live_s: what the real-time benchmark feeds.
        product_windows: windows of one matrix product of the roofline.
        product_s: how long each product is repeated.
    """

    repeats: int = 3
    pairs: int = 7
    windows: tuple[tuple[str, int], ...] = (("performer", 8192), ("cnn", 2048), ("gpd", 1024))
    batch_sizes: tuple[int, ...] = (64, 512, 4096)
    day_h: float = 24.0
    stations: tuple[int, ...] = (1, 10, 30)
    station_h: float = 1.0
    lengths_h: tuple[float, ...] = (3.0, 10.0, 24.0)
    commands: bool = True
    live_stations: int = 500
    live_s: int = 30
    product_windows: int = 512
    product_s: float = 0.3


DEFAULT = Sizes()

FULL = Sizes(
    repeats=5,
    pairs=15,
    windows=(("performer", 32_768), ("cnn", 8192), ("gpd", 4096)),
    batch_sizes=(1, 64, 512, 1024, 4096),
    stations=(1, 10, 100),
    station_h=4.0,
    lengths_h=(24.0, 72.0, 240.0),
    live_stations=2000,
    live_s=60,
    product_s=1.0,
)

QUICK = Sizes(
    repeats=1,
    pairs=2,
    windows=(("performer", 64),),
    batch_sizes=(64,),
    day_h=0.05,
    stations=(1, 2),
    station_h=0.05,
    lengths_h=(0.05, 0.1),
    commands=False,
    live_stations=2,
    live_s=2,
    product_windows=64,
    product_s=0.002,
)
"""Looks whether everything runs; its figures mean nothing."""
