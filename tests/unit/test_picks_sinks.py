"""Files of picks: formats, schemas, and that they appear complete or not at all."""

import json
import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import obspy
import pytest
from lxml import etree
from obspy.io.quakeml.core import _validate as is_valid_quakeml
from obspy.io.seiscomp.core import SCHEMA_VERSION
from obspy.io.seiscomp.core import validate as is_valid_scml

from scperformer.core import onsets
from scperformer.errors import ConfigurationError, InputError, OutputError
from scperformer.picks import columns, quakeml, scml
from scperformer.picks.documents import markup
from scperformer.picks.pick_files import FileSink, open_sink, read_pick_file
from scperformer.picks.style import SCML_VERSIONS, Style
from scperformer.picks.tables import TEXT_LINES
from scperformer.types import (
    SAMPLING_RATE_HZ,
    Onset,
    Phase,
    SeedId,
    parse_time,
)
from tests.picks import PICK

CREATED_NS = parse_time("2024-05-06T07:08:09.012345Z")
P = PICK
S = replace(
    P,
    time_ns=P.time_ns + 8_800_000_000,
    phase=Phase.S,
    seed_id=SeedId("IM", "NYSH", "", "EHE"),
    polarity=None,
    onset=Onset.EMERGENT,
    snr=math.nan,
)
PICKS = [S, P]


def write(path, picks=PICKS, **kwargs):
    with open_sink(path, Style(created_ns=CREATED_NS, **kwargs)) as sink:
        sink.write(picks)
    return path


def local(element):
    return etree.QName(element).localname


class TestText:
    def test_lines_are_the_originals(self, tmp_path):
        lines = write(tmp_path / "p.txt", precision=10).read_text().splitlines()
        assert lines == [
            "NYSH P 0.9997605681 01.04.2021 12:35:55.66",
            "NYSH S 0.9997605681 01.04.2021 12:36:04.46",
        ]

    @pytest.mark.parametrize(
        ("time", "stamp"),
        [("12:00:00", "12:00:00.0"), ("12:00:10", "12:00:10.0"), ("12:00:00.500", "12:00:00.5"),
         ("12:00:00.000001", "12:00:00.000001")],
    )  # fmt: skip
    def test_trailing_zeros_go_but_never_the_seconds(self, time, stamp):
        pick = replace(P, time_ns=parse_time(f"2021-04-01T{time}"))
        line = TEXT_LINES.body(pick, Style(precision=2))
        assert line == f"NYSH P 0.99 01.04.2021 {stamp}\n".encode()

    @pytest.mark.parametrize(
        ("probability", "digits", "text"),
        [(0.99999999, 4, "0.9999"), (0.95, 2, "0.95"), (0.29, 2, "0.29"), (1.0, 3, "1.000"),
         (1e-9, 4, "0.0000"), (0.5, 1, "0.5"), (0.99, 0, "0"), (1.0, 0, "1")],
    )  # fmt: skip
    def test_probabilities_are_rounded_down(self, probability, digits, text):
        assert columns.floored(probability, digits) == text


class TestTables:
    def test_csv_has_the_columns_of_the_design(self, tmp_path):
        header, first, second = write(tmp_path / "p.csv").read_text().splitlines()
        assert header.startswith(
            "time,phase,network,station,location,channel,probability,uncertainty_s,snr,polarity,"
            "onset,decision_delay_s,model,public_id,components"
        )
        assert first.startswith(
            "2021-04-01T12:35:55.660000Z,P,IM,NYSH,00,EHZ,0.99976,0.0213,17.25,negative,impulsive,"
            "2.375,performer,20210401.123555.660000-P-IM.NYSH.00.EHZ-0a1b2c3d,3,"
        )
        assert ",S,IM,NYSH,,EHE,0.99976,0.0213,,,emergent," in second

    def test_jsonl_has_an_object_a_line(self, tmp_path):
        rows = [json.loads(line) for line in write(tmp_path / "p.jsonl").read_text().splitlines()]
        assert tuple(rows[0]) == columns.NAMES
        assert rows[0]["probability"] == 0.99976
        assert rows[1]["snr"] is None
        assert rows[1]["polarity"] is None

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".scml", ".qml"])
    def test_no_digits_in_text_leave_a_probability_in_other_files(self, tmp_path, suffix):
        text = write(tmp_path / f"p{suffix}", precision=0).read_text()
        assert "0.9997" in text
        assert " 0 01.04.2021" in write(tmp_path / "p.txt", precision=0).read_text()

    @pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
    def test_picks_are_read_back(self, tmp_path, suffix):
        first, second = read_pick_file(write(tmp_path / f"p{suffix}", precision=10))
        assert first == P
        assert math.isnan(second.snr)
        assert replace(second, snr=0.0) == replace(S, snr=0.0)

    @pytest.mark.parametrize(
        ("name", "content", "wanted"),
        [
            ("a.txt", "", "unknown suffix '.txt'"),
            ("a.csv", "time,phase\n1,2\n", "columns found: phase, time"),
            ("a.jsonl", "{}\n", "line 1"),
            ("a.jsonl", "[1]\n", "line 1"),
            ("a.jsonl", "nonsense", "line 1"),
        ],
    )
    def test_what_is_no_pick_is_told(self, tmp_path, name, content, wanted):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=wanted):
            read_pick_file(tmp_path / name)

    def test_a_missing_file_is_told(self, tmp_path):
        with pytest.raises(InputError, match=r"no\.csv"):
            read_pick_file(tmp_path / "no.csv")


class TestScml:
    def test_all_versions_that_obspy_knows_are_offered(self):
        assert tuple(SCHEMA_VERSION) == SCML_VERSIONS

    @pytest.mark.parametrize("version", SCML_VERSIONS)
    @pytest.mark.parametrize("picks", [PICKS, []])
    def test_documents_are_valid(self, tmp_path, version, picks):
        path = write(tmp_path / "p.scml", picks, scml_version=version, agency="GFZ & <Co>")
        assert is_valid_scml(str(path), version, verbose=True)
        assert is_valid_scml(str(path))

    def test_picks_and_amplitudes_stand_under_event_parameters(self, tmp_path):
        root = etree.parse(write(tmp_path / "p.xml", agency="GFZ")).getroot()
        assert etree.QName(root).namespace == scml.namespace("0.12")
        (parameters,) = root
        assert [local(child) for child in parameters] == ["pick", "amplitude", "pick"]
        pick, amplitude, _ = parameters
        found = {local(e): e.text for e in pick.iter() if e.text and e.text.strip()}
        assert (
            found
            | {
                "value": "2021-04-01T12:35:55.660000Z",
                "uncertainty": "0.0213",
                "filterID": P.filter_id,
                "methodID": "scperformer",
                "phaseHint": "P",
                "polarity": "negative",
                "onset": "impulsive",
                "evaluationMode": "automatic",
                "agencyID": "GFZ",
                "author": "scperformer",
                "creationTime": "2024-05-06T07:08:09.012345Z",
            }
            == found
        )
        comments = {c[1].text: c[0].text for c in pick if local(c) == "comment"}
        assert comments == {
            "probability": "0.9997",
            "model": "performer 0123456789ab",
            "decision_delay": "2.375 s",
        }
        of_amplitude = {local(e): e.text for e in amplitude.iter()}
        assert of_amplitude["type"] == "snr"
        assert of_amplitude["value"] == of_amplitude["snr"] == "17.25"
        assert of_amplitude["pickID"] == pick.get("publicID") == P.public_id
        assert amplitude.get("publicID") == f"{P.public_id}.snr"

    def test_the_amplitudes_window_is_the_pipelines(self):
        assert scml.SNR_WINDOW_S == (0.0, onsets._SIGNAL_SAMPLES / SAMPLING_RATE_HZ)

    def test_elements_serve_notifier_messages(self):
        style = Style(agency="A", author="b", created_ns=CREATED_NS)
        pick = scml.pick_element(P, style, tag="Pick", with_comments=False)
        assert pick.tag == "Pick"
        assert pick.find("comment") is None
        assert [c.tag for c in scml.comment_elements(P, style, tag="Comment")] == ["Comment"] * 3
        assert scml.amplitude_element(P, style, tag="Amplitude").tag == "Amplitude"
        assert scml.amplitude_element(S, style) is None
        assert markup(pick, depth=1).startswith(b'  <Pick publicID="2021')

    def test_characters_that_xml_cannot_hold_are_left_out(self, tmp_path):
        odd = replace(P, model="\x00bad\x1f", seed_id=SeedId("X\x01", "A<B", "", 'E"Z'))
        assert is_valid_scml(str(write(tmp_path / "p.scml", [odd])))
        assert is_valid_quakeml(str(write(tmp_path / "p.qml", [odd])))


class TestQuakeml:
    @pytest.mark.parametrize("picks", [PICKS, []])
    def test_documents_are_valid(self, tmp_path, picks):
        path = write(tmp_path / "p.qml", picks, agency="GFZ")
        assert is_valid_quakeml(str(path), verbose=True)
        xsd = Path(obspy.__file__).parent / "io/quakeml/data/QuakeML-1.2.xsd"
        assert etree.XMLSchema(etree.parse(xsd)).validate(etree.parse(path))

    def test_obspy_reads_every_pick(self, tmp_path):
        (event,) = obspy.read_events(str(write(tmp_path / "p.quakeml", agency="GFZ")))
        assert event.origins == []
        assert "not an earthquake" in event.event_descriptions[0].text
        p, s = event.picks
        assert (p.time.ns, s.time.ns) == (P.time_ns, S.time_ns)
        assert p.time_errors.uncertainty == 0.0213
        assert (p.phase_hint, s.phase_hint) == ("P", "S")
        assert (p.polarity, s.polarity) == ("negative", None)
        assert (p.onset, s.onset) == ("impulsive", "emergent")
        assert p.waveform_id.get_seed_string() == "IM.NYSH.00.EHZ"
        assert s.waveform_id.get_seed_string() == "IM.NYSH..EHE"
        assert p.evaluation_mode == "automatic"
        assert p.creation_info.agency_id == "GFZ"
        assert p.creation_info.creation_time.ns == CREATED_NS
        assert [c.text for c in p.comments] == [
            "probability: 0.9997",
            "model: performer 0123456789ab",
            "decision_delay: 2.375 s",
            "snr: 17.25",
        ]

    def test_resource_ids_are_the_same_in_every_run(self, tmp_path):
        first = write(tmp_path / "a.qml").read_bytes()
        assert write(tmp_path / "b.qml").read_bytes() == first
        assert quakeml.resource_id("pick", P.public_id).encode() in first


class TestFiles:
    @pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl", ".scml", ".XML", ".qml"])
    def test_nothing_is_there_before_the_end_and_no_crumbs_after(self, tmp_path, suffix):
        path = tmp_path / f"p{suffix}"
        sink = open_sink(path)
        sink.write([S])
        sink.write([P])
        assert not path.exists()
        sink.close()
        sink.close()
        assert list(tmp_path.iterdir()) == [path]
        assert path.stat().st_mode & 0o444 == 0o444
        with pytest.raises(OutputError, match="closed"):
            sink.write([P])

    def test_picks_are_sorted_and_repetitions_left_out(self, tmp_path):
        write(tmp_path / "p.csv", [S, P, S, replace(P, probability=0.5)])
        assert [p.phase for p in read_pick_file(tmp_path / "p.csv")] == [Phase.P, Phase.S]

    def test_an_exception_leaves_nothing_and_keeps_the_old_file(self, tmp_path):
        path = tmp_path / "p.csv"
        path.write_text("old")

        def is_interrupted():
            with open_sink(path) as sink:
                sink.write(PICKS)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            is_interrupted()
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_text() == "old"

    def test_a_writer_that_fails_leaves_nothing(self, tmp_path):
        def fails(file: BytesIO, picks):
            file.write(b"half")
            raise OSError(28, "No space left on device")

        sink = FileSink(tmp_path / "p", fails)
        with pytest.raises(OutputError, match="No space"):
            sink.close()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["missing/p.csv", "file/p.scml", "folder.csv"])
    def test_what_cannot_be_written_is_told_at_once(self, tmp_path, name):
        (tmp_path / "file").write_text("")
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(OutputError, match=name.split("/")[-1].replace(".", "[.]")):
            open_sink(tmp_path / name)

    @pytest.mark.parametrize(
        ("name", "options", "wanted"),
        [
            ("p.pdf", {}, "wanted one of .txt, .csv, .jsonl, .scml, .xml, .qml, .quakeml"),
            ("picks", {}, "unknown suffix ''"),
            ("p.csv", {"precision": -1}, "precision: got -1; wanted 0 to 17"),
            ("p.scml", {"scml_version": "0.6"}, "wanted one of 0.7"),
        ],
    )
    def test_unknown_wishes_are_told(self, tmp_path, name, options, wanted):
        with pytest.raises(ConfigurationError, match=wanted):
            open_sink(tmp_path / name, Style(**options))
        assert list(tmp_path.iterdir()) == []
