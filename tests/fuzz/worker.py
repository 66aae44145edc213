"""A process that runs targets and tells what went wrong; it may die of an input.

It reads a job a line and writes an answer a line. While it works, the number of the input
and the time at which it began stand in a shared file, so that whoever watches knows which
input a crash or a hang belongs to.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import resource
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from scperformer.errors import ScperformerError
from tests.fuzz.broken import BROKEN
from tests.fuzz.targets import TARGETS, Target

KNOWN = {**TARGETS, **BROKEN}
MARK = struct.Struct("<qd")
_MEMORY_BYTES = 1 << 30
_OWN = f"{os.sep}scperformer{os.sep}"


class _Tracebacks(logging.Handler):
    """Hears of log lines with a traceback, and of lines that cannot be formatted."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])


def run_one(target: Target, data: bytes, heard: _Tracebacks) -> dict[str, Any] | None:
    """Run an input; return what went wrong."""
    heard.found.clear()
    before = _peak_bytes()
    try:
        target.run(data)
    except ScperformerError:
        pass
    except BaseException as error:
        return _failure(error)
    if heard.found:
        return _failure(heard.found[0])
    grown = _peak_bytes() - before
    if grown > target.memory_mib << 20:
        return {"kind": "memory", "where": target.name, "text": f"{grown >> 20} MiB for one input"}
    return None


def _peak_bytes() -> int:
    """Largest resident set of this program; `getrusage` would tell its parent's, if larger."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def _failure(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _OWN in frame.filename and "tests" not in frame.filename]
    frame = (own or frames)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
    text = "".join(traceback.format_exception(error))[-6000:]
    return {"kind": type(error).__name__, "where": where, "text": text}


def _data(job: dict[str, Any], target: Target, index: int) -> bytes:
    return Path(job["file"]).read_bytes() if job["file"] else target.input(job["seed"], index)


def main() -> None:
    warnings.simplefilter("ignore")
    mark_path, folder, *names = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stdout = sys.stderr
    os.chdir(folder)
    heard = _Tracebacks()
    logging.getLogger().handlers[:] = [heard]
    with open(mark_path, "r+b") as file:
        mark = mmap.mmap(file.fileno(), MARK.size)
    for name in names:
        KNOWN[name].prepare()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY_BYTES,) * 2)
    for line in sys.stdin:
        job = json.loads(line)
        target = KNOWN[job["target"]]
        end_s = time.monotonic() + job["seconds"]
        failures = []
        index = job["first"]
        while index < job["end"] and (time.monotonic() < end_s or index == job["first"]):
            data = _data(job, target, index)
            mark[:] = MARK.pack(index, time.monotonic())
            failure = run_one(target, data, heard)
            if failure is not None:
                failures.append({"index": index, **failure})
            index += 1
        mark[:] = MARK.pack(-1, time.monotonic())
        answer = {"next": index, "failures": failures, "peak": _peak_bytes()}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
