"""Indexing: folders, SDS trees, list files, other formats, and what is wrong with them."""

import bz2
import gzip
import lzma
import os
import pickle
import re
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Trace, UTCDateTime

from scperformer.types import NS_PER_S, SensorId, parse_time
from scperformer.waveforms import contents, foreign
from scperformer.waveforms.archive import MOST_OF_A_KIND, index_inputs
from scperformer.waveforms.selection import Selection, parse_stations

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

    def test_names_with_suffixes_and_of_other_types_are_read(self, root):
        day = root / "2024" / "XX" / "ABC"
        plain = day / "HHZ.D" / "XX.ABC..HHZ.D.2024.061"
        plain.rename(plain.with_name(f"{plain.name}.mseed"))
        zipped = day / "HHN.D" / "XX.ABC..HHN.D.2024.061"
        (day / "HHN.D" / f"{zipped.name}.gz").write_bytes(gzip.compress(zipped.read_bytes()))
        zipped.unlink()
        write(day / "HHE.Q" / "XX.ABC..HHE.Q.2024.061", trace("HHE", start=START))
        (group,) = index_inputs([root]).groups
        assert len(group.files) == 15
        assert count(group) == 15 * 3000

    def test_suffixes_do_not_hide_the_day(self, root):
        for name in ("XX.ABC..HHZ.D.2024.050.gz", "XX.ABC..HHZ.D.2024.050.mseed"):
            (root / "2024/XX/ABC/HHZ.D" / name).write_bytes(b"would be told if it were opened")
        index = index_inputs([root], start_ns=parse_time("2024-03-01"))
        assert index.problems == ()

    def test_a_tree_of_other_types_alone_is_an_sds_root_too(self, tmp_path):
        folder = tmp_path / "2024" / "XX" / "ABC" / "HHZ.Q"
        write(folder / "XX.ABC..HHZ.Q.2024.061", trace())
        (folder / "XX.ABC..HHZ.Q.2024.001").write_bytes(b"would be told if it were opened")
        index = index_inputs([tmp_path], start_ns=parse_time("2024-02-20"))
        assert index.problems == ()
        assert len(index.groups) == 1

    def test_what_is_not_used_is_named_but_no_thousand_times(self, root):
        folder = root / "2024" / "XX" / "ABC" / "HHZ.D"
        write(folder / "copy of monday", trace("HHE"))
        for number in range(200):
            (folder / f"half.{number}").write_bytes(b"no waveform" * 50)
        (root / "stray").write_bytes(b"no waveform" * 50)
        index = index_inputs([root])
        assert {s.channel for s in index.groups[0].seed_ids} == {"HHE", "HHN", "HHZ"}
        assert len(index.problems) == MOST_OF_A_KIND + 1
        assert str(index.problems[-1]) == f"{root}: {201 - MOST_OF_A_KIND} more files: not miniSEED"

    def test_channels_that_are_no_seismometers_are_not_even_opened(self, root):
        for code in ("VM1", "LOG", "ACE", "HV1", "LHZ"):
            write_day(root, 60, code).write_bytes(b"would be told if it were opened")
        index = index_inputs([root])
        assert index.problems == ()
        assert {s.channel for s in index.left_out} == {"VM1", "LOG", "ACE", "HV1", "LHZ"}

    def test_the_times_that_the_names_cover_are_known(self, root):
        index = index_inputs([root], start_ns=parse_time("2030-01-01"))
        assert index.groups == ()
        assert index.covered == (parse_time("2024-02-27"), parse_time("2024-03-05"))


def forbid(monkeypatch, path):
    """Let the operating system refuse a file or folder, also to root."""
    for name in ("open", "listdir", "scandir"):
        plain = getattr(os, name)

        def refusing(what=".", *args, plain=plain, **kwargs):
            if os.fspath(what) == os.fspath(path):
                raise PermissionError(13, "Permission denied", os.fspath(what))
            return plain(what, *args, **kwargs)

        monkeypatch.setattr(os, name, refusing)
    plain_open = Path.open

    def refusing_open(self, *args, **kwargs):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return plain_open(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refusing_open)


class TestUnreadableEntries:
    """One entry that cannot be read costs itself alone, and is named."""

    @pytest.fixture(params=["folder", "sds"])
    def root(self, tmp_path, request):
        for station in ("AAA", "BBB", "CCC"):
            if request.param == "sds":
                write_day(tmp_path, 61, "HHZ", station)
            else:
                write(tmp_path / station / "HHZ" / "file", trace(station=station))
        return tmp_path

    @staticmethod
    def file_of(root, station):
        return next(path for path in root.rglob("*") if path.is_file() and station in str(path))

    @pytest.mark.parametrize("level", [0, 1, 2])
    def test_a_dangling_link(self, root, level):
        beside = self.file_of(root, "BBB")
        for _ in range(level):
            beside = beside.parent
        link = beside.parent / "AAB.mseed"
        link.symlink_to("nowhere")
        index = index_inputs([root])
        assert [g.sensor_id.station for g in index.groups] == ["AAA", "BBB", "CCC"]
        (problem,) = index.problems
        assert problem.path == link
        assert "a link to nowhere" in problem.what

    def test_a_forbidden_file(self, root, monkeypatch):
        path = self.file_of(root, "BBB")
        forbid(monkeypatch, path)
        index = index_inputs([root])
        assert [g.sensor_id.station for g in index.groups] == ["AAA", "CCC"]
        assert [p.path for p in index.problems] == [path]
        assert "Permission denied" in index.problems[0].what

    @pytest.mark.parametrize("level", [1, 2])
    def test_a_forbidden_folder(self, root, monkeypatch, level):
        folder = self.file_of(root, "BBB")
        for _ in range(level):
            folder = folder.parent
        forbid(monkeypatch, folder)
        index = index_inputs([root])
        assert [g.sensor_id.station for g in index.groups] == ["AAA", "CCC"]
        assert [p.path for p in index.problems] == [folder]

    def test_really_forbidden_to_another_user(self, root):
        if os.geteuid() != 0:
            pytest.skip("needs root to become somebody else")
        for path in [root, *root.parents, *root.rglob("*")]:
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(0o755)
        self.file_of(root, "AAA").parent.chmod(0o700)
        self.file_of(root, "BBB").chmod(0o600)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            index = index_inputs([root])
            stations = [g.sensor_id.station for g in index.groups]
            os._exit(0 if stations == ["CCC"] and len(index.problems) == 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_a_pipe_is_named_and_nobody_waits_for_it(self, root):
        os.mkfifo(root / "AAB.mseed")
        index = index_inputs([root])
        assert len(index.groups) == 3
        assert [p.path for p in index.problems] == [root / "AAB.mseed"]
        assert "pipe" in index.problems[0].what

    def test_on_a_line_of_a_list(self, root, tmp_path_factory, monkeypatch):
        files = [self.file_of(root, station) for station in ("AAA", "BBB", "CCC")]
        link = root / "link"
        link.symlink_to("nowhere")
        here = tmp_path_factory.mktemp("list") / "list.txt"
        here.write_text("".join(f"{path}\n" for path in [link, *files]))
        forbid(monkeypatch, files[1])
        index = index_inputs([here])
        assert [g.sensor_id.station for g in index.groups] == ["AAA", "CCC"]
        assert [p.path for p in index.problems] == [link, files[1]]


class TestPackedFiles:
    PACKERS = (gzip.compress, bz2.compress, lzma.compress)

    @pytest.mark.parametrize("pack", PACKERS)
    @pytest.mark.parametrize("named", [True, False])
    def test_they_are_read_like_others(self, tmp_path, pack, named):
        plain = write(tmp_path / "plain", trace())
        path = tmp_path / "folder" / "a.packed"
        path.parent.mkdir()
        path.write_bytes(pack(plain.read_bytes()))
        index = index_inputs([path if named else path.parent])
        assert index.problems == ()
        assert index.groups[0].paths == (path,)
        (group,) = index.groups
        samples = np.concatenate([r.samples for r in group.records(report=pytest.fail)])
        np.testing.assert_array_equal(samples, trace().data)

    def test_other_formats_too(self, tmp_path):
        sac = write(tmp_path / "a.sac", trace(dtype=np.float32), format="SAC")
        path = tmp_path / "a.sac.gz"
        path.write_bytes(gzip.compress(sac.read_bytes()))
        index = index_inputs([path])
        assert index.problems == ()
        assert count(index.groups[0]) == 3000

    @pytest.mark.parametrize("pack", PACKERS)
    def test_too_much_is_refused_and_no_copy_is_left(self, tmp_path, pack, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path / "copies"))
        (tmp_path / "copies").mkdir()
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setattr(contents, "MOST_UNPACKED_BYTES", 1 << 20)
        data = write(tmp_path / "plain", trace()).read_bytes()
        bomb = tmp_path / "bomb"
        bomb.write_bytes(pack(data + bytes((1 << 20) - len(data) + 1)))
        good = tmp_path / "good.gz"
        good.write_bytes(pack(data))
        index = index_inputs([bomb, good])
        assert [p.path for p in index.problems] == [bomb]
        assert "more than 1 MiB" in index.problems[0].what
        assert count(index.groups[0]) == 3000
        assert list((tmp_path / "copies").iterdir()) == []

    def test_memory_does_not_grow_with_what_is_unpacked(self, tmp_path):
        path = tmp_path / "zeros.gz"
        path.write_bytes(gzip.compress(bytes(1 << 28), 1))
        code = (
            "import resource, sys; from pathlib import Path;"
            "from scperformer.waveforms.contents import open_source;"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
            "open_source(Path(sys.argv[1]));"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, check=True, text=True
        )
        assert int(done.stdout) < 32 * 1024

    @pytest.mark.parametrize(
        ("pack", "n_samples"),
        [(gzip.compress, 5_000), (lzma.compress, 300_000), (bz2.compress, 1_500_000)],
    )
    def test_what_stands_before_the_damage_is_used(self, tmp_path, pack, n_samples):
        data = write(tmp_path / "plain", trace(n=n_samples)).read_bytes()
        path = tmp_path / "cut"
        whole = pack(data)
        path.write_bytes(whole[: len(whole) * 2 // 3])
        index = index_inputs([path])
        problems = [str(problem) for problem in index.problems]
        assert any("damaged or cut short" in text for text in problems)
        (group,) = index.groups
        n = sum(len(r.samples) for r in group.records(report=problems.append))
        assert n_samples / 3 < n < n_samples * 0.7

    @pytest.mark.parametrize("junk", [b"7z\xbc\xaf'\x1c", b"PK\x03\x04", b"\x1f\x8b", b"BZh"])
    def test_records_behind_what_looks_like_a_packer_are_read(self, tmp_path, junk):
        path = write(tmp_path / "a", trace())
        path.write_bytes(junk + path.read_bytes())
        index = index_inputs([path])
        (problem,) = index.problems
        assert problem.lost_bytes == len(junk)
        (group,) = index.groups
        assert sum(len(record.samples) for record in group.records()) == 3000

    def test_archives_of_files_are_named(self, tmp_path):
        inner = write(tmp_path / "inner", trace())
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(inner, "inner")
        (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(600))
        inner.unlink()
        assert [p.what.split(",")[0] for p in index_inputs([tmp_path]).problems] == [
            "a tar archive",
            "a zip archive",
        ]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class TestPickles:
    @pytest.fixture
    def trap(self, tmp_path):
        """A file that obspy takes for one of its own, and what exists once it has run."""
        path, sprung = tmp_path / "trap.mseed", tmp_path / "sprung"
        path.write_bytes(pickle.dumps(("obspy.core.stream", Trap(sprung))))
        return path, sprung

    def test_the_trap_works(self, trap):
        with suppress(Exception):
            obspy.read(str(trap[0]))
        assert trap[1].exists()

    def test_naming_it_runs_nothing(self, trap):
        index = index_inputs([trap[0]])
        assert not trap[1].exists()
        assert "of no other format" in texts(index)[0]

    def test_a_list_that_names_it_runs_nothing(self, trap):
        path, sprung = trap
        (path.parent / "list.txt").write_text(f"{path}\n")
        assert len(index_inputs([path.parent / "list.txt"]).problems) == 1
        assert not sprung.exists()

    def test_packed_it_runs_nothing(self, trap):
        path, sprung = trap
        path.write_bytes(gzip.compress(path.read_bytes()))
        assert len(index_inputs([path]).problems) == 1
        assert not sprung.exists()

    def test_training_records_run_nothing(self, trap):
        records = pytest.importorskip("scperformer.datasets.records")
        write(trap[0].parent / "good.mseed", trace())
        assert len(records.load_folder(trap[0].parent)) == 1
        assert not trap[1].exists()

    def test_pickle_is_on_no_list(self):
        assert not {"PICKLE", "CSS", "NNSA_KB_CORE"} & set(foreign.FORMATS)

    def test_nobody_lets_obspy_guess_the_format(self):
        package = Path(foreign.__file__).parents[1]
        guesses = re.compile(r"obspy\.read\((?!\))|from obspy import .*\bread\b|read_events\(")
        assert [p for p in package.rglob("*.py") if guesses.search(p.read_text())] == []


class TestSizeOfOtherFormats:
    def test_a_large_file_is_named_and_not_read(self, tmp_path, monkeypatch):
        sac = write(tmp_path / "a.sac", trace(dtype=np.float32), format="SAC")
        monkeypatch.setattr(foreign, "MOST_BYTES", 5000)
        index = index_inputs([sac])
        assert index.groups == ()
        assert "read whole are at most" in texts(index)[0]

    def test_a_header_that_promises_too_much_is_not_believed(self, tmp_path, monkeypatch):
        gse = write(tmp_path / "a.gse", trace(), format="GSE2")
        data = gse.read_bytes()
        gse.write_bytes(data.replace(b"    3000", b"99999999", 1))
        index = index_inputs([gse])
        assert index.groups == ()
        assert "99999999 samples promised" in texts(index)[0]

    def test_a_time_beyond_all_years_is_no_time(self, tmp_path):
        sac = write(tmp_path / "a.sac", trace(dtype=np.float32), format="SAC")
        data = bytearray(sac.read_bytes())
        data[20:24] = np.float32(1e12).tobytes()  # B, seconds from the reference time
        sac.write_bytes(data)
        index = index_inputs([sac])
        assert index.groups == ()
        assert len(index.problems) == 1


class TestSelection:
    @pytest.fixture
    def folder(self, tmp_path):
        for channel in ("HHZ", "HNZ", "HV1", "VM2", "ACE"):
            write(tmp_path / f"A.{channel}", trace(channel, "AAA"))
        write(tmp_path / "B.HHZ", trace("HHZ", "BBB"))
        return tmp_path

    @staticmethod
    def taken(index):
        return {f"{s.station}.{s.channel}" for g in index.groups for s in g.seed_ids}

    def test_seismometers_are_the_default(self, folder):
        index = index_inputs([folder])
        assert self.taken(index) == {"AAA.HHZ", "AAA.HNZ", "BBB.HHZ"}
        assert {s.channel: why for s, why in index.left_out.items()} == {
            "HV1": "volumetric strain",
            "VM2": "mass position",
            "ACE": "administrative channel",
        }

    @pytest.mark.parametrize(
        ("selection", "taken"),
        [
            (Selection(channels=("HV?",)), {"AAA.HV1"}),
            (Selection(channels=("?V?",)), set()),
            (Selection(channels=("*",)), {"AAA.HHZ", "AAA.HNZ", "BBB.HHZ"}),
            (Selection(channels=("HH?",)), {"AAA.HHZ", "BBB.HHZ"}),
            (Selection(stations=parse_stations("XX.B*")), {"BBB.HHZ"}),
            (Selection(stations=parse_stations("*")), {"AAA.HHZ", "AAA.HNZ", "BBB.HHZ"}),
            (Selection(stations=parse_stations("*.AAA:HN? HV1")), {"AAA.HNZ", "AAA.HV1"}),
            (Selection(stations=parse_stations("*.AAA:!HN?")), {"AAA.HHZ"}),
            (Selection(stations=parse_stations("*.AAA:--HH?.D")), {"AAA.HHZ"}),
            (Selection(stations=parse_stations("*.AAA:00HH?")), set()),
            (Selection(networks=("YY",)), set()),
            (Selection(locations=("--",), channels=("HN?",)), {"AAA.HNZ"}),
            (Selection(locations=("00",)), set()),
        ],
    )
    def test_what_is_asked_for_is_taken(self, folder, selection, taken):
        index = index_inputs([folder], selection=selection)
        assert self.taken(index) == taken
        assert index.problems == ()

    def test_damage_of_what_is_not_asked_for_is_no_problem(self, folder):
        path = folder / "B.HHZ"
        path.write_bytes(path.read_bytes()[:-100])
        assert len(index_inputs([folder]).problems) == 1
        selection = Selection(stations=parse_stations("XX.AAA"))
        assert index_inputs([folder], selection=selection).problems == ()


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
        "import sys, scperformer.waveforms.archive, scperformer.picks.pick_files;"
        "import scperformer.picks.plots;"
        "print(sorted({'obspy', 'lxml', 'matplotlib', 'tensorflow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "[]"


def data_files(folder):
    """The files that begin as a miniSEED record does, found without the package."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                if re.match(rb"[0-9 ]{6}[DRQM] ", file.read(8)):
                    yield os.path.join(root, name)


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
        found = {path for group in index.groups for path in group.paths}
        assert found == set(map(Path, data_files(shared / "data")))
        n_samples = sum(count(group) for group in index.groups)
        assert n_samples == sum(
            round((f.end_ns - f.start_ns) * f.sampling_rate_hz / NS_PER_S)
            for group in index.groups
            for f in group.files
        )
