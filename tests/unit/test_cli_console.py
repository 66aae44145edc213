"""Standard output that is full, slow or gone: lines once and whole, words without harm."""

import errno
import io
import os
import sys

import pytest

from scperformer.cli.console import EXIT_CLOSED_PIPE, Console, tidy
from scperformer.delivery.delivery import Delivery
from scperformer.delivery.live_sinks import StandardOutput
from scperformer.errors import OutputError
from tests.property.test_stream_state import make_pick

PICKS = [make_pick(n) for n in range(40)]


def line_of(pick):
    return f"{pick.public_id} {'x' * 5000}\n".encode()


class Failing(io.StringIO):
    def __init__(self, code):
        super().__init__()
        self.code = code

    def write(self, text):
        raise OSError(self.code, os.strerror(self.code))


class TestStandardOutput:
    def test_after_a_failure_it_goes_on_where_it_stopped(self):
        """A pipe that nobody empties takes 64 KiB: the failure comes in the midst of a line."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        sink = StandardOutput(line_of, handle=write)
        waiting, got, n_failures = PICKS[:20], b"", 0
        while True:
            try:
                sink.write(waiting)
                break
            except OutputError:
                n_failures += 1
                got += os.read(read, 1 << 20)
                waiting = PICKS  # more have come meanwhile, behind those that wait
        got += os.read(read, 1 << 20)
        os.close(read)
        os.close(write)
        assert n_failures >= 2
        assert got == b"".join(map(line_of, PICKS))

    def test_the_other_outputs_get_their_picks_before_a_closed_pipe_is_told(self):
        read, write = os.pipe()
        os.close(read)
        written = []

        class Other:
            name = "other"

            def write(self, picks):
                written.extend(picks)

            def missing(self, picks):
                return list(picks)

            def settle(self, *, at_once=False):
                return True

            def close(self):
                written.append("closed")

        delivery = Delivery([StandardOutput(line_of, handle=write), Other()])
        with pytest.raises(BrokenPipeError):
            delivery.emit(PICKS[:3])
        assert written == PICKS[:3]
        assert delivery.close() == 3
        assert written[-1] == "closed"
        os.close(write)

    def test_none_at_all(self, monkeypatch):
        monkeypatch.setattr(sys, "__stdout__", None)
        with pytest.raises(OutputError, match="standard output is closed"):
            StandardOutput(line_of)


class TestWords:
    @pytest.fixture
    def run(self, monkeypatch):
        """Run something as the program; return its exit status and standard error."""

        def run(main, *, out=None, err=None):
            heard = err if err is not None else io.StringIO()
            monkeypatch.setattr(sys, "stdout", out if out is not None else io.StringIO())
            monkeypatch.setattr(sys, "stderr", heard)
            return tidy(main)([]), heard.getvalue()

        return run

    def test_a_print_that_fails_does_not_end_the_work(self, run):
        done = []

        def main(argv):
            print("a word")
            done.append(True)
            return 0

        status, heard = run(main, out=Failing(errno.ENOSPC))
        assert done == [True]
        assert status == 1
        assert heard == (
            "scperformer: standard output cannot be written (No space left on device)\n"
        )

    def test_nor_on_standard_error(self, run):
        def main(argv):
            print("a word", file=sys.stderr)
            return 0

        assert run(main, err=Failing(errno.EPIPE))[0] == 0

    def test_a_closed_pipe_is_silent(self, run):
        def main(argv):
            print("a word")
            return 0

        assert run(main, out=Failing(errno.EPIPE)) == (EXIT_CLOSED_PIPE, "")

    def test_an_exit_keeps_its_status(self, run):
        def main(argv):
            raise SystemExit(3)

        with pytest.raises(SystemExit) as caught:
            run(main)
        assert caught.value.code == 3
        assert run(lambda argv: 5)[0] == 5

    def test_what_the_system_refuses_is_one_sentence(self, run):
        def main(argv):
            os.stat("/nowhere/at/all")

        status, heard = run(main)
        assert (status, heard) == (1, "scperformer: /nowhere/at/all: No such file or directory\n")

    def test_both_streams_come_back(self, run):
        before = sys.stdout
        tidy(lambda argv: 0)([])
        assert sys.stdout is before

    def test_no_stream_at_all(self):
        console = Console(None)
        assert console.write("word") == 4
        console.flush()
        assert console.error is None
