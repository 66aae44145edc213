"""Outputs that are full, closed or gone: one sentence, a sensible exit status, nothing lost."""

import json
import os
import resource
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import obspy
import pytest

from tests.conftest import ROOT
from tests.streaming import network
from tests.synthetic import LETTERS, START_NS, earthquakes

FULL = "/dev/full"
CLOSED_PIPE = 141
MODEL = """
    import numpy as np

    def load_model():
        def predict(windows):
            energy = (windows.astype(float) ** 2).reshape(len(windows), 8, 50, 3).sum(2) + 1e-6
            rise = np.log(energy[:, 4] / energy[:, 3])
            p = 1 / (1 + np.exp(3 - rise[:, 2]))
            s = (1 - p) / (1 + np.exp(3 - rise[:, :2].max(1)))
            return np.stack([p, s, 1 - p - s], 1)
        return predict
"""

pytestmark = pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Waveforms, windows and a model that needs no TensorFlow."""
    path = tmp_path_factory.mktemp("full")
    (path / "rise.py").write_text(textwrap.dedent(MODEL))
    stream = obspy.Stream()
    for letter, samples in zip(LETTERS, earthquakes(12_000, [30.0, 60.0, 90.0]), strict=True):
        header = {"network": "XX", "station": "A", "channel": f"HH{letter}", "sampling_rate": 100.0}
        header["starttime"] = obspy.UTCDateTime(ns=START_NS)
        stream.append(obspy.Trace(samples.astype("i4"), header))
    stream.write(str(path / "a.mseed"), format="MSEED")
    (path / "live.mseed").write_bytes(b"".join(network(140)))
    np.savez(path / "windows.npz", windows=np.random.default_rng(0).random((2000, 400, 3), "f4"))
    return path


def run(*arguments, folder, file_bytes=None, prepare=None, **options):
    """Run the program; `file_bytes` is the size at which every file's disk is full."""
    if file_bytes is not None:
        sizes = (file_bytes, file_bytes)
        prepare = partial(resource.setrlimit, resource.RLIMIT_FSIZE, sizes)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-m", "scperformer", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=prepare,
        check=False,
        timeout=120,
        **options,
    )


def closed_pipe():
    read, write = os.pipe()
    os.close(read)
    return write


def sentences(done):
    """Lines on standard error that are no log and no drawing of progress."""
    text = (done.stderr or b"").decode()
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    return [line for line in text.splitlines() if line.startswith("scperformer")]


def scan(*arguments, folder, inputs=("a.mseed",), **options):
    own = ("scan", *inputs, "--model", "rise.py", "--threshold", "0.5")
    return run(*own, *arguments, folder=folder, **options)


def n_lines(path):
    return len(path.read_text().splitlines())


SHORT_COMMANDS = [("--version",), ("scan", "--help"), ("models", "list"), ("models", "show", "cnn")]


class TestStandardOutput:
    @pytest.mark.parametrize("command", SHORT_COMMANDS, ids=" ".join)
    def test_full(self, command, folder):
        with open(FULL, "wb") as full:
            done = run(*command, folder=folder, stdout=full)
        assert done.returncode == 1
        assert sentences(done) == [
            "scperformer: standard output cannot be written (No space left on device)"
        ]

    @pytest.mark.parametrize("command", SHORT_COMMANDS, ids=" ".join)
    def test_closed(self, command, folder):
        pipe = closed_pipe()
        done = run(*command, folder=folder, stdout=pipe)
        os.close(pipe)
        assert done.returncode == CLOSED_PIPE
        assert sentences(done) == []

    @pytest.mark.parametrize("command", SHORT_COMMANDS, ids=" ".join)
    def test_none_at_all(self, command, folder):
        done = run(*command, folder=folder, prepare=partial(os.close, 1), stdout=None)
        assert sentences(done) == []

    def test_a_scan_keeps_its_picks(self, folder):
        scan("-o", "whole.csv", folder=folder)
        with open(FULL, "wb") as full:
            done = scan("-o", "full.csv", folder=folder, stdout=full)
        assert done.returncode == 1
        assert len(sentences(done)) == 1
        pipe = closed_pipe()
        assert scan("-o", "closed.csv", folder=folder, stdout=pipe).returncode == CLOSED_PIPE
        os.close(pipe)
        whole = (folder / "whole.csv").read_bytes()
        assert whole.count(b"\n") > 4
        assert (folder / "full.csv").read_bytes() == (folder / "closed.csv").read_bytes() == whole

    def test_standard_error_that_nobody_reads(self, folder):
        """Progress and problems that cannot be told cost no picks."""
        scan("-o", "told.csv", folder=folder)
        pipe = closed_pipe()
        inputs = ("a.mseed", "nothing.mseed")
        done = scan("-o", "silent.csv", folder=folder, inputs=inputs, stderr=pipe)
        os.close(pipe)
        assert done.returncode == 1
        assert (folder / "silent.csv").read_bytes() == (folder / "told.csv").read_bytes()


class TestStream:
    def stream(self, *arguments, folder, **options):
        own = ("stream", "live.mseed", "--model", "rise.py", "--threshold", "0.5")
        return run(*own, *arguments, folder=folder, **options)

    def test_a_full_standard_output_costs_the_other_outputs_nothing(self, folder):
        whole = self.stream("-o", "-", "-o", "whole.jsonl", folder=folder)
        assert whole.stdout == (folder / "whole.jsonl").read_bytes()
        assert whole.stdout.count(b"\n") >= 6
        with open(FULL, "wb") as full:
            done = self.stream("-o", "-", "-o", "full.jsonl", folder=folder, stdout=full)
        assert done.returncode == 1
        assert sentences(done) == []
        assert done.stderr.count(b"standard output cannot be written") == 1
        assert (folder / "full.jsonl").read_bytes() == whole.stdout

    def test_a_closed_pipe_ends_it_silently(self, folder):
        pipe = closed_pipe()
        done = self.stream("-o", "-", "-o", "closed.jsonl", folder=folder, stdout=pipe)
        os.close(pipe)
        assert done.returncode == CLOSED_PIPE
        assert sentences(done) == []
        assert b"ERROR" not in done.stderr
        lines = (folder / "closed.jsonl").read_text().splitlines()
        assert all(json.loads(line)["public_id"] for line in lines)
        assert lines

    def test_none_at_all(self, folder):
        close = partial(os.close, 1)
        done = self.stream("-o", "-", folder=folder, prepare=close, stdout=None)
        assert done.returncode == 2
        assert sentences(done) == [
            "scperformer stream: standard output is closed; name a file with --out"
        ]


class TestDisk:
    def test_a_scan_leaves_the_old_file_and_no_part(self, folder):
        out = folder / "old.csv"
        out.write_text("old\n")
        done = scan("-o", "old.csv", folder=folder, file_bytes=100)
        assert done.returncode == 2
        assert sentences(done) == [
            "scperformer scan: old.csv: cannot be written (File too large)",
            "scperformer scan: nothing can be written any more: ended",
        ]
        assert out.read_text() == "old\n"
        assert not list(folder.glob(".old*"))

    @pytest.mark.parametrize("order", [("small.txt", "large.qml"), ("large.qml", "small.txt")])
    def test_outputs_that_fit_are_written(self, folder, order):
        for name in order:
            (folder / name).unlink(missing_ok=True)
        done = scan("-o", order[0], "-o", order[1], folder=folder, file_bytes=1500)
        assert done.returncode == 1
        assert len(sentences(done)) == 1
        assert "large.qml: cannot be written" in sentences(done)[0]
        assert n_lines(folder / "small.txt") > 4
        assert not (folder / "large.qml").exists()

    def test_scores_that_do_not_fit_cost_no_picks(self, folder):
        done = scan("-o", "scored.txt", "--print-scores", folder=folder, file_bytes=1500)
        assert done.returncode == 1
        assert done.stderr.count(b"only the picks are, from now on") == 1
        assert n_lines(folder / "scored.txt") > 4

    def test_a_prediction(self, folder):
        arguments = ("predict", "windows.npz", "-o", "p.npz", "--model", "rise.py")
        done = run(*arguments, folder=folder, file_bytes=1000)
        assert done.returncode == 2
        assert len(sentences(done)) == 1
        assert "p.npz: cannot be written" in sentences(done)[0]
        assert not list(folder.glob("*p.npz*"))

    def test_devices_stay_what_they_are(self, folder):
        link = folder / "device.csv"
        link.symlink_to("/dev/null")
        done = scan("-o", "device.csv", folder=folder)
        assert done.returncode == 2
        assert sentences(done) == [
            "scperformer scan: device.csv: is a device or a pipe; name a file"
        ]
        assert os.path.realpath(link) == "/dev/null"
        assert not os.path.isfile("/dev/null")
