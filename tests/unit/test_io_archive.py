"""Indexing: folders, SDS trees, list files, other formats, and what is wrong with them."""

import subprocess
import sys

import numpy as np
import obspy
import pytest
from obspy import Trace, UTCDateTime

from scperformer.io.archive import index_inputs
from scperformer.types import NS_PER_S, SensorId, parse_time

START = UTCDateTime(2024, 3, 1)
DAY_NS = 86_400 * NS_PER_S


def trace(channel="HHZ", station="ABC", start=START, n=3000, dtype=np.int32):
    samples = np.random.default_rng(1).normal(0, 500, n).astype(dtype)
    codes = {"network": "XX", "station": station, "location": "", "channel": channel}
    return Trace(samples, header=codes | {"starttime": start, "sampling_rate": 100.0})


def write(path, one, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    one.write(str(path), kwargs.pop("format", "MSEED"), **kwargs)
    return path


def write_day(root, day, channel, station="ABC"):
    start = UTCDateTime(2024, 1, 1) + (day - 1) * 86_400
    name = f"XX.{station}..{channel}.D.2024.{day:03d}"
    return write(
        root / "2024" / "XX" / station / f"{channel}.D" / name, trace(channel, station, start)
    )


def texts(index):
    return [str(problem) for problem in index.problems]


def count(group):
    problems = []
    n = sum(len(r.samples) for r in group.records(report=problems.append))
    assert problems == []
    return n


class TestFolders:
    def test_sensors_of_all_depths_are_found(self, tmp_path):
        for channel in ("HHZ", "HHN", "HHE", "HNZ"):
            write(tmp_path / "deep" / "er" / channel, trace(channel))
        write(tmp_path / "other", trace("EHZ", "XYZ"))
        index = index_inputs([tmp_path])
        assert index.problems == ()
        assert [str(g.sensor_id) for g in index.groups] == [
            "XX.ABC..HH",
            "XX.ABC..HN",
            "XX.XYZ..EH",
        ]
        assert [s.channel for s in index.groups[0].seed_ids] == ["HHE", "HHN", "HHZ"]
        assert index.groups[0].start_ns == START.ns
        assert index.groups[0].end_ns == START.ns + 30 * NS_PER_S
        assert count(index.groups[0]) == 9000

    def test_what_is_no_waveform_is_skipped_and_what_should_be_is_told(self, tmp_path):
        write(tmp_path / "good", trace())
        for name in ("notes.txt", "picks.CSV", "stations.xml", ".hidden", "README.md", "a.json"):
            (tmp_path / name).write_text("no waveform")
        (tmp_path / ".cache").mkdir()
        (tmp_path / ".cache" / "thing").write_text("no waveform")
        (tmp_path / "strange").write_bytes(b"no waveform" * 100)
        (tmp_path / "empty.mseed").write_bytes(b"")
        index = index_inputs([tmp_path])
        assert len(index.groups) == 1
        assert [p.path.name for p in index.problems] == ["empty.mseed", "strange"]
        assert "0 bytes" in index.problems[0].what
        assert "not miniSEED" in index.problems[1].what

    def test_a_file_named_twice_is_read_once(self, tmp_path):
        path = write(tmp_path / "a", trace())
        (tmp_path / "link").symlink_to(path)
        (tmp_path / "loop").symlink_to(tmp_path)
        index = index_inputs([tmp_path, path, tmp_path / "link"])
        assert len(index.groups[0].files) == 1

    def test_a_log_channel_is_no_problem_in_a_folder(self, tmp_path):
        log = Trace(np.frombuffer(b"all is well " * 9, "S1"), header={"station": "A"})
        write(tmp_path / "log", log, encoding="ASCII")
        assert index_inputs([tmp_path]).problems == ()
        assert "no samples" in texts(index_inputs([tmp_path / "log"]))[0]


class TestSds:
    @pytest.fixture
    def root(self, tmp_path):
        for day in range(58, 65):
            for channel in ("HHZ", "HHN"):
                write_day(tmp_path, day, channel)
        return tmp_path

    def test_the_whole_tree(self, root):
        (group,) = index_inputs([root]).groups
        assert len(group.files) == 14
        assert count(group) == 14 * 3000

    def test_only_days_inside_the_span_are_opened(self, root):
        for day in (58, 59, 63, 64):
            write_day(root, day, "HHZ").write_bytes(b"would be told if it were opened")
        start_ns = parse_time("2024-03-01T12:00:00")
        index = index_inputs([root], start_ns=start_ns, end_ns=start_ns + DAY_NS)
        assert index.problems == ()
        assert [f.path.name[-3:] for f in index.groups[0].files] == ["062", "062"]

    def test_the_day_before_counts_for_records_across_midnight(self, root):
        path = write_day(root, 60, "HHZ")
        write(path, trace(start=UTCDateTime(2024, 3, 1) - 10))
        start_ns = parse_time("2024-03-01T00:00:00")
        index = index_inputs([root], start_ns=start_ns, end_ns=start_ns + NS_PER_S)
        assert path in index.groups[0].paths


class TestListFiles:
    @pytest.fixture
    def files(self, tmp_path):
        for station in ("ABC", "DEF"):
            for channel in ("HHN", "HHE", "HHZ"):
                write(tmp_path / "data" / f"{station}.{channel}", trace(channel, station))
        return tmp_path

    def test_a_group_for_each_line(self, files):
        lines = [
            "data/ABC.HHN data/ABC.HHE\tdata/ABC.HHZ",
            "",
            "# a comment",
            "  data/DEF.HHZ   data/DEF.HHN ",
            "data/ABC.HHZ",
        ]
        (files / "list.txt").write_bytes("\r\n".join(lines).encode())
        index = index_inputs([files / "list.txt"])
        assert index.problems == ()
        assert [str(g.sensor_id) for g in index.groups] == [
            "XX.ABC..HH",
            "XX.DEF..HH",
            "XX.ABC..HH",
        ]
        assert [len(g.seed_ids) for g in index.groups] == [3, 2, 1]
        assert index.groups[1].origin == f"{files / 'list.txt'}:4"

    def test_names_are_looked_for_here_first_then_beside_the_list(
        self, files, tmp_path_factory, monkeypatch
    ):
        here = tmp_path_factory.mktemp("here")
        write(here / "data" / "ABC.HHZ", trace("EHZ", "HERE"))
        (files / "list").write_text("data/ABC.HHZ data/ABC.HHN")
        monkeypatch.chdir(here)
        sensors = [g.sensor_id for g in index_inputs([files / "list"]).groups]
        assert sensors == [SensorId("XX", "HERE", "", "EH"), SensorId("XX", "ABC", "", "HH")]

    def test_names_with_blanks_and_apostrophes(self, files):
        write(files / "my data" / "a b", trace())
        write(files / "it's", trace("HHN"))
        (files / "list").write_text("'my data/a b' data/ABC.HHE\nit's\n\"it's\" data/ABC.HHZ")
        index = index_inputs([files / "list"])
        assert index.problems == ()
        assert [len(g.files) for g in index.groups] == [2, 1, 2]

    def test_missing_and_broken_files_are_told_and_the_rest_of_the_line_used(self, files):
        (files / "empty").write_bytes(b"")
        (files / "text").write_text("hello")
        (files / "list").write_text("data/ABC.HHZ nowhere empty data text\nalso/nowhere\n")
        index = index_inputs([files / "list"])
        assert [len(g.files) for g in index.groups] == [1]
        assert [p.path.name for p in index.problems] == [
            "nowhere",
            "empty",
            "data",
            "text",
            "nowhere",
        ]
        assert "no such file" in index.problems[0].what
        assert "a folder" in index.problems[2].what

    def test_components_that_share_no_time_are_told_with_line_and_times(self, files):
        write(files / "late", trace("HHE", start=START + 3600))
        (files / "list").write_text("data/ABC.HHZ data/ABC.HHN late\ndata/DEF.HHZ")
        index = index_inputs([files / "list"])
        assert [g.sensor_id.station for g in index.groups] == ["DEF"]
        (problem,) = index.problems
        assert problem.path == files / "list"
        assert "line 1" in problem.what
        assert "do not overlap" in problem.what
        assert "HHE 2024-03-01T01:00:00 to 2024-03-01T01:00:30" in problem.what

    def test_a_list_of_files_that_are_not_there_names_the_list(self, files):
        (files / "list").write_text("a b c\nd e f")
        index = index_inputs([files / "list"])
        assert index.groups == ()
        assert "no list of files that exist" in texts(index)[0]


class TestOtherFormats:
    def test_sac_and_gse2_are_read_when_named(self, tmp_path):
        sac = write(tmp_path / "a.sac", trace(dtype=np.float32), format="SAC")
        gse = write(tmp_path / "b.gse", trace("HHN"), format="GSE2")
        index = index_inputs([sac, gse])
        assert index.problems == ()
        assert count(index.groups[0]) == 6000
        kinds = {r.seed_id.channel: r.samples.dtype for r in index.groups[0].records()}
        assert kinds == {"HHZ": np.float32, "HHN": np.int32}

    def test_in_a_folder_they_are_told(self, tmp_path):
        write(tmp_path / "a.sac", trace(dtype=np.float32), format="SAC")
        assert "name others one by one" in texts(index_inputs([tmp_path]))[0]

    def test_names_with_wildcards_mean_themselves(self, tmp_path):
        path = write(tmp_path / "a.sac", trace(dtype=np.float32), format="SAC")
        odd = path.rename(tmp_path / "a[1]*.sac")
        assert len(index_inputs([odd]).groups) == 1


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("missing", None, "no such file"),
        ("empty", b"", "0 bytes"),
        ("noise", bytes(range(256)) * 40, "not miniSEED"),
        ("text", b"hello world\n", "no list of files"),
        ("half", b"000001D ", "no list of files"),
    ],
)
def test_bad_files_are_told_by_name_and_the_good_ones_kept(tmp_path, name, content, what):
    good = write(tmp_path / "good", trace())
    bad = tmp_path / name
    if content is not None:
        bad.write_bytes(content)
    index = index_inputs([bad, good])
    assert len(index.groups) == 1
    (problem,) = index.problems
    assert problem.path == bad
    assert what in str(problem)
    assert problem.wanted


def test_a_name_with_a_nul_byte_is_a_problem_too(tmp_path):
    assert len(index_inputs([tmp_path / "a\0b"]).problems) == 1


def test_samples_without_codes_are_told(tmp_path):
    nameless = trace()
    nameless.stats.station = ""
    index = index_inputs([write(tmp_path / "a", nameless)])
    assert index.groups == ()
    assert "without station or channel" in texts(index)[0]


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = (
        "import sys, scperformer.io.archive, scperformer.io.sinks, scperformer.io.plots;"
        "print(sorted({'obspy', 'lxml', 'matplotlib', 'tensorflow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.shared
class TestRealRecords:
    def test_ridgecrest_has_22_sensors_with_three_components(self, shared):
        index = index_inputs([shared / "data" / "continuous" / "ridgecrest"])
        assert index.problems == ()
        assert len(index.groups) == 22
        assert {len(group.seed_ids) for group in index.groups} == {3}

    def test_tow2_equals_what_obspy_reads(self, shared):
        folder = shared / "data" / "continuous" / "ridgecrest"
        paths = sorted(folder.glob("CI.TOW2..HH*"))
        (group,) = index_inputs(paths).groups
        records = list(group.records(report=pytest.fail))
        for path in paths:
            stream = obspy.read(str(path))
            mine = [r for r in records if r.seed_id.channel == stream[0].stats.channel]
            expected = np.concatenate([t.data for t in stream])
            np.testing.assert_array_equal(np.concatenate([r.samples for r in mine]), expected)
            assert mine[0].start_ns == stream[0].stats.starttime.ns

    @pytest.mark.slow
    def test_every_file_is_read_without_a_problem(self, shared):
        index = index_inputs([shared / "data"])
        assert index.problems == ()
        assert len({path for group in index.groups for path in group.paths}) == 1619
        n_samples = sum(count(group) for group in index.groups)
        assert n_samples == sum(
            round((f.end_ns - f.start_ns) * f.sampling_rate_hz / NS_PER_S)
            for group in index.groups
            for f in group.files
        )
