"""Files of picks that grow: complete at every moment, or not there at all."""

import json

import pytest
from lxml import etree

from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks import growing
from scperformer.picks.growing import GrowingFile, open_growing
from scperformer.picks.pick_files import read_pick_file
from scperformer.types import Phase, Pick, SeedId

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
