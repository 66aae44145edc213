"""`scperformer scan` on long archives: resumed, in several processes, on a cluster."""

import csv
import functools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import obspy
import pytest

from scperformer.picks.pick_files import read_pick_file
from scperformer.types import parse_time
from tests.conftest import ROOT
from tests.streaming_network import streaming_folder
from tests.synthetic import LETTERS, earthquakes

DAYS, STATIONS = 4, ("A", "B", "C")
MIDNIGHT = obspy.UTCDateTime("2020-09-13")
LENGTH_S = 600
DAYS_OF_PICKS = ("days.scml", "days.qml")
OUTPUTS = ("picks.csv", "picks.jsonl", "picks.txt", "picks.scml", "picks.qml")


def write_day(folder, station, day, *, seed=0):
    """Ten minutes around the beginning of a day, events on both sides of midnight."""
    ground = earthquakes(LENGTH_S * 100, [30.0, 200.0, 297.0, 301.0, 420.0], seed=seed + day)
    start = MIDNIGHT + 86_400 * (day + 1) - LENGTH_S / 2
    stream = obspy.Stream()
    for letter, samples in zip(LETTERS, ground, strict=True):
        header = {"network": "XX", "station": station, "channel": f"HH{letter}"}
        header |= {"sampling_rate": 100.0, "starttime": start}
        stream.append(obspy.Trace(samples.astype("i4"), header))
    stream.write(str(folder / f"{station}.{day}.mseed"), format="MSEED")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An archive and a small network with random weights."""
    folder = tmp_path_factory.mktemp("years")
    (folder / "archive").mkdir()
    for number, station in enumerate(STATIONS):
        for day in range(DAYS):
            write_day(folder / "archive", station, day, seed=100 * number)
    streaming_folder(folder / "model", seed=9, decisive=4.0)
    return folder


def command(*arguments, archive="archive", outputs=OUTPUTS):
    wanted = [word for name in outputs for word in ("-o", name)]
    options = ("--model-name", "model", *wanted, *arguments)
    return [sys.executable, "-m", "scperformer", "scan", archive, *map(str, options)]


def scan(place, *arguments, path=ROOT, **options):
    """Run a scan to its end; its outputs are gone before. Python looks for modules in `path`."""
    for name in OUTPUTS:
        (place / name).unlink(missing_ok=True)
    return subprocess.run(
        command(*arguments, **options),
        capture_output=True,
        text=True,
        cwd=place,
        check=False,
        env={**os.environ, "PYTHONPATH": str(path)},
        timeout=300,
    )


def documents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def contents(place):
    return {name: (place / name).read_bytes() for name in OUTPUTS}


def ids(place):
    with (place / "picks.csv").open() as file:
        return [row["public_id"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def plain(place):
    """The tables of a scan in one process that nothing disturbed."""
    done = scan(place)
    assert done.returncode == 0, done.stderr
    return {name: data for name, data in contents(place).items() if "ml" not in name}


def same_tables(place, plain):
    return {name: (place / name).read_bytes() for name in plain} == plain


def test_days_are_cut_at_midnight_and_picks_on_both_sides_are_there_once(place, plain):
    rows = list(csv.DictReader(plain["picks.csv"].decode().splitlines()))
    assert len({row["public_id"] for row in rows}) == len(rows) > 50
    order = [(row["time"][:10], row["station"], row["time"]) for row in rows]
    assert order == sorted(order)
    assert len({day for day, _, _ in order}) == DAYS + 1


def test_several_processes_write_the_same_bytes(place, plain):
    done = scan(place, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    assert same_tables(place, plain)


STUBBORN = """
    import os, signal
    from scperformer.scanning import crew, work

    plain = work.Worker.scan

    def scan(self, piece, report=None):
        if piece.name.startswith("XX.B..HH 2020-09-14"):
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, piece, report)

    work.Worker.scan = scan
"""


class TestLostProcesses:
    def test_a_piece_that_kills_its_process_thrice_is_named_and_the_rest_goes_on(
        self, place, plain, tmp_path
    ):
        (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(STUBBORN))
        done = scan(place, "--jobs", 2, path=f"{tmp_path}:{ROOT}")
        assert done.returncode == 1, done.stderr
        assert "XX.B..HH 2020-09-14: not scanned: its process died 3 times" in done.stderr
        rows = list(csv.DictReader(plain["picks.csv"].decode().splitlines()))
        expected = [
            row["public_id"]
            for row in rows
            if not (row["station"] == "B" and row["time"].startswith("2020-09-14"))
        ]
        assert ids(place) == expected


class TestResume:
    def until_killed(self, place, tmp_path, number, *arguments, **options):
        """Start a scan that is slow, and send it a signal when something is written."""
        (tmp_path / "sitecustomize.py").write_text(
            "from scperformer.scanning import work\nimport time\n"
            "plain = work.Worker.scan\n"
            "def scan(self, piece, report=None):\n"
            "    time.sleep(0.2)\n    return plain(self, piece, report)\n"
            "work.Worker.scan = scan\n"
        )
        for name in OUTPUTS:
            (place / name).unlink(missing_ok=True)
        process = subprocess.Popen(
            command(*arguments, **options),
            cwd=place,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        table = place / "picks.csv"
        for _ in range(600):
            if table.exists() and len(table.read_bytes().splitlines()) > 15:
                break
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_killed_and_resumed_it_writes_the_bytes_of_an_undisturbed_scan(
        self, place, plain, tmp_path, jobs
    ):
        folder = tmp_path / "done"
        options = ("--resume", folder, "--jobs", jobs)
        status, _ = self.until_killed(place, tmp_path, signal.SIGKILL, *options)
        assert status == -signal.SIGKILL
        assert 0 < len(ids(place)) < len(plain["picks.csv"].splitlines()) - 1
        done = scan(place, *options)
        assert done.returncode == 0, done.stderr
        assert same_tables(place, plain)
        documents = contents(place)
        again = scan(place, *options)
        assert again.returncode == 0
        assert contents(place) == documents

    def test_documents_by_day_are_those_of_an_undisturbed_scan(self, place, plain, tmp_path):
        wanted = ("picks.csv", *(str(tmp_path / name) for name in DAYS_OF_PICKS))
        options = ("--resume", tmp_path / "done", "--roll", "day", "--jobs", 2)
        self.until_killed(place, tmp_path, signal.SIGKILL, *options, outputs=wanted)
        fresh = tmp_path / "fresh"
        shutil.copytree(tmp_path / "done", fresh)
        with sqlite3.connect(fresh / "scan.sqlite") as base:
            base.execute("DELETE FROM pieces")  # the time of the beginning stays
        base.close()
        done = scan(place, *options, outputs=wanted)
        assert done.returncode == 0, done.stderr
        resumed = {name: documents(tmp_path / name) for name in DAYS_OF_PICKS}
        for name in DAYS_OF_PICKS:
            shutil.rmtree(tmp_path / name)
        done = scan(place, "--resume", fresh, "--roll", "day", outputs=wanted)
        assert done.returncode == 0, done.stderr
        assert resumed == {name: documents(tmp_path / name) for name in DAYS_OF_PICKS}
        rows = list(csv.DictReader(plain["picks.csv"].decode().splitlines()))
        for name, found in resumed.items():
            assert sorted(found) == sorted({row["time"][:10] + Path(name).suffix for row in rows})
            times_ns = [pick.time_ns for pick in read_pick_file(tmp_path / name)]
            assert times_ns == [parse_time(row["time"]) for row in rows]

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_ends_it_in_good_order_and_says_how_to_go_on(
        self, place, plain, tmp_path, number, status
    ):
        folder = tmp_path / "done"
        got, err = self.until_killed(place, tmp_path, number, "--resume", folder)
        assert got == status
        assert "of 15 station-days, in XX." in err
        assert "the same command goes on from there" in err
        assert scan(place, "--resume", folder).returncode == 0
        assert same_tables(place, plain)

    def test_other_settings_and_models_are_refused(self, place, tmp_path):
        folder = tmp_path / "done"
        assert scan(place, "--resume", folder).returncode == 0
        for options, words in (
            (("--threshold", "0.7"), "threshold_p null, now it is 0.7"),
            (("--agency", "ABC"), "with owner none, now it is ABC"),
        ):
            done = scan(place, "--resume", folder, *options)
            assert done.returncode == 2
            assert f"--resume: {folder} was begun with" in done.stderr
            assert words in done.stderr
            assert not (place / "picks.csv").exists()
        streaming_folder(place / "other", seed=8, decisive=4.0)
        done = scan(place, "--resume", folder, "--model-name", "other")
        assert done.returncode == 2
        assert "was begun with model random" in done.stderr

    def test_files_that_came_later_are_scanned_and_put_in_their_place(self, place, tmp_path):
        archive = tmp_path / "archive"
        archive.mkdir()
        run = functools.partial(scan, place, archive=str(archive))
        for day in (0, 2):
            write_day(archive, "A", day)
        assert run("--resume", tmp_path / "done").returncode == 0
        write_day(archive, "A", 1)
        write_day(archive, "B", 0)
        write_day(archive, "A", 2, seed=77)  # another file of that name
        done = run("--resume", tmp_path / "done")
        assert done.returncode == 0, done.stderr
        resumed = ids(place)
        assert run().returncode == 0
        assert resumed == ids(place)


STALE = "archive/B.1.mseed: cannot be read (Stale file handle)"
GONE = "archive/B.1.mseed: no such file or folder"
FAULTS = {
    STALE: """
        import errno, os
        from scperformer.waveforms import mseed

        plain = mseed.read_block

        def read_block(path, *arguments):
            if path.name == "B.1.mseed":
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return plain(path, *arguments)

        mseed.read_block = read_block
    """,
    GONE: """
        import os
        from scperformer.scanning import work

        plain = work.Worker.scan

        def scan(self, piece, report=None):
            if os.path.exists("archive/B.1.mseed"):
                os.rename("archive/B.1.mseed", "B.1.mseed")
            return plain(self, piece, report)

        work.Worker.scan = scan
    """,
}


class TestFilesThatCannotBeRead:
    """The file B.1 has the last minutes of one day and the first ones of the next."""

    def n_done(self, folder):
        with sqlite3.connect(folder / "scan.sqlite") as base:
            ((n,),) = base.execute("SELECT COUNT(*) FROM pieces")
        base.close()
        return n

    @pytest.mark.parametrize(("fault", "jobs"), [(STALE, 2), (GONE, 1)])
    def test_the_rest_goes_on_and_a_resumed_scan_finds_what_was_left(
        self, place, plain, tmp_path, fault, jobs
    ):
        (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(FAULTS[fault]))
        folder = tmp_path / "done"
        options = ("--resume", folder, "--jobs", jobs)
        try:
            done = scan(place, *options, path=f"{tmp_path}:{ROOT}")
        finally:
            if (place / "B.1.mseed").exists():
                (place / "B.1.mseed").rename(place / "archive" / "B.1.mseed")
        assert done.returncode == 1, done.stderr
        assert done.stderr.count(fault) == 1
        assert "1 problem with inputs" in done.stdout
        assert "2 station-days are left; the same command goes on there" in done.stderr
        assert self.n_done(folder) == len(STATIONS) * (DAYS + 1) - 2
        rows = list(csv.DictReader(plain["picks.csv"].decode().splitlines()))
        lost = [MIDNIGHT + 86_400 * 2 - LENGTH_S / 2, MIDNIGHT + 86_400 * 2 + LENGTH_S / 2]
        expected = [
            row["public_id"]
            for row in rows
            if not (row["station"] == "B" and lost[0] <= obspy.UTCDateTime(row["time"]) < lost[1])
        ]
        assert ids(place) == expected
        done = scan(place, *options)
        assert done.returncode == 0, done.stderr
        assert same_tables(place, plain)
        assert self.n_done(folder) == len(STATIONS) * (DAYS + 1)


def test_a_damaged_result_is_scanned_again(place, plain, tmp_path):
    folder = tmp_path / "done"
    assert scan(place, "--resume", folder).returncode == 0
    with sqlite3.connect(folder / "scan.sqlite") as base:
        base.execute("UPDATE pieces SET result = x'00' WHERE sensor = 'XX.B..HH'")
    base.close()
    done = scan(place, "--resume", folder)
    assert done.returncode == 0
    assert "scanned again" in done.stderr
    assert same_tables(place, plain)


class TestOnACluster:
    @pytest.fixture(autouse=True)
    def _dask(self):
        pytest.importorskip("distributed", reason="dask.distributed is not installed")

    def test_a_cluster_of_its_own_writes_the_same_bytes(self, place, plain):
        done = scan(place, "--dask", "local")
        assert done.returncode == 0, done.stderr
        assert same_tables(place, plain)

    def test_what_a_killed_worker_had_in_hand_goes_to_others(self, place, plain, tmp_path):
        """A scheduler and workers in processes of their own, one of them killed in the middle."""
        code = """
            import os, signal, sys
            from distributed import LocalCluster

            if __name__ == "__main__":
                with LocalCluster(
                    n_workers=2, threads_per_worker=1, dashboard_address=None
                ) as cluster:
                    print(cluster.scheduler_address, flush=True)
                    sys.stdin.readline()
                    first = next(iter(cluster.workers.values()))
                    os.kill(first.pid, signal.SIGKILL)
                    sys.stdin.readline()
        """
        (tmp_path / "cluster.py").write_text(textwrap.dedent(code))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        cluster = subprocess.Popen(
            [sys.executable, str(tmp_path / "cluster.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            address = cluster.stdout.readline().strip()
            for name in OUTPUTS:
                (place / name).unlink(missing_ok=True)
            scanning = subprocess.Popen(
                command("--dask", address),
                cwd=place,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            table = place / "picks.csv"
            while not table.exists() and scanning.poll() is None:
                time.sleep(0.02)
            cluster.stdin.write("kill\n")
            cluster.stdin.flush()
            _, err = scanning.communicate(timeout=240)
            assert scanning.returncode == 0, err
            assert same_tables(place, plain)
        finally:
            cluster.stdin.close()
            cluster.kill()
            cluster.wait()

    def test_no_scheduler_is_said_in_a_sentence(self, place):
        done = scan(place, "--dask", "tcp://127.0.0.1:9")
        assert done.returncode == 2
        assert "--dask: got 'tcp://127.0.0.1:9': no scheduler answers there" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--jobs", "0"), "--jobs: got '0'; wanted auto or 1 to 1024"),
        (("--jobs", "many"), "--jobs: got 'many'"),
        (("--jobs", "2", "--dask", "local"), "--jobs and --dask exclude each other"),
        (("--roll", "day"), "--roll day: got no output that rolls but picks.csv; wanted one of"),
    ],
)
def test_impossible_wishes(place, options, words):
    done = scan(place, *options, outputs=["picks.csv"])
    assert done.returncode == 2
    assert words in done.stderr


def test_the_tables_grow_with_every_piece(place, plain):
    """What is there while the scan runs is a beginning of what is there in the end."""
    for name in OUTPUTS:
        (place / name).unlink(missing_ok=True)
    process = subprocess.Popen(
        command(), cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    sizes = set()
    while process.poll() is None:
        for name in ("picks.csv", "picks.jsonl"):
            if (place / name).exists():
                data = (place / name).read_bytes()
                assert plain[name].startswith(data)
                sizes.add((name, len(data)))
        time.sleep(0.005)
    assert process.returncode == 0
    assert len(sizes) > 6
