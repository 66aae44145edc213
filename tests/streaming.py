"""What the tests of `scperformer stream` share."""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from scperformer.cli import stream, stream_session
from scperformer.core.triggers import Thresholds
from scperformer.networks.loading import LoadedModel
from scperformer.types import Classifier, Pick, Record
from scperformer.waveforms.feed import Feed
from scperformer.waveforms.mseed_stream import decode_record
from tests.fakes import RiseClassifier
from tests.seedlink_server import SeedLinkServer, pack
from tests.synthetic import START_NS, earthquakes, make_pipeline, pick_all, records

LONG_AGO = "2020-01-01"


def network(n_s: int = 140, *, start_ns: int = START_NS) -> list[bytes]:
    """Packets of two stations with earthquakes, in the order of time."""
    events = {"A": [40.0, 90.0, 150.0, 200.0, 260.0], "B": [20.0, 70.0, 120.0, 230.0]}
    found = []
    for seed, (station, times) in enumerate(events.items()):
        waveform = earthquakes(n_s * 100, [t for t in times if t < n_s - 20], seed=seed)
        found += records(waveform, station=station, start_ns=start_ns)
    return pack(found)


def plain_picks(packets: Sequence[bytes]) -> list[Pick]:
    """What the pipeline makes of packets in their order, without any stream around it."""
    return pick_all(make_pipeline(), [r for p in packets if (r := decode_record(p)) is not None])


def ids(picks: Sequence[Pick]) -> list[str]:
    return sorted(pick.public_id for pick in picks)


def ids_in(path: Path) -> list[str]:
    """Public ids in a file of JSON lines, sorted; those that stand there twice come twice."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(json.loads(line)["public_id"] for line in lines)


def options_of(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    stream.add_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


class WatchedFeed(Feed):
    """Knows for how long nothing has come, and how much has."""

    n_idle = 0
    n_records = 0

    def __iter__(self) -> Iterator[Record | None]:
        type(self).n_idle = type(self).n_records = 0
        for record in super().__iter__():
            type(self).n_idle = self.n_idle + 1 if record is None else 0
            type(self).n_records = self.n_records + (record is not None)
            yield record


def run_stream(
    *arguments: object,
    until: Callable[[], bool] = lambda: False,
    at_most_s: float = 30.0,
    classifier: Classifier | None = None,
) -> int:
    """Run the subcommand with the tests' classifier, or another.

    It is stopped when `until` is true and nothing has come for the better part of a second.
    """
    running = stream_session.Stream(options_of(*arguments))
    WatchedFeed.n_idle = 0
    deadline_s = time.monotonic() + at_most_s
    done = threading.Event()

    def watch() -> None:
        while not done.is_set() and time.monotonic() < deadline_s:
            if until() and WatchedFeed.n_idle >= 3:
                break
            done.wait(0.05)
        running.stop.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stream_session, "Feed", WatchedFeed)
            model = LoadedModel(classifier or RiseClassifier(), Thresholds.constant(0.5, 0.5))
            return running.run(lambda: model)
    finally:
        done.set()
        watcher.join()
        assert time.monotonic() < deadline_s, "the stream did not come to its end in time"


def stream_from(
    server: SeedLinkServer,
    path: Path,
    *more: object,
    stations: str = "XX.*",
    until: Callable[[], bool] | None = None,
    classifier: Classifier | None = None,
) -> int:
    """Run it on all that a server has, until `until`, or that is served."""
    return run_stream(
        server.url,
        *("--stations", stations, "--start", LONG_AGO, "-o", path),
        *more,
        until=until or server.has_served_all.is_set,
        classifier=classifier,
    )
