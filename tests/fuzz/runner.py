"""Runs targets in worker processes, and notices those that crash, hang or grow."""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.fuzz.worker import KNOWN, MARK

ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.2
_START_S = 120.0
_SLICE_S = 2.0


@dataclass(frozen=True, slots=True)
class Failure:
    """The first input that went wrong in some way.

    Attributes:
        target: name of the target.
        index: number of the input.
        kind: the exception's name, ``crash``, ``hang`` or ``memory``.
        where: the last line of our own that was being run.
        text: the traceback, or what else is known.
    """

    target: str
    index: int
    kind: str
    where: str
    text: str

    @property
    def signature(self) -> tuple[str, str, str]:
        return self.target, self.kind, self.where


@dataclass(slots=True)
class Report:
    """What came of a run.

    Attributes:
        inputs: number of inputs by target.
        failures: the first of each signature, and how many there were.
        seconds: time spent by target.
    """

    inputs: Counter[str] = field(default_factory=Counter)
    failures: dict[tuple[str, str, str], Failure] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def add(self, failure: Failure) -> None:
        self.counts[failure.signature] += 1
        self.failures.setdefault(failure.signature, failure)


class Worker:
    """One process, begun again when it dies.

    Args:
        names: the targets that it will be asked for.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._folder = tempfile.TemporaryDirectory(
            prefix="fuzz", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        )
        self._mark_path = Path(self._folder.name) / "mark"
        self._errors_path = Path(self._folder.name) / "stderr"
        self._mark_path.write_bytes(bytes(MARK.size))
        with self._mark_path.open("r+b") as file:
            self._mark = mmap.mmap(file.fileno(), MARK.size)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def run(
        self,
        name: str,
        seed: int,
        first: int,
        end: int,
        *,
        seconds: float,
        file: Path | None = None,
    ) -> tuple[int, list[Failure]]:
        """Run inputs from `first` on; return the number of the next, and what went wrong.

        Args:
            name: the target.
            seed: of chance.
            first: number of the first input.
            end: number behind the last input.
            seconds: time after which no further input is begun.
            file: an input that is run instead.
        """
        process = self._started()
        job: dict[str, Any] = {
            "target": name,
            "seed": seed,
            "first": first,
            "end": end,
            "seconds": seconds,
        }
        job["file"] = None if file is None else str(file.absolute())
        assert process.stdin is not None
        self._mark[:] = MARK.pack(-1, time.monotonic())
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            line = self._answer(process, KNOWN[name].timeout_s)
        except (BrokenPipeError, EOFError):
            return self._died(process, name, first)
        except TimeoutError:
            process.kill()
            return self._died(process, name, first, hang=True)
        answer: dict[str, Any] = json.loads(line)
        failures = [Failure(name, **failure) for failure in answer["failures"]]
        return answer["next"], failures

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            with self._errors_path.open("wb") as errors:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.worker"),
                        *(str(self._mark_path), self._folder.name, *self._names),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                )
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
        """Wait for a line.

        Raises:
            EOFError: the process has ended.
            TimeoutError: an input takes too long.
        """
        assert process.stdout is not None
        while True:
            ready, _, _ = select.select([process.stdout], [], [], _POLL_S)
            if ready:
                line = process.stdout.readline()
                if not line:
                    raise EOFError
                return line
            index, begun_s = MARK.unpack(self._mark[:])
            if time.monotonic() - begun_s > (timeout_s if index >= 0 else _START_S):
                raise TimeoutError

    def _died(
        self, process: subprocess.Popen[bytes], name: str, first: int, *, hang: bool = False
    ) -> tuple[int, list[Failure]]:
        code = process.wait()
        index, _ = MARK.unpack(self._mark[:])
        text = self._errors_path.read_text(errors="replace")[-3000:]
        self._end()
        if index < 0:
            raise RuntimeError(f"the worker for {name} ended before its first input:\n{text}")
        if hang:
            return index + 1, [Failure(name, index, "hang", name, text)]
        with suppress(ValueError):
            text = f"{signal.Signals(-code).name}\n{text}"
        return index + 1, [Failure(name, index, "crash", name, text)]

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError):  # a job that the worker did not take
                process.communicate()


def run(
    names: Sequence[str],
    *,
    seed: int,
    inputs: int | None = None,
    seconds: float | None = None,
    on_failure: Callable[[Failure], None] = lambda failure: None,
    slice_s: float = _SLICE_S,
) -> Report:
    """Run targets in turns until so many inputs have been tried, or the time is over.

    Args:
        names: the targets.
        seed: of chance.
        inputs: over all targets.
        seconds: over all targets, not counting the worker's start.
        on_failure: hears of each new kind of failure.
        slice_s: time of a turn.
    """
    report = Report()
    places = dict.fromkeys(names, 0)
    with Worker(names) as worker:
        worker.run(names[0], seed, 0, 1, seconds=0.0)
        begun_s = time.monotonic()
        while True:
            for name in names:
                left = None if inputs is None else inputs - report.inputs.total()
                spent_s = time.monotonic() - begun_s
                if (left is not None and left <= 0) or (seconds is not None and spent_s >= seconds):
                    return report
                turn_s = time.monotonic()
                end = places[name] + (left if left is not None else 1 << 40)
                following, failures = worker.run(name, seed, places[name], end, seconds=slice_s)
                report.inputs[name] += following - places[name]
                report.seconds[name] += time.monotonic() - turn_s  # type: ignore[assignment]
                places[name] = following
                for failure in failures:
                    is_new = failure.signature not in report.failures
                    report.add(failure)
                    if is_new:
                        on_failure(failure)


def replay(files: Mapping[str, Sequence[Path]]) -> list[Failure]:
    """Run files through their targets, one by one, in a process of its own."""
    found: list[Failure] = []
    with Worker(list(files)) as worker:
        for name, own in files.items():
            for number, file in enumerate(own):
                _, failures = worker.run(name, 0, number, number + 1, seconds=0.0, file=file)
                found += (
                    replace(failure, where=f"{file.name}: {failure.where}") for failure in failures
                )
    return found
