"""Picks and labels of any origin."""

import math
from dataclasses import replace

import pytest

from scperformer.errors import InputError
from scperformer.picks.pick_files import (
    FORMATS,
    open_sink,
    read_pick_file,
    record_files,
    write_picks,
)
from scperformer.picks.style import Style
from scperformer.types import Phase, Polarity, SeedId, SensorId, parse_time
from tests.picks import PICK

TIME = "2020-01-02T03:04:05.670000Z"
TIME_NS = parse_time(TIME)


def pick(**changes):
    values = {"time_ns": TIME_NS, "seed_id": SeedId("XX", "A", "00", "HHZ"), "probability": 0.9375}
    return replace(PICK, uncertainty_s=0.04, decision_delay_s=2.43, **(values | changes))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".scml", ".qml"])
def test_our_own_formats_come_back(tmp_path, suffix):
    path = tmp_path / f"picks{suffix}"
    s = pick(
        phase=Phase.S,
        seed_id=SeedId("XX", "A", "00", "HHN"),
        polarity=None,
        time_ns=TIME_NS + 10**9,
    )
    with open_sink(path, Style(precision=6)) as sink:
        sink.write([pick(), s])
    one, two = read_pick_file(path)
    assert (one.station, one.phase, one.time_ns) == ("XX.A", Phase.P, TIME_NS)
    assert one.seed_id == SeedId("XX", "A", "00", "HHZ")
    assert one.instrument == "00.HH"
    assert one.probability == pytest.approx(0.9375)
    assert one.uncertainty_s == pytest.approx(0.04)
    assert one.decision_delay_s == pytest.approx(2.43)
    assert one.polarity is Polarity.NEGATIVE
    assert one.event == ""
    assert (two.phase, two.polarity) == (Phase.S, None)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_byte_order_mark_changes_nothing(tmp_path, suffix):
    path = tmp_path / f"picks{suffix}"
    with open_sink(path, Style(precision=6)) as sink:
        sink.write([pick()])
    plain = read_pick_file(path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_pick_file(path) == plain


def test_a_byte_order_mark_hides_no_record_files(tmp_path):
    path = tmp_path / "picks.csv"
    path.write_text(f"file,network,station,p_time\na.mseed,XX,A,{TIME}\n", encoding="utf-8-sig")
    assert record_files(path) == ["a.mseed"]
    assert [found.file for found in read_pick_file(path)] == ["a.mseed"]


@pytest.mark.parametrize(
    ("word", "polarity"),
    [
        ("positive", Polarity.POSITIVE),
        ("U", Polarity.POSITIVE),
        ("d", Polarity.NEGATIVE),
        ("undecidable", Polarity.UNDECIDABLE),
        ("", None),
        ("?", None),
    ],
)
def test_first_motions_as_analysts_write_them(tmp_path, word, polarity):
    path = tmp_path / "picks.csv"
    path.write_text(f"network,station,p_time,p_polarity,s_time\nXX,A,{TIME},{word},{TIME}\n")
    p, s = read_pick_file(path)
    assert (p.phase, p.polarity) == (Phase.P, polarity)
    assert (s.phase, s.polarity) == (Phase.S, None)


def test_picks_written_with_their_files_come_back(tmp_path):
    path = tmp_path / "picks.csv"
    write_picks(path, ["a.mseed", ""], [pick(), pick(time_ns=TIME_NS + 1000)])
    assert [p.file for p in read_pick_file(path)] == ["a.mseed", ""]
    assert record_files(path) == ["a.mseed"]


def test_a_row_a_record(tmp_path):
    path = tmp_path / "picks.csv"
    path.write_text(
        "file,network,station,p_time,s_time,label_origin\n"
        f"a.mseed,XX,A,{TIME},,analyst\n"
        f"b.mseed,XX,B,,{TIME},analyst\n"
        "c.mseed,XX,C,,,analyst\n"
    )
    found = [(p.file, p.seed_id.station, p.phase) for p in read_pick_file(path)]
    assert found == [("a.mseed", "A", Phase.P), ("b.mseed", "B", Phase.S)]
    assert record_files(path) == ["a.mseed", "b.mseed", "c.mseed"]


def test_a_catalogue_names_events(tmp_path):
    path = tmp_path / "picks.csv"
    path.write_text(
        f"event_time,magnitude,network,station,p_time,s_time\n{TIME},1.2,XX,A,{TIME},{TIME}\n"
    )
    assert [p.event for p in read_pick_file(path)] == [TIME, TIME]


def test_other_phases_are_left_out_and_regional_names_understood(tmp_path):
    path = tmp_path / "picks.csv"
    hints = ["Pg", "Pn", "iP", "eSg", "s", "pP", "PKP", "Lg", "P", ""]
    rows = [f"XX,A,{hint},{TIME}" for hint in hints]
    path.write_text("network,station,phase,time\n" + "\n".join(rows) + "\n")
    assert [p.phase for p in read_pick_file(path)] == [*"PPPSS", "P"]
    assert all(p.probability == 1.0 for p in read_pick_file(path))


def test_quakeml_gives_the_event_and_leaves_out_rejected_picks(tmp_path):
    def xml(name, extra):
        return (
            f'<pick publicID="smi:{name}"><time><value>{TIME}</value></time>'
            f'<waveformID networkCode="XX" stationCode="{name}"/>{extra}</pick>'
        )

    path = tmp_path / "labels.qml"
    path.write_text(
        '<q:quakeml xmlns:q="http://quakeml.org/xmlns/quakeml/1.2" '
        'xmlns="http://quakeml.org/xmlns/bed/1.2"><eventParameters>'
        '<event publicID="smi:e1"><origin publicID="smi:o1">'
        "<arrival><pickID>smi:A</pickID><phase>Sg</phase></arrival></origin>"
        + xml("A", "")
        + xml("B", "<phaseHint>P</phaseHint>")
        + xml("C", "<phaseHint>P</phaseHint><evaluationStatus>rejected</evaluationStatus>")
        + "</event></eventParameters></q:quakeml>"
    )
    found = [(p.seed_id.station, p.phase, p.event) for p in read_pick_file(path)]
    assert found == [("A", Phase.S, "smi:e1"), ("B", Phase.P, "")]
    assert math.isnan(read_pick_file(path)[0].uncertainty_s)


def test_scml_events_name_their_origins(tmp_path):
    path = tmp_path / "labels.scml"
    path.write_text(
        '<seiscomp xmlns="http://geofon.gfz-potsdam.de/ns/seiscomp3-schema/0.12"><EventParameters>'
        f'<pick publicID="p1"><time><value>{TIME}</value></time>'
        '<waveformID networkCode="XX" stationCode="A" channelCode="HHZ"/>'
        "<phaseHint>P</phaseHint></pick>"
        '<origin publicID="o1"><arrival><pickID>p1</pickID><phase>P</phase></arrival></origin>'
        '<event publicID="e7"><originReference>o1</originReference></event>'
        "</EventParameters></seiscomp>"
    )
    (found,) = read_pick_file(path)
    assert (found.event, found.instrument) == ("e7", ".HH")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "network,station\n", "columns found: network, station"),
        ("a.csv", "network,station,phase,time\nXX,A,P,yesterday\n", "line 2"),
        ("a.jsonl", "{\n", "line 1"),
        ("a.qml", "<x>", "no XML"),
        ("a.xml", "<FDSNStationXML/>", "root element 'FDSNStationXML'"),
        ("a.txt", "", "unknown suffix"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_pick_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_pick_file(tmp_path / "nothing.csv")


def test_a_pick_with_a_channel_belongs_to_that_sensor_only(tmp_path):
    path = tmp_path / "picks.csv"
    write_picks(path, [""], [pick()])
    (found,) = read_pick_file(path)
    assert found.belongs_to(SensorId("XX", "A", "00", "HH"))
    assert not found.belongs_to(SensorId("XX", "A", "00", "HN"))
    assert not found.belongs_to(SensorId("YY", "A", "00", "HH"))


def test_a_pick_without_a_channel_belongs_to_every_sensor_of_its_station():
    unsaid = pick(seed_id=SeedId("XX", "A", "", ""))
    assert unsaid.belongs_to(SensorId("XX", "A", "00", "HH"))
    assert not unsaid.belongs_to(SensorId("XX", "B", "00", "HH"))


def test_columns_of_others_that_are_named_as_ours_stay_unknown(tmp_path):
    path = tmp_path / "picks.csv"
    path.write_text(
        f"network,station,phase,time,snr,onset,components,model\nXX,A,P,{TIME},high,i,three,GPD\n"
    )
    (found,) = read_pick_file(path)
    assert math.isnan(found.snr)
    assert (found.onset, found.n_components, found.model) == (None, 0, "GPD")


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.where)
def test_a_format_is_what_its_entry_says(kind):
    assert bool(kind.codec.FOOT) == kind.is_document
    assert hasattr(kind.codec, "read") == kind.can_be_read
