"""Picks as the door hands them out."""

import io
import sys
from dataclasses import replace

import obspy
import pytest

from scperformer.door.picks import Picks
from scperformer.errors import ConfigurationError
from scperformer.notebook import MOST_ROWS
from scperformer.picks.pick_files import read_pick_file
from scperformer.picks.style import Style
from scperformer.types import Phase
from tests.picks import PICK

LATER = replace(PICK, time_ns=PICK.time_ns + 2_000_000_123, phase=Phase.S, polarity=None)
PICKS = Picks([PICK, LATER], style=Style(agency="AB", author="me"), problems=["one"])


def test_it_is_a_sequence():
    assert len(PICKS) == 2
    assert PICKS[0] is PICK
    assert list(PICKS[1:]) == [LATER]
    assert PICKS[1:].problems == ("one",)
    assert PICK in PICKS
    assert not Picks()


def test_it_says_what_it_has():
    assert repr(PICKS) == (
        "<Picks: 1 P, 1 S, 2021-04-01T12:35:55.660000Z to 2021-04-01T12:35:57.660000Z>"
    )
    assert str(PICKS).splitlines()[0] == (
        "P 2021-04-01T12:35:55.660000Z +-0.02 s IM.NYSH.00.EHZ 1.000"
    )
    assert (repr(Picks()), str(Picks())) == ("<Picks: none>", "no picks")


def test_tables_of_notebooks():
    table = PICKS._repr_html_()
    assert table.count("<tr>") == 3
    for text in ("2021-04-01 12:35:55.660", "IM.NYSH.00.EHZ", "impulsive", "negative", "17.2"):
        assert text in table
    assert PICK._repr_html_().count("<tr>") == 2
    strange = replace(
        PICK, seed_id=replace(PICK.seed_id, station="<b>"), uncertainty_s=float("nan")
    )
    assert "&lt;b&gt;" in strange._repr_html_()
    assert "nan" not in strange._repr_html_()


def test_long_tables_are_cut_in_their_middle():
    table = Picks([PICK] * 1000)._repr_html_()
    assert table.count("<tr>") == MOST_ROWS + 2
    assert f"{1000 - MOST_ROWS} more" in table


def test_data_frames_keep_all_digits():
    pandas = pytest.importorskip("pandas")
    frame = PICKS.to_dataframe()
    assert frame["time"].astype("int64").tolist() == [PICK.time_ns, LATER.time_ns]
    assert str(frame["time"].dt.tz) == "UTC"
    assert frame["probability"].tolist() == [PICK.probability] * 2
    assert frame.loc[0, "public_id"] == PICK.public_id
    assert pandas.isna(frame.loc[1, "polarity"])
    empty = Picks().to_dataframe()
    assert list(empty.columns) == list(frame.columns)
    assert str(empty["time"].dt.tz) == "UTC"


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"pip install scperformer\[notebook\]"):
        PICKS.to_dataframe()


def test_obspy_reads_the_document():
    (event,) = obspy.read_events(io.BytesIO(PICKS.to_quakeml()))
    assert [pick.phase_hint for pick in event.picks] == ["P", "S"]
    assert event.picks[0].creation_info.agency_id == "AB"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "scml", "qml"])
def test_files(tmp_path, suffix):
    PICKS.write(str(tmp_path / f"p.{suffix}"))
    found = read_pick_file(tmp_path / f"p.{suffix}")
    assert [pick.phase for pick in found] == ["P", "S"]
    with pytest.raises(ConfigurationError, match="unknown suffix"):
        PICKS.write(tmp_path / "p.pickle")
