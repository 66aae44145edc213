"""The page of a report: one whole file, well formed, that says what there is."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from lxml import etree, html

from scperformer.errors import OutputError
from scperformer.reporting.axes import (
    count_axis,
    linear_axis,
    logarithmic_axis,
    short_number,
    time_axis,
)
from scperformer.reporting.charts import envelope
from scperformer.reporting.look import STYLE
from scperformer.reporting.markup import tag, to_bytes
from scperformer.reporting.page import render
from scperformer.reporting.scan_report import ScanReport
from scperformer.reporting.words import duration, listed, percent, rate
from scperformer.types import NS_PER_S, parse_time
from tests.unit.test_reporting import DAY_NS, OTHER, RUN, SENSOR, START_NS, pick, piece, report_of


def full_report():
    """Two sensors over two days, with labels, everything that is wrong, and two examples."""
    pairs = [
        pick(phase, 2000 * k + 8 * (phase == "S"), uncertainty_s=0.02 * (k + 1))
        for k in range(40)
        for phase in "PS"
    ]
    labels = [replace(one, time_ns=one.time_ns + NS_PER_S // 20) for one in pairs[:10]]
    labels.append(pick("P", 1500))
    report = report_of(
        (piece(gaps=2, left_out={"already seen": 1234}), pairs),
        (piece(1, OTHER, unreadable=1, n_components=1), [pick("P", 90_000, OTHER, n_components=1)]),
        labels=labels,
    )
    report.note("s3://me:secret@bucket/x.mseed: cannot be read")
    for wanted in report.wanted_examples()[:2]:
        times_ns = wanted.start_ns + np.arange(0, 30 * NS_PER_S, NS_PER_S // 6)
        waveform = np.random.default_rng(0).normal(size=(3, 3000)).astype(np.float32)
        waveform[1] = np.nan
        report.add_example(
            wanted.sensor_id,
            waveform,
            start_ns=wanted.start_ns,
            times_ns=times_ns,
            probabilities=np.full((len(times_ns), 3), 1 / 3, np.float32),
            picks=pairs,
        )
    return report


def parsed(report, **arguments):
    """The page as strict XML, whose elements are those that a browser's parser sees."""
    page = render(report, **arguments)
    root = etree.fromstring(page, etree.XMLParser(resolve_entities=False))
    lax = html.document_fromstring(page)
    assert [one.tag for one in root.iter()] == [one.tag for one in lax.iter()]
    return root


def text_of(root):
    return " ".join("".join(root.find("body").itertext()).split())


def test_a_page_has_all_of_it_in_order():
    root = parsed(full_report())
    assert [one.text for one in root.iter("h1", "h2")] == [
        "Scan report: 81 picks, 2 sensors",
        "Summary",
        "Picks over time",
        "Availability and picks by sensor",
        "Probabilities and uncertainties",
        "S minus P",
        "Sensors to look at first",
        "Beside the labels",
        "Examples",
        "How it was made",
    ]
    levels = [int(one.tag[1]) for one in root.iter("h1", "h2", "h3")]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    figures = [one.text for one in root.iter("strong")]
    assert len(figures) == 3 + 4 + 2 + 2 + 2


def test_the_summary_says_what_there_is():
    text = text_of(parsed(full_report(), ended_by="SIGTERM after 2 of 9 pieces"))
    for sentence in (
        "The scan was ended by SIGTERM after 2 of 9 pieces: what was not scanned",
        "s3://...@bucket/x.mseed: cannot be read",
        "1 input could not be read, of XX.BBB.00.EH.",
        "1,234 samples left out: already seen 1,234.",
        "2 gaps, the most at XX.AAA..HH (2).",
        "Scanned: 2 sensors of 2 stations, 2020-02-28 00:00:00 to 2020-03-01 00:00:00 UTC, in 2 "
        "pieces; 48.0 station-hours of data, 100 % of the sensors' time.",
        "Found: 81 picks, 41 P and 40 S, 1.7 per station-hour.",
        "An S follows 40 of the P at the same sensor within 60 s; S minus P has a median of 8.",
        "The median probability is 0.91 for P and 0.91 for S.",
        "Of 6 labels of P where there were data, 5 were found (83.3 %).",
        "Of 5 labels of S where there were data, 5 were found (100 %).",
    ):
        assert sentence in text, sentence
    assert text.index("What is wrong") < text.index("Scanned:") < text.index("Picks over time")
    assert "secret" not in text


def test_the_page_needs_nothing_else():
    page = render(full_report()).decode()
    assert not re.search(r"\b(src|href|xlink|@import|url\()", page)
    assert "<script" not in page
    assert not set(STYLE) & set("<>&")


def test_drawings_say_what_they_show_and_ids_are_unique():
    root = parsed(full_report())
    ids = root.xpath("//@id")
    assert len(ids) == len(set(ids))
    drawings = [one for one in root.iter("svg") if one.get("aria-hidden") is None]
    assert len(drawings) > 15
    for svg in drawings:
        assert [child.tag for child in svg[:2]] == ["title", "desc"]
        assert svg.get("role") == "img"
        assert svg.get("aria-labelledby").split() == [child.get("id") for child in svg[:2]]
        assert all(child.text for child in svg[:2])


def test_an_empty_scan_has_a_page():
    root = parsed(ScanReport(RUN))
    text = text_of(root)
    assert "What is wrongNo piece was finished.Nothing was scanned." in text
    assert "Found: no picks." in text
    assert RUN.command in text
    assert [one.text for one in root.iter("h2")] == ["Summary", "How it was made"]


@pytest.mark.parametrize("with_data", [True, False])
def test_a_scan_without_picks_has_a_page(with_data):
    facts = piece() if with_data else piece(spans_ns=(), windows=0)
    text = text_of(parsed(report_of((facts, []), labels=[pick("P", 5)])))
    said = "1 sensor had data, but no picks: XX.AAA..HH." if with_data else "had nothing to look at"
    assert said in text


def test_a_piece_of_a_moment_has_a_page():
    parsed(report_of((piece(end_ns=START_NS + 1), [pick("P", 0)])))


def test_what_others_wrote_is_escaped():
    evil = replace(SENSOR, network='<b>&"', station="<script>alert(1)</script>\x00\x1b")
    report = ScanReport(
        replace(RUN, command="scan '<img src=x onerror=y>' \ud800", settings={"</dl>": "&amp;"})
    )
    report.add(piece(sensor_id=evil, left_out={"<i>": 1}), [pick("P", 1, evil)])
    report.note("</style><svg onload=z>")
    root = parsed(report)
    assert not list(root.iter("script", "img", "b", "i"))
    assert '<b>&".<script>alert(1)</script>..HH' in text_of(root)
    assert "</style><svg onload=z>" in text_of(root)


def test_the_same_pieces_give_the_same_bytes():
    assert render(full_report()) == render(full_report())


def test_large_scans_keep_the_page_small():
    report = ScanReport(RUN)
    for number in range(1000):
        sensor_id = replace(SENSOR, station=f"S{number:04}")
        for day in (0, number, 3000):
            at_s = day * 86_400 + 60
            picks = [pick("P", at_s, sensor_id), pick("S", at_s + 9, sensor_id)]
            report.add(piece(day, sensor_id), picks)
    page = render(report)
    assert len(page) < 600_000
    text = text_of(etree.fromstring(page))
    assert "40 of 1,000 sensors" in text
    assert "Sensors, the worst first: 40 of 1,000" in text
    assert "6,000 picks" in text
    assert "3,000 pairs, 1,500 of them drawn by chance" in text


def test_it_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "report.html"
    report = full_report()
    report.write(path)
    assert path.read_bytes() == render(report)
    report.add(piece(5), [pick("P", 5 * 86_400)])
    report.write(path, ended_by="SIGINT")
    assert b"ended by SIGINT" in path.read_bytes()
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match="is a folder"):
        report.write(tmp_path)


def test_examples_that_were_not_read_again_are_named():
    report = full_report()
    assert text_of(parsed(report)).count("was not read again") == len(
        report.wanted_examples()
    ) - len(report.examples)


def test_an_element_is_written_as_html_and_as_xml():
    page = to_bytes(tag("p", "a < b", tag("span", class_="x"), " & c", data_x='"'))
    assert page == (
        b'<!DOCTYPE html>\n<p data-x="&quot;">a &lt; b<span class="x"></span> &amp; c</p>\n'
    )


class TestAxes:
    @pytest.mark.parametrize(
        ("hours", "labels", "title"),
        [
            (1 / 90, ["00:00:00", "00:00:10", "00:00:20"], "UTC, 2020-02-28"),
            (23, ["00:00", "06:00", "12:00", "18:00"], "UTC, 2020-02-28"),
            (29, ["06:00", "12:00", "18:00", "02-29"], "UTC, 2020-02-28 to 2020-02-29"),
            (96, ["02-28", "02-29", "03-01", "03-02", "03-03"], "month and day, UTC, 2020"),
            (24 * 400, ["2020-03", "2020-05", "2020-07", "2020-09", "2020-11"], "UTC"),
            (24 * 365 * 20, ["2025", "2030", "2035", "2040"], "UTC"),
        ],
    )
    def test_times(self, hours, labels, title):
        axis = time_axis(START_NS, START_NS + round(hours * 3600) * NS_PER_S)
        assert axis.title == title
        own = [tick.label for tick in axis.ticks]
        assert [label for label in own if label in labels] == labels
        assert len(own) <= 8
        assert all(0.0 <= axis.place(tick.value) <= 1.0 for tick in axis.ticks)

    def test_years_begin_with_january(self):
        axis = time_axis(START_NS, parse_time("2050-01-01"))
        years = [tick.value for tick in axis.ticks]
        assert parse_time("2030-01-01") in years

    def test_numbers(self):
        assert [tick.label for tick in count_axis(37, "").ticks] == ["0", "20", "40"]
        assert [tick.label for tick in count_axis(2, "").ticks] == ["0", "1", "2"]
        assert count_axis(0, "").high > 0
        assert [tick.label for tick in linear_axis(-0.5, 0.5, "").ticks][:2] == ["-0.4", "-0.2"]
        assert [tick.label for tick in logarithmic_axis(0.004, 0.3, "").ticks] == [
            *("0.005", "0.01", "0.02", "0.05", "0.1", "0.2")
        ]
        assert logarithmic_axis(0.01, 1.0, "").place(0.1) == pytest.approx(0.5)

    def test_words(self):
        assert [short_number(value) for value in (0, 0.25, 1500, 25_000, 1.2e6)] == [
            *("0", "0.25", "1,500", "25k", "1.2M")
        ]
        assert [percent(share) for share in (0, 1e-5, 0.5, 0.99999, 1)] == [
            *("0 %", "under 0.1 %", "50 %", "99.9 %", "100 %")
        ]
        assert percent(float("nan")) == "-"
        assert [rate(value) for value in (0, 0.0123, 3.14, 1234.5)] == [
            "0",
            "0.012",
            "3.1",
            "1,234",
        ]
        assert duration(2 * DAY_NS) == "2 days"
        assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_a_thinned_trace_keeps_its_peaks():
    values = np.zeros(10_000)
    values[[1234, 5678]] = 7.0, -9.0
    places, thinned = envelope(values)
    assert len(thinned) <= 1000
    assert (thinned.max(), thinned.min()) == (7.0, -9.0)
    assert abs(places[thinned.argmax()] - 1234) < 20
