"""Files that mean harm: entities, archives that swell, sizes that lie, words beyond measure."""

import io
import json
import shlex
import tracemalloc
import zipfile
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from scperformer import hdf5, npz, trial
from scperformer.datasets.labels import read_labels
from scperformer.datasets.prediction_files import open_windows
from scperformer.datasets.window_file import WindowFile
from scperformer.delivery.delivery import Journal
from scperformer.delivery.outbox import Outbox
from scperformer.delivery.state import Positions
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, InputError, ManifestError, WeightsError
from scperformer.evaluation.network_support import read_positions
from scperformer.messaging.notifier import public_ids
from scperformer.networks.loading import load_weights_file
from scperformer.networks.manifest import parse_manifest
from scperformer.picks.columns import DAMAGED, pick_from_json, pick_to_json
from scperformer.picks.documents import read_xml
from scperformer.picks.pick_files import read_pick_file
from scperformer.training.config import TrainingConfig
from scperformer.waveforms import inputs
from tests.fuzz.samples import PICKS

LAUGHS = '<!DOCTYPE q [<!ENTITY a0 "ha">{}]>'.format(
    "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
)
STATION = (
    '{}<FDSNStationXML><Network code="XX"><Station code="A"><Latitude>{}</Latitude>'
    "<Longitude>{}</Longitude></Station></Network></FDSNStationXML>"
)
PICK = (
    '{}<quakeml><pick publicID="p"><phaseHint>P</phaseHint><time><value>2020-01-01T00:00:00'
    '</value></time><waveformID networkCode="XX" stationCode="A"/><comment><text>{}</text>'
    "</comment></pick></quakeml>"
)
NOTIFIER = '{}<seiscomp><notifier><Pick publicID="{}"/></notifier></seiscomp>'


@contextmanager
def memory_below(n_bytes):
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < n_bytes


class TestXml:
    @pytest.mark.parametrize("text", ["&a9;", "ha"])
    def test_entities_are_not_expanded(self, text, tmp_path):
        (tmp_path / "p.xml").write_text(PICK.format(LAUGHS, text))
        (tmp_path / "s.xml").write_text(STATION.format(LAUGHS, text, "1"))
        with memory_below(5_000_000):
            with pytest.raises(InputError, match=r"document type|entity"):
                read_pick_file(tmp_path / "p.xml")
            with pytest.raises(InputError, match=r"document type|entity"):
                read_positions(tmp_path / "s.xml")
            assert public_ids(NOTIFIER.format(LAUGHS, "x").encode()) == ()

    @pytest.mark.parametrize("kind", ["SYSTEM", 'PUBLIC "x"'])
    def test_other_files_are_not_opened(self, kind, tmp_path):
        secret = tmp_path / "secret"
        secret.write_text("12.5")
        doctype = f'<!DOCTYPE q [<!ENTITY x {kind} "file://{secret}">]>'
        (tmp_path / "s.xml").write_text(STATION.format(doctype, "&x;", "&x;"))
        with pytest.raises(InputError):
            read_positions(tmp_path / "s.xml")
        with pytest.raises(ValueError, match="document type"):
            read_xml(f'<!DOCTYPE q SYSTEM "file://{secret}"><q/>'.encode())

    def test_trees_without_end(self, tmp_path):
        (tmp_path / "p.xml").write_text("<a>" * 100_000)
        with pytest.raises(InputError, match="no XML"):
            read_pick_file(tmp_path / "p.xml")

    @pytest.mark.parametrize(("latitude", "longitude"), [("x", "1"), ("nan", "1"), ("91", "0")])
    def test_places_that_are_none(self, latitude, longitude, tmp_path):
        (tmp_path / "s.xml").write_text(STATION.format("", latitude, longitude))
        with pytest.raises(InputError, match=r"XX\.A is at latitude"):
            read_positions(tmp_path / "s.xml")

    def test_comments_and_instructions_between_picks(self, tmp_path):
        text = PICK.format("<?xml-stylesheet href='x'?><!-- a -->", "probability: <!-- b --> 0.75")
        (tmp_path / "p.xml").write_text(text)
        (pick,) = read_pick_file(tmp_path / "p.xml")
        assert (pick.seed_id.network, pick.probability) == ("XX", 0.75)


def npz_of(path, header_shape, data, dtype="<f4"):
    """Write an archive whose header says what it likes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": header_shape}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("windows.npy", header.getvalue() + data)
    return path


class TestNumpyArchives:
    def test_a_header_that_promises_more_than_there_is(self, tmp_path):
        path = npz_of(tmp_path / "x.npz", (10**12, 400, 3), b"\0" * 4800)
        with memory_below(5_000_000), pytest.raises(InputError, match="promises"):
            open_windows(path).__enter__()

    def test_one_that_swells_beyond_the_machine(self, tmp_path, monkeypatch):
        monkeypatch.setattr(npz.os, "sysconf", lambda name: 1000)
        path = npz_of(tmp_path / "x.npz", (500, 400, 3), bytes(500 * 4800))
        with memory_below(8_000_000), pytest.raises(InputError, match="this machine has"):
            open_windows(path).__enter__()

    def test_objects(self, tmp_path):
        np.savez(tmp_path / "x.npz", windows=np.array([{"a": 1}], dtype=object))
        with pytest.raises(InputError, match="cannot be read"):
            open_windows(tmp_path / "x.npz").__enter__()

    def test_a_sound_one(self, tmp_path):
        windows = np.random.default_rng(1).random((5, 400, 3), "f4")
        np.savez_compressed(tmp_path / "x.npz", other=np.zeros(2), windows=windows)
        with open_windows(tmp_path / "x.npz") as file:
            assert np.array_equal(np.concatenate(list(file.parts(2))), windows)


class TestHdf5:
    def test_labels_that_are_larger_than_their_file(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["X"] = np.zeros((2, 400, 3), "f4")
            file.create_dataset("Y", (10**11,), "i1")
        with memory_below(50_000_000), pytest.raises(InputError, match="claims 100000000000 bytes"):
            WindowFile.open(tmp_path / "x.h5")

    def test_chunks_that_no_memory_holds(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("X", (10**6, 400, 3), "f4", chunks=(10**5, 400, 3))
            file["Y"] = np.zeros(1)
        with pytest.raises(InputError, match="chunks of 480000000 bytes"):
            WindowFile.open(tmp_path / "x.h5")

    @pytest.mark.parametrize("what", ["weights", "windows", "labels"])
    def test_a_file_that_ends_the_process_that_reads_it(self, what, tmp_path, monkeypatch):
        path = tmp_path / "x.h5"
        with h5py.File(path, "w") as file:
            file["X"] = np.zeros((2, 400, 3), "f4")
        monkeypatch.setattr(trial, "fault", lambda *_: "reading it ended the process (SIGSEGV)")
        monkeypatch.setattr(h5py, "File", lambda *_, **__: pytest.fail("opened all the same"))
        read = {
            "weights": lambda: load_weights_file("performer", path),
            "windows": lambda: open_windows(path).__enter__(),
            "labels": lambda: WindowFile.open(path),
        }
        with pytest.raises((WeightsError, InputError), match="ended the process"):
            read[what]()

    def test_everything_is_tried(self, tmp_path):
        """A damaged item hides no other; scalars and attributes count as well."""
        seen = []

        class Spy(hdf5.suppress):
            def __exit__(self, kind, error, trace):
                seen.append(kind)
                return super().__exit__(kind, error, trace)

        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["a/b/c"] = np.zeros(3)
            file["d"] = "text"
            file["d"].attrs["e"] = 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hdf5, "suppress", Spy)
            hdf5.read_everything(tmp_path / "x.h5")
        assert len(seen) == 7  # a, d, b, c found; c and d read; e read


class TestJson:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("time_ns", 10**30),
            ("time_ns", 1e999),
            ("time_ns", None),
            ("probability", 1.5),
            ("probability", float("inf")),
            ("seed_id", ["XX", "A", "", 5]),
            ("seed_id", ["XX", "A", "\ud800", "HHZ"]),
            ("seed_id", "four"[:3]),
            ("model", ["x"]),
            ("n_components", float("nan")),
        ],
    )
    def test_values_that_are_no_picks(self, name, value):
        values = {**pick_to_json(PICKS[0]), name: value}
        with pytest.raises(DAMAGED):
            pick_from_json(values)

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"time_ns": 1e999}', "9" * 5000, 5, None])
    def test_a_store_with_damaged_values(self, text, tmp_path, caplog):
        store = Store(tmp_path)
        Journal(store).append(PICKS[:2])
        outbox = Outbox(store)
        n = outbox.append(PICKS, created_ns=0)
        with store.writing() as connection:
            connection.execute("UPDATE picks SET pick = ? WHERE serial = 2", (text,))
            connection.execute("UPDATE messages SET message = ? WHERE number = 1", (text,))
            connection.execute("INSERT INTO sensors VALUES ('XX', ?)", (text,))
        journal = Journal(store)
        assert journal.picks == {1: PICKS[0]}
        journal.append(PICKS[:1])
        assert list(Journal(store).picks) == [1, 3]
        assert any("1 damaged picks" in text for text in caplog.messages)
        positions = Positions(warm_up_ns=0)
        positions.load(store, now_ns=0)
        assert not positions.restored
        assert any("XX: no position of ours" in text for text in caplog.messages)
        # What was counted as waiting has to come out, or nothing ever would behind it.
        assert [entry.number for entry in outbox.waiting(1000)] == list(range(2, n + 1))
        outbox.delivered(n)
        assert len(outbox) == 0
        assert len((tmp_path / "rejected.jsonl").read_bytes().splitlines()) == 1
        store.close()

    @pytest.mark.parametrize(
        "line", ["[" * 100_000, '{"done": {"a": 1e999}}', '{"done": {"-": NaN}}', "9" * 5000]
    )
    def test_a_journal_of_version_01_with_damaged_lines(self, line, tmp_path, caplog):
        entry = json.dumps({"n": 1, "pick": pick_to_json(PICKS[0])})
        (tmp_path / "journal.jsonl").write_text(f"{entry}\n{line}\n")
        journal = Journal(Store(tmp_path))
        assert list(journal.picks.values()) == [PICKS[0]]
        assert any("1 damaged lines" in text for text in caplog.messages)

    @pytest.mark.parametrize("name", ["a\0b", "a\nb", "..", "a/b", ""])
    def test_a_card_with_a_name_that_is_none(self, name):
        text = json.dumps({"weights": {"file": name, "sha256": "0" * 64}})
        with pytest.raises(ManifestError, match=r"weights\.file"):
            parse_manifest(text, "card")


class TestTables:
    @pytest.mark.parametrize(
        "text",
        [
            b"network,station,phase,time\nXX,A,P\n",
            b"network,station,phase,time\nXX,A,\xff,2020\n",
            b"network,station,p_time\nXX,A," + b"1" * 200_000 + b"\n",
            b"network,station,p_time\nXX,A,0001-01-01T00:00+23:00\n",
            b"network,station,p_time\nXX,A,9999-12-31T23:00-23:00\n",
            b"\xff\xfe",
        ],
    )
    @pytest.mark.parametrize("read", [read_labels, read_pick_file])
    def test_rows_that_cannot_be_read(self, read, text, tmp_path):
        path = tmp_path / "picks.csv"
        path.write_bytes(text)
        with pytest.raises(InputError):
            read(path)

    @pytest.mark.parametrize("line", ["[" * 100_000, "9" * 5000, '{"network": 1e999}'])
    def test_json_lines(self, line, tmp_path):
        (tmp_path / "p.jsonl").write_text(line)
        with pytest.raises(InputError):
            read_pick_file(tmp_path / "p.jsonl")


@pytest.mark.parametrize(
    "text", ["a=" + "9" * 5000, "a=" + "[" * 100_000, "\0", "[labels]\nwidth_s=" + "9" * 400]
)
def test_configurations(text, tmp_path):
    (tmp_path / "train.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"train\.toml"):
        TrainingConfig.read(tmp_path / "train.toml")


class TestListFiles:
    @pytest.mark.parametrize(
        "line",
        ["a b", "  a\t\tb ", "a", "#a b", "a\\b c", "a;b|c (d)", "a\xa0b c", "a#b c", "$x `y`"],
    )
    def test_words_are_what_a_shell_makes_of_them(self, line, tmp_path):
        """The quick way for lines without quotes and the slow one agree."""
        lexer = shlex.shlex(line, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
        assert inputs._split(line) == list(lexer)

    def test_a_file_that_is_far_too_long_is_none(self, tmp_path, monkeypatch):
        monkeypatch.setattr(inputs, "LARGEST_BYTES", 100)
        (tmp_path / "list").write_text("a b c\n" * 16)
        assert len(inputs.list_lines(tmp_path / "list")) == 16
        (tmp_path / "list").write_text("a b c\n" * 17)
        assert inputs.list_lines(tmp_path / "list") is None
