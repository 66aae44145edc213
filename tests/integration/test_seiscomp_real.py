"""The module inside a real SeisComP: documents, messaging, outages, restarts, association."""

from __future__ import annotations

import csv
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from scperformer.networks.registry import DEFAULT_MODEL, MODELS_VARIABLE, find_model
from scperformer.types import NS_PER_S, format_time, parse_time
from tests.seedlink_server import SeedLinkServer, start_of
from tests.seiscomp_system import System, stop, wait_until

pytest.importorskip("seiscomp.client", exc_type=ImportError)
pytestmark = [pytest.mark.seiscomp, pytest.mark.slow, pytest.mark.shared]

OUTAGE_S = float(os.environ.get("SCPERFORMER_OUTAGE_S", "6"))
WINDOW = ("2019-07-04T16:12:30", "2019-07-04T16:15:30")
RECORD_BYTES = 512


@pytest.fixture(scope="module")
def records(shared: Path) -> Path:
    return shared / "data" / "continuous" / "ridgecrest"


@pytest.fixture
def system(tmp_path: Path, records: Path) -> Iterator[System]:
    codes = {tuple(path.name.split(".")[:4]) for path in records.glob("*.D.*")}
    streams = sorted({(network, station, channel[:2]) for network, station, _, channel in codes})
    root = Path(os.environ["SEISCOMP_ROOT"])
    made = System(tmp_path, records / "stations.xml", streams, root)
    made.environment[MODELS_VARIABLE] = str(find_model(DEFAULT_MODEL).resolve().parent)
    yield made
    made.close()


@pytest.fixture
def data(system: System, records: Path) -> Path:
    """Three minutes around an event, all stations, in the order in which they would come."""
    path = system.folder / "data.mseed"
    files = [str(path) for path in sorted(records.glob("*.D.*"))]
    command = ["scmssort", "-u", "-E", "-t", "~".join(WINDOW), *files]
    with path.open("wb") as file:
        subprocess.run(command, env=system.environment, stdout=file, check=True)
    return path


def document_picks(text: str) -> dict[str, dict[str, str]]:
    """Picks of an SCML document by public id, with what a comparison needs."""
    root = etree.fromstring(text.encode())
    space = {"s": root.nsmap[None]}
    picks = {}
    for pick in root.iterfind(".//s:pick", space):
        texts = {
            c.findtext("s:id", None, space): c.findtext("s:text", None, space)
            for c in pick.iterfind("s:comment", space)
        }
        picks[pick.get("publicID")] = {
            "phase": pick.findtext("s:phaseHint", None, space),
            "uncertainty_s": pick.findtext("s:time/s:uncertainty", None, space),
            "onset": pick.findtext("s:onset", None, space),
            "polarity": pick.findtext("s:polarity", "", space),
            "probability": texts["probability"],
        }
    amplitudes = root.findall("s:EventParameters/s:amplitude", space)
    with_amplitude = sorted(a.findtext("s:pickID", None, space) for a in amplitudes)
    assert with_amplitude == only_p(picks)
    return picks


def only_p(names):
    """Public ids of the P picks, which come with an amplitude."""
    return sorted(name for name in names if "-P-" in name)


def pick_document(system: System, source: Path, *options: str) -> str:
    files = ("--inventory-db", str(system.inventory), "--config-db", str(system.config))
    source_options = ("--ep", "--playback", *files, "-I", f"file://{source}")
    return system.tool(*system.picker_command(*source_options, *options))


def scan(system: System, inputs: Sequence[Path]) -> dict[str, dict[str, str]]:
    out = system.folder / "scan.csv"
    names = [str(path) for path in inputs]
    system.tool(*system.picker_command("scan", *names, "--agency", "TEST", "--out", str(out)))
    with out.open() as file:
        return {row["public_id"]: row for row in csv.DictReader(file)}


def assert_same_picks(document: dict[str, dict[str, str]], rows: dict[str, dict[str, str]]) -> None:
    assert set(document) == set(rows)
    for public_id, pick in document.items():
        row = rows[public_id]
        assert (pick["phase"], pick["onset"]) == (row["phase"], row["onset"])
        assert pick["polarity"] == row["polarity"]
        assert float(pick["uncertainty_s"]) == pytest.approx(float(row["uncertainty_s"]), abs=1e-6)
        assert float(pick["probability"]) == pytest.approx(float(row["probability"]), abs=1.1e-4)


def test_a_document_holds_the_picks_of_scan(system, data):
    document = document_picks(pick_document(system, data, "-f"))
    assert len(document) > 20
    assert_same_picks(document, scan(system, [data]))


def test_a_file_out_of_order_is_refused_until_it_is_sorted_as_told(system, data):
    expected = document_picks(pick_document(system, data))
    raw = data.read_bytes()
    records = [raw[i : i + RECORD_BYTES] for i in range(0, len(raw), RECORD_BYTES)]
    path = system.folder / "by_channel.mseed"
    path.write_bytes(b"".join(sorted(records, key=lambda one: one[8:20])))
    files = ("--inventory-db", str(system.inventory), "--config-db", str(system.config))
    command = system.picker_command("--ep", "--playback", *files, "-I", f"file://{path}")
    done = subprocess.run(
        command, env=system.environment, cwd=system.folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    told = f"scmssort -u {path} > sorted.mseed"
    assert told in done.stderr
    system.tool("sh", "-c", told)
    assert document_picks(pick_document(system, system.folder / "sorted.mseed")) == expected


def test_quakeml_holds_the_same_picks(system, data):
    from obspy import read_events  # noqa: PLC0415

    path = system.folder / "picks.qml"
    path.write_text(pick_document(system, data, "--quakeml"))
    (event,) = read_events(str(path))
    times = sorted(pick.time.ns for pick in event.picks)
    document = document_picks(pick_document(system, data))
    stamps = sorted(name.rsplit("-", 2)[0] for name in document)
    assert [f"{t // NS_PER_S}" for t in times] == [
        f"{parse_time(f'{s[:8]}T{s[9:15]}') // NS_PER_S}" for s in stamps
    ]


def feed(process: subprocess.Popen[bytes], parts: Sequence[bytes], pause_s: float) -> None:
    assert process.stdin is not None
    for part in parts:
        process.stdin.write(part)
        process.stdin.flush()
        time.sleep(pause_s)


def in_parts(data: bytes, n: int) -> list[bytes]:
    size = -(-len(data) // n // RECORD_BYTES) * RECORD_BYTES
    return [data[i : i + size] for i in range(0, len(data), size)]


def live_options() -> tuple[str, ...]:
    return ("-v", "--console", "1", "--playback", "-I", "-")


def wait_for_log(system: System, name: str, text: str) -> None:
    wait_until(lambda: text in system.log_text(name), 120, f"{text!r} in {name}")


def test_an_outage_loses_and_doubles_nothing(system, data):
    expected = set(document_picks(pick_document(system, data)))
    system.make_database()
    master = system.start_master()
    subscriber = system.start_subscriber()
    picker = system.start(
        *system.picker_command(*live_options()), log="picker.log", stdin=subprocess.PIPE
    )
    wait_for_log(system, "picker.log", "Starting message thread")
    parts = in_parts(data.read_bytes(), 30)
    feed(picker, parts[:12], 0.2)
    # SeisComP's client sends again what the killed server had not acknowledged, which it does
    # within a second or 20 messages.
    time.sleep(3.0)
    master.send_signal(signal.SIGKILL)
    master.wait()
    feed(picker, parts[12:22], OUTAGE_S / 10)
    system.start_master()
    wait_for_log(system, "picker.log", "messaging is back")
    feed(picker, parts[22:], 0.2)
    picker.stdin.close()
    assert picker.wait(60) == 0
    wait_until(lambda: len(system.stored("Amplitude")) >= len(only_p(expected)), 20, "amplitudes")
    time.sleep(1.0)
    stop(subscriber)
    assert sorted(system.stored("Pick")) == sorted(expected)
    assert sorted(system.stored("Amplitude")) == [f"{name}.snr" for name in only_p(expected)]
    received = system.received("Pick")
    # The subscriber was away as well and may have come back after the picker.
    assert received
    assert len(received) == len(set(received))
    assert set(received) <= expected
    assert "picks wait" in system.log_text("picker.log")


def test_stop_and_start_again_within_five_seconds_and_without_doubles(system, data):
    expected = set(document_picks(pick_document(system, data)))
    system.make_database()
    system.start_master()
    subscriber = system.start_subscriber()
    parts = in_parts(data.read_bytes(), 30)
    first = system.start(
        *system.picker_command(*live_options()), log="first.log", stdin=subprocess.PIPE
    )
    wait_for_log(system, "first.log", "Starting message thread")
    feed(first, parts[:14], 0.2)
    begun_s = time.monotonic()
    first.send_signal(signal.SIGTERM)
    # SeisComP waits for its reader, which a pipe without an end would hold for ever.
    first.stdin.close()
    first.wait(10)
    assert time.monotonic() - begun_s < 5.0
    assert first.returncode == 0
    sent = set(system.stored("Pick"))
    assert sent
    assert sent < expected
    second = system.start(
        *system.picker_command("--playback", "-I", f"file://{data}"), log="second.log"
    )
    assert second.wait(120) == 0
    wait_until(lambda: len(system.stored("Amplitude")) >= len(only_p(expected)), 20, "amplitudes")
    stop(subscriber)
    assert sorted(system.stored("Pick")) == sorted(expected)
    for kind, wanted in (("Pick", expected), ("Amplitude", only_p(expected))):
        names = system.received(kind)
        assert len(names) == len(set(names)) == len(wanted)
    comments = system.received("Comment")
    assert len(comments) == 2 * len(expected)


class RepeatedStations(SeedLinkServer):
    """Puts the wishes of a station together: SeisComP names it again for every stream."""

    def _handshake(self, client):
        wishes = {}
        for wish in super()._handshake(client):
            own = wishes.setdefault(wish.station, wish)
            own.selectors += [s for s in wish.selectors if s not in own.selectors]
        return list(wishes.values())


def test_seedlink_in_real_time(system, data):
    """Records of now over SeedLink; the model is loaded while they come."""
    records = as_of_now(data.read_bytes())
    path = system.folder / "now.mseed"
    path.write_bytes(b"".join(records))
    system.make_database()
    system.start_master()
    with RepeatedStations(records, packets_a_second=len(records) / 10.0) as server:
        options = ("-v", "--console", "1", "-I", server.url, "--before", "3600", "--init-time", "0")
        picker = system.start(*system.picker_command(*options), log="picker.log")
        assert server.has_served_all.wait(120)
        time.sleep(3.0)
        assert stop(picker) < 5.0
    stored = set(system.stored("Pick"))
    document = document_picks(pick_document(system, path))
    # What comes last is decided by more data, or by the end of a file.
    last_ns = max(start_of(data) for data in records) - 10 * NS_PER_S
    assert stored <= set(document)
    settled = {name for name in document if f"{name[:15]}" < format_time(last_ns, "%Y%m%d.%H%M%S")}
    assert settled <= stored
    assert len(settled) > 10


def as_of_now(data: bytes) -> list[bytes]:
    """Records of 512 bytes with their times moved so that the last begins now."""
    records = [bytearray(data[i : i + RECORD_BYTES]) for i in range(0, len(data), RECORD_BYTES)]
    newest_ns = max(map(start_of, records))
    # Whole seconds leave the fractions in the headers as they are.
    shift_s = (time.time_ns() - newest_ns) // NS_PER_S
    for record in records:
        moved = datetime.fromtimestamp(start_of(record) // NS_PER_S + shift_s, UTC)
        day = moved.timetuple().tm_yday
        struct.pack_into(
            ">HHBBB", record, 20, moved.year, day, moved.hour, moved.minute, moved.second
        )
    return [bytes(record) for record in records]


@pytest.mark.parametrize(
    ("options", "status"),
    [(["--help"], 0), (["--dump-config"], 0), (["--ep", "--shift", "0"], 2)],
)
def test_what_needs_no_model_does_not_wait_for_tensorflow(system, options, status):
    files = ["--inventory-db", str(system.inventory), "--config-db", str(system.config), "-I", "-"]
    program = [sys.executable, "-X", "importtime", str(system.program), *options, *files]
    done = subprocess.run(
        program, env=system.environment, cwd=system.folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status
    assert "scperformer.seiscomp.streams" in done.stderr
    assert "tensorflow" not in done.stderr
    assert done.stderr.count("shift: got 0") == (status != 0)


def test_the_description_is_complete(system):
    if not (system.root / "etc" / "descriptions" / "scperformer.xml").is_file():
        pytest.skip("the module is not installed there")
    text = system.tool(*system.picker_command("--validate-schema-params"))
    missing, _, rest = text.partition("parameters of invalid type")
    assert "thresholds" not in missing
    assert "module scperformer" not in rest


def test_scautoloc_locates_three_of_the_four_catalogued_events(system, records):
    """The whole 80 minutes of 22 stations; the fourth wants S picks, docs/associators.md."""
    data = system.folder / "all.mseed"
    files = [str(path) for path in sorted(records.glob("*.D.*"))]
    with data.open("wb") as file:
        command = ["scmssort", "-u", "-E", *files]
        subprocess.run(command, env=system.environment, stdout=file, check=True)
    picks = system.folder / "picks.xml"
    picks.write_text(pick_document(system, data))
    (system.folder / "local" / "scautoloc.cfg").write_text(
        "autoloc.amplTypeAbs = snr\nautoloc.maxDepth = 50\n"
    )
    files = ("--inventory-db", str(system.inventory), "--config-db", str(system.config))
    origins = origin_times(system.tool("scautoloc", "--ep", str(picks), *files, "--playback"))
    with (records / "picks_automatic.csv").open() as file:
        catalogue = {parse_time(row["event_time"]) for row in csv.DictReader(file)}
    assert len(catalogue) == 4
    apart_ns = [min(abs(origin_ns - event_ns) for origin_ns in origins) for event_ns in catalogue]
    assert sum(apart < 3 * NS_PER_S for apart in apart_ns) >= 3


def origin_times(text: str) -> list[int]:
    root = etree.fromstring(text.encode())
    space = {"s": root.nsmap[None]}
    values = root.iterfind(".//s:origin/s:time/s:value", space)
    return [parse_time(value.text) for value in values]
