"""Files of picks that grow: complete at every moment, or not there at all."""

import json
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks import growing
from scperformer.picks.growing import GrowingDays, GrowingFile, open_growing
from scperformer.picks.pick_files import read_pick_file
from scperformer.picks.style import Style
from scperformer.types import Phase, Pick, SeedId
from tests.profiles import examples

PICKS = [
    Pick(1_700_000_000_000_000_000 + i * 10**9, Phase.P, SeedId("XX", "A", "", "HHZ"), 0.5)
    for i in range(5)
]


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".scml", ".qml"])
def test_after_each_write_a_whole_file_is_there(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(growing, "_COST_SHARE", 1e9)
    path = tmp_path / f"p{suffix}"
    with GrowingFile(path) as output:
        for n, pick in enumerate(PICKS, start=1):
            output.write([pick])
            assert [p.public_id for p in read_pick_file(path)] == [p.public_id for p in PICKS[:n]]
    assert [p.time_ns for p in read_pick_file(path)] == [p.time_ns for p in PICKS]
    assert leftovers(tmp_path) == []


def test_a_large_document_is_not_copied_for_every_pick(tmp_path, monkeypatch):
    copies = []
    plain = growing._Document._copy
    monkeypatch.setattr(growing._Document, "_copy", lambda self: (copies.append(1), plain(self))[1])
    monkeypatch.setattr(growing, "_COST_SHARE", 1e-9)
    with GrowingFile(tmp_path / "p.scml") as output:
        for pick in PICKS:
            output.write([pick])
        assert len(copies) == 1
    assert len(etree.parse(tmp_path / "p.scml").findall(".//{*}pick")) == len(PICKS)


@pytest.mark.parametrize("suffix", [".csv", ".scml"])
def test_what_nobody_wrote_to_is_no_file_and_an_older_one_stays(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    path.write_text("older")
    GrowingFile(path).close()
    assert path.read_text() == "older"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".scml", ".qml"])
def test_no_pick_makes_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    with GrowingFile(path) as output:
        output.write([])
    assert read_pick_file(path) == []


def test_what_was_written_before_an_error_stays(tmp_path):
    path = tmp_path / "p.jsonl"

    def fail():
        with GrowingFile(path) as output:
            output.write(PICKS[:2])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2
    assert leftovers(tmp_path) == []


def test_closed_is_closed(tmp_path):
    output = GrowingFile(tmp_path / "p.csv")
    output.write(PICKS)
    output.close()
    output.close()
    with pytest.raises(OutputError, match="closed"):
        output.write(PICKS)


def test_unknown_suffixes_and_folders_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"unknown suffix '.doc'; wanted one of .txt"):
        open_growing(tmp_path / "p.doc")
    with pytest.raises(OutputError, match="make the folder"):
        open_growing(tmp_path / "no" / "p.csv")


DAY_NS = 86_400 * 10**9
OF_DAYS = [
    Pick(PICKS[0].time_ns + n // 2 * DAY_NS, Phase.P, SeedId("XX", f"S{n}", "", "HHZ"), 0.5)
    for n in range(6)
]
STYLE = Style(created_ns=0)


class TestDays:
    def documents(self, folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    @pytest.mark.parametrize("suffix", [".scml", ".xml", ".qml", ".quakeml"])
    @examples(20)
    @given(cuts=st.sets(st.integers(0, 6)))
    def test_portions_do_not_matter_and_each_day_is_the_file_of_its_picks(self, suffix, cuts):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / f"p{suffix}"
            with GrowingDays(folder, STYLE) as output:
                for begin, end in pairwise([0, *sorted(cuts), 6]):
                    output.write(OF_DAYS[begin:end])
            found = self.documents(folder)
            assert [name[:10] for name in found] == ["2023-11-14", "2023-11-15", "2023-11-16"]
            for number, data in enumerate(found.values()):
                alone = Path(name) / f"alone{suffix}"
                with GrowingFile(alone, STYLE) as one:
                    one.write(OF_DAYS[2 * number : 2 * number + 2])
                assert alone.read_bytes() == data
            ids = [pick.public_id for pick in read_pick_file(folder)]
            assert ids == [pick.public_id for pick in OF_DAYS]

    def test_every_document_is_complete_at_every_moment(self, tmp_path, monkeypatch):
        monkeypatch.setattr(growing, "_COST_SHARE", 1e9)
        output = GrowingDays(tmp_path / "p.scml")
        for n, pick in enumerate(OF_DAYS, start=1):
            output.write([pick])
            ids = [p.public_id for p in read_pick_file(tmp_path / "p.scml")]
            assert ids == [p.public_id for p in OF_DAYS[:n]]
        output.close()

    def test_a_day_that_is_done_takes_no_more(self, tmp_path):
        output = GrowingDays(tmp_path / "p.scml")
        output.write(OF_DAYS)
        with pytest.raises(OutputError, match="2023-11-14 come behind those of 2023-11-16"):
            output.write(OF_DAYS[:1])
        output.close()
        with pytest.raises(OutputError, match="closed"):
            output.write(OF_DAYS[-1:])

    def test_days_that_are_there_are_refused_or_go_with_the_first_picks(self, tmp_path):
        folder = tmp_path / "p.scml"
        with GrowingDays(folder, STYLE) as output:
            output.write(OF_DAYS)
        (folder / ".2023-11-14.scml.0123abcd.part").write_bytes(b"of a scan that was killed")
        (folder / "2023-11-14T11.scml").write_bytes(b"a stream's")
        whole = self.documents(folder)
        with pytest.raises(OutputError, match="has picks already"):
            GrowingDays(folder)
        open_growing(folder, STYLE, again=True, roll="day").close()
        assert self.documents(folder).keys() == whole.keys() - {".2023-11-14.scml.0123abcd.part"}
        with open_growing(folder, STYLE, again=True, roll="day") as output:
            output.write(OF_DAYS[4:])
        assert list(self.documents(folder)) == ["2023-11-14T11.scml", "2023-11-16.scml"]
        assert (folder / "2023-11-16.scml").read_bytes() == whole["2023-11-16.scml"]

    def test_a_file_of_that_name_is_no_folder(self, tmp_path):
        (tmp_path / "p.scml").write_bytes(b"a document")
        with pytest.raises(OutputError, match="documents roll in a folder of that name"):
            GrowingDays(tmp_path / "p.scml")


def test_what_a_killed_scan_left_goes_when_it_goes_on(tmp_path):
    for name in (".p.scml.0123abcd.part", ".other.scml.0123abcd.part"):
        (tmp_path / name).write_bytes(b"")
    open_growing(tmp_path / "p.scml", again=True).close()
    assert leftovers(tmp_path) == [".other.scml.0123abcd.part"]
