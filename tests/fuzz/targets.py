"""The readers that are tried: each is a function of bytes, with seeds and words of its format.

A target may raise any of `scperformer.errors`; any other exception, a log line with a
traceback, a crash, a hang, or an input that takes much memory is a failure.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scperformer import trial
from tests.fuzz import mutate
from tests.fuzz import tokens as words
from tests.fuzz.tokens import FRAME_END

SEEDS = Path(__file__).parent / "seeds"


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under trial.

    Attributes:
        name: also the folder of its seeds, unless `seeds` says otherwise.
        make: imports what is needed and returns the function of bytes.
        seeds: folder of its seeds.
        tokens: words of the format.
        own: damage that knows the format.
        timeout_s: for one input.
        memory_mib: what an input may take; libhdf5 believes some lengths for a moment.
    """

    name: str
    make: Callable[[], Callable[[bytes], None]]
    seeds: str = ""
    tokens: Sequence[bytes] = ()
    own: Sequence[mutate.Mutator] = ()
    timeout_s: float = 20.0
    memory_mib: int = 150

    def prepare(self) -> None:
        """Import what is needed."""
        trial.TIMEOUT_S = self.timeout_s / 4
        _made(self.make)

    def run(self, data: bytes) -> None:
        """Give it an input."""
        _made(self.make)(data)

    def input(self, seed: int, index: int) -> bytes:
        """Make the input of that number."""
        seeds = _seeds(self.seeds or self.name)
        return mutate.make_input(seeds, self.name, seed, index, tokens=self.tokens, own=self.own)


@cache
def _made(make: Callable[[], Callable[[bytes], None]]) -> Callable[[bytes], None]:
    return make()


@cache
def _seeds(name: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((SEEDS / name).iterdir()))


def _path(name: str, data: bytes) -> Path:
    path = Path(name)
    path.write_bytes(data)
    return path


def _of_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """Make a function of bytes from one of a file's path."""

    def run(data: bytes) -> None:
        read(_path(name, data))

    return run


# Waveforms


def _mseed_headers() -> Callable[[bytes], None]:
    from scperformer.waveforms.mseed_headers import record_length
    from scperformer.waveforms.mseed_scan import end_ns, scan_headers

    def run(data: bytes) -> None:
        record_length(data[:4096])
        for at_end in (True, False):
            scan = scan_headers(data, at_end=at_end)
            ends = scan.records["offset"] + scan.records["length"]
            assert scan.consumed <= len(data)
            assert (scan.records["offset"] >= 0).all()
            assert (ends <= len(data)).all()
            assert all(d.offset >= 0 and d.offset + d.length <= len(data) for d in scan.damages)
            end_ns(scan.records)

    return run


def _mseed_file() -> Callable[[bytes], None]:
    from scperformer.waveforms import mseed

    def run(data: bytes) -> None:
        path = _path("x.mseed", data)
        mseed.is_mseed(path)
        contents = mseed.look_into(path)
        wanted = [span.seed_id for span in contents.spans]
        blocks, _ = mseed.find_blocks(path, wanted)
        for block in blocks:
            for found in mseed.read_block(path, wanted, block)[0]:
                assert len(found.samples) == found.counts.sum()

    return run


def _mseed_record() -> Callable[[bytes], None]:
    from scperformer.waveforms.mseed_stream import decode_record

    def run(data: bytes) -> None:
        record = decode_record(data)
        assert record is None or (len(record.samples) and record.sampling_rate_hz > 0)

    return run


def _mseed_stream() -> Callable[[bytes], None]:
    from scperformer.errors import RecordError
    from scperformer.waveforms.mseed_stream import RecordStream, decode_record

    def run(data: bytes) -> None:
        stream = RecordStream()
        n_given = 0
        chunk = 1 + len(data) % 1000
        for at in range(0, len(data), chunk):
            for raw in stream.push(data[at : at + chunk]):
                n_given += len(raw)
                try:
                    decode_record(raw)
                except RecordError:
                    continue
        stream.finish()
        assert n_given + stream.n_skipped_bytes == len(data)

    return run


def _pipeline() -> Callable[[bytes], None]:
    from scperformer.errors import RecordError
    from scperformer.waveforms.mseed_stream import RecordStream, decode_record
    from tests.synthetic import make_pipeline

    def run(data: bytes) -> None:
        pipeline = make_pipeline()
        for raw in RecordStream().push(data):
            try:
                record = decode_record(raw)
            except RecordError:
                continue
            if record is not None:
                pipeline.feed(record)
        pipeline.flush()

    return run


def _archive() -> Callable[[bytes], None]:
    from scperformer.waveforms.archive import index_inputs

    def run(data: bytes) -> None:
        path = _path("archive.mseed", data)
        heard: list[object] = []
        for group in index_inputs([path]).groups:
            for record in group.records(report=heard.append):
                assert len(record.samples)

    return run


def _foreign() -> Callable[[bytes], None]:
    from scperformer.waveforms import foreign

    def run(data: bytes) -> None:
        path = _path("waveform.dat", data)
        spans = foreign.look_into(path)
        if spans:
            foreign.read_channels(path, [span.seed_id for span in spans])

    return run


def _list_file() -> Callable[[bytes], None]:
    from scperformer.waveforms.inputs import list_lines, names_existing_files

    def run(data: bytes) -> None:
        lines = list_lines(_path("list.txt", data))
        if lines is not None:
            names_existing_files(lines)

    return run


# Servers


def _seedlink() -> Callable[[bytes], None]:
    import logging
    import socket
    import threading
    from unittest import mock

    from scperformer.waveforms.problems import LimitedLog
    from scperformer.waveforms.seedlink import SeedLinkSource
    from scperformer.waveforms.seedlink_client import LinkError
    from scperformer.waveforms.selection import parse_stations

    stop = threading.Event()

    def run(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, mock.patch("socket.create_connection", return_value=ours):
            theirs.sendall(data[:60_000])
            theirs.shutdown(socket.SHUT_WR)
            source = SeedLinkSource(
                "slink://nowhere",
                parse_stations("XX.A,XX.B*,YY.*:HHZ"),
                start_ns=0,
                log=LimitedLog(logging.getLogger("fuzz")),
            )
            try:
                for record in source._connection(stop):
                    assert len(record.samples)
            except LinkError:
                pass

    return run


def _scmp_frames() -> Callable[[bytes], None]:
    from scperformer.messaging.scmp import Frame, parse_server_frame

    def run(data: bytes) -> None:
        Frame.decode(data)
        parse_server_frame(data)

    return run


def _publisher() -> Callable[[bytes], None]:
    from scperformer.delivery.outbox import Outbox
    from scperformer.errors import ScperformerError
    from scperformer.messaging.publisher import Labels, Publisher
    from tests.fuzz.samples import PICKS

    def run(data: bytes) -> None:
        outbox = Outbox()
        outbox.append(PICKS, created_ns=0)
        for _ in range(2):
            publisher = Publisher(outbox, Labels())
            publisher.open()
            try:
                for frame in data.split(FRAME_END):
                    publisher.receive(frame)
                    publisher.pump()
            except ScperformerError:
                publisher.lost()
            outbox.doubt(True)

    return run


def _notifier() -> Callable[[bytes], None]:
    from scperformer.messaging.notifier import public_ids

    def run(data: bytes) -> None:
        assert all(isinstance(public_id, str) for public_id in public_ids(data))

    return run


# XML, tables, configurations


def _station_xml() -> Callable[[bytes], None]:
    from scperformer.evaluation.network_support import read_positions

    return _of_file("stations.xml", read_positions)


def _pick_xml() -> Callable[[bytes], None]:
    from scperformer.picks.pick_files import read_pick_file

    return _of_file("picks.xml", read_pick_file)


def _pick_csv() -> Callable[[bytes], None]:
    from scperformer.datasets.labels import read_labels
    from scperformer.errors import InputError
    from scperformer.picks.pick_files import read_pick_file, record_files

    def run(data: bytes) -> None:
        path = _path("picks.csv", data)
        for read in (read_pick_file, record_files, read_labels):
            try:
                read(path)  # type: ignore[operator]
            except InputError:
                continue

    return run


def _pick_jsonl() -> Callable[[bytes], None]:
    from scperformer.picks.pick_files import read_pick_file

    return _of_file("picks.jsonl", read_pick_file)


def _toml() -> Callable[[bytes], None]:
    from scperformer.errors import ConfigurationError
    from scperformer.training.config import TrainingConfig
    from scperformer.training.streaming_config import StreamingConfig, is_streaming_config

    def run(data: bytes) -> None:
        path = _path("train.toml", data)
        is_streaming_config(path)
        for kind in (TrainingConfig, StreamingConfig):
            try:
                kind.read(path)
            except ConfigurationError:
                continue

    return run


def _words() -> Callable[[bytes], None]:
    from scperformer.cli.options import parse_time_option
    from scperformer.cli.stream_parts import parse_speed
    from scperformer.config import parse_threshold
    from scperformer.core.filters import parse_filter
    from scperformer.errors import ConfigurationError
    from scperformer.messaging.bus_link import Address
    from scperformer.networks.custom import parse_arguments
    from scperformer.waveforms.selection import parse_address, parse_stations

    readers = (
        parse_threshold,
        lambda text: parse_time_option("--start", text),
        parse_speed,
        parse_filter,
        Address.parse,
        parse_address,
        parse_stations,
        parse_arguments,
    )

    def run(data: bytes) -> None:
        text = data.decode(errors="surrogateescape")
        for read in readers:
            try:
                read(text)  # type: ignore[operator]
            except ConfigurationError:
                continue

    return run


# Models and windows


def _model_card() -> Callable[[bytes], None]:
    from scperformer.networks.manifest import check_weights_file, parse_manifest, read_manifest

    def run(data: bytes) -> None:
        folder = Path("model")
        folder.mkdir(exist_ok=True)
        (folder / "weights.h5").write_bytes(b"weights")
        _path("model/model.json", data)
        manifest = read_manifest(folder)
        parse_manifest(manifest.to_text(), "again")
        check_weights_file(manifest, folder)

    return run


def _weights() -> Callable[[bytes], None]:
    from scperformer.core.streaming_shape import StreamingShape
    from scperformer.errors import WeightsError
    from scperformer.networks.contract import WINDOW_NETWORKS
    from scperformer.networks.streaming import read_streaming
    from scperformer.networks.weights import read_weights, try_weights

    def run(data: bytes) -> None:
        path = _path("weights.h5", data)
        try_weights(path)
        for network in WINDOW_NETWORKS:
            try:
                read_weights(path, network)
            except WeightsError:
                continue
        read_streaming(path, StreamingShape(4, (1,), (1,), 0))

    return run


def _window_file() -> Callable[[bytes], None]:
    from scperformer.datasets.window_file import WindowFile

    def run(data: bytes) -> None:
        file = WindowFile.open(_path("windows.h5", data))
        try:
            assert file.counts.total() == len(file)
            assert file.chunk_windows
            for first in range(0, min(len(file), 4096), 64):
                file.read(first, first + 64)
        finally:
            file.windows.file.close()

    return run


def _windows(name: str) -> Callable[[], Callable[[bytes], None]]:
    def make() -> Callable[[bytes], None]:
        from scperformer.datasets.prediction_files import open_windows

        def run(data: bytes) -> None:
            with open_windows(_path(name, data)) as file:
                for n, _ in enumerate(file.parts(64)):
                    if n > 100:
                        break

        return run

    return make


def _seisbench() -> Callable[[bytes], None]:
    from scperformer.datasets.seisbench_files import SeisBenchData
    from scperformer.errors import RecordError

    def run(data: bytes) -> None:
        table, _, waveforms = data.partition(FRAME_END)
        folder = Path("seisbench")
        folder.mkdir(exist_ok=True)
        _path("seisbench/metadata.csv", table)
        _path("seisbench/waveforms.hdf5", waveforms)
        with SeisBenchData(folder) as files:
            for row in files.rows():
                try:
                    files.waveform(row)
                except RecordError:
                    continue

    return run


def _curves() -> Callable[[bytes], None]:
    from scperformer.datasets.curves import read_curves

    return _of_file("curves.npz", read_curves)


def _checkpoint() -> Callable[[bytes], None]:
    from scperformer.errors import InputError
    from scperformer.training.checkpoint import load
    from scperformer.training.window_training import read_reference

    def run(data: bytes) -> None:
        path = _path("checkpoint.npz", data)
        try:
            load(path)
        except InputError:
            read_reference(path, "answers")

    return run


# What a stream keeps


def _store() -> Callable[[bytes], None]:
    """A database and its last changes: what is lost is told, and the rest can be used."""
    from scperformer.delivery.store import FILE_NAME

    whole = _contents(_files({FILE_NAME: _seeds("store")[0]}))
    told = _Told("scperformer.delivery")

    def run(data: bytes) -> None:
        main, _, wal = data.partition(FRAME_END)
        told.n = 0
        found = _contents(_files({FILE_NAME: main, f"{FILE_NAME}-wal": wal}))
        assert told.n or wal or not main or found >= whole, (found, whole)

    return run


def _version_01() -> Callable[[bytes], None]:
    """Files of version 0.1."""

    def run(data: bytes) -> None:
        journal, cursor, positions, *_ = [*data.split(FRAME_END), b"", b""]
        _contents(
            _files({"journal.jsonl": journal, "cursor.json": cursor, "positions.json": positions})
        )

    return run


class _Told(logging.Handler):
    """Counts warnings and errors of a logger."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self.n = 0
        logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.n += 1


def _files(contents: Mapping[str, bytes]) -> Path:
    folder = Path("store")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in contents.items():
        if data:
            (folder / name).write_bytes(data)
    return folder


def _contents(folder: Path) -> tuple[int, int, int]:
    """Use a store in every way; return how many picks, positions and messages it had."""
    from scperformer.delivery.delivery import Journal
    from scperformer.delivery.outbox import Outbox
    from scperformer.delivery.state import Positions
    from scperformer.delivery.store import Store
    from scperformer.messaging import notifier
    from scperformer.picks.style import Style
    from tests.fuzz.samples import PICKS

    style = Style(created_ns=0)
    now_ns = 1_700_000_000_000_000_000
    with closing(Store(folder)) as store:
        journal, positions = Journal(store), Positions(warm_up_ns=60_000_000_000)
        n_picks = len(journal.picks)
        journal.append(PICKS)
        journal.prune(lambda serial, pick: pick.time_ns > 0)
        positions.load(store, now_ns=now_ns)
        positions.station_resume_ns()
        list(positions.channels())
        positions.save(store)
        outbox = Outbox(store)
        n_messages = len(outbox)
        entries = outbox.waiting(20)
        assert len(entries) == min(len(outbox), 20)
        for entry in entries:
            notifier.pick_message(entry.pick, style)
        if entries:
            outbox.delivered(entries[0].number)
        outbox.append(PICKS, created_ns=0)
        waiting = outbox.waiting(1 << 20)
        assert len(waiting) == len(outbox)
    with closing(Store(folder)) as store:
        assert Journal(store).picks.keys() == journal.picks.keys()
        assert [e.number for e in Outbox(store).waiting(1 << 20)] == [e.number for e in waiting]
        again = Positions(warm_up_ns=0)
        again.load(store, now_ns=now_ns)
        assert again.restored == positions.restored
    return n_picks, len(positions.restored), n_messages


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("mseed_headers", _mseed_headers, "mseed", own=mutate.MSEED),
        Target("mseed_file", _mseed_file, "mseed", own=mutate.MSEED),
        Target("mseed_record", _mseed_record, "mseed_record", own=mutate.MSEED),
        Target("mseed_stream", _mseed_stream, "mseed", own=mutate.MSEED),
        Target("pipeline", _pipeline, "mseed", own=mutate.MSEED),
        Target("archive", _archive, "mseed", own=mutate.MSEED),
        Target("foreign", _foreign),
        Target("list_file", _list_file, tokens=words.LIST),
        Target("seedlink", _seedlink, tokens=words.SEEDLINK),
        Target("scmp_frames", _scmp_frames, tokens=words.SCMP),
        Target("publisher", _publisher, tokens=words.SCMP),
        Target("notifier", _notifier, tokens=words.XML),
        Target("station_xml", _station_xml, tokens=words.XML),
        Target("pick_xml", _pick_xml, tokens=words.XML),
        Target("pick_csv", _pick_csv, tokens=words.CSV),
        Target("pick_jsonl", _pick_jsonl, tokens=words.JSON),
        Target("toml", _toml, tokens=words.TOML),
        Target("words", _words, tokens=words.WORDS),
        Target("model_card", _model_card, tokens=words.JSON),
        Target("weights", _weights, tokens=words.HDF5, memory_mib=1200),
        Target("window_file", _window_file, tokens=words.HDF5, memory_mib=1200),
        Target(
            "windows_h5", _windows("windows.h5"), "window_file", tokens=words.HDF5, memory_mib=1200
        ),
        Target("windows_npz", _windows("windows.npz"), tokens=words.ZIP),
        Target("seisbench", _seisbench, tokens=(*words.HDF5, *words.CSV), memory_mib=1200),
        Target("curves", _curves, tokens=words.ZIP),
        Target("checkpoint", _checkpoint, tokens=words.ZIP),
        Target("store", _store, tokens=(*words.SQLITE, *words.JSON)),
        Target("version_01", _version_01, tokens=(*words.JSON, FRAME_END)),
    )
}
