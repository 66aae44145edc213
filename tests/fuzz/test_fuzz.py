"""A minute of damaged inputs for every reader, and all that ever went wrong once more.

`python -m tests.fuzz` runs as long as one likes. What it finds is mended, and kept in `found`.
"""

import os
from collections import defaultdict
from pathlib import Path

import pytest

from tests.fuzz import runner
from tests.fuzz.broken import BROKEN
from tests.fuzz.targets import SEEDS, TARGETS
from tests.fuzz.worker import KNOWN

FOUND = Path(__file__).parent / "found"
SECONDS = float(os.environ.get("SCPERFORMER_FUZZ_SECONDS", "60"))
MOST_SEED_BYTES = 300_000


def text_of(failures):
    return "\n\n".join(f"{' '.join(f.signature)} (input {f.index})\n{f.text}" for f in failures)


def test_seeds_are_small_and_every_target_has_some():
    files = [path for path in SEEDS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_SEED_BYTES
    folders = {target.seeds or name for name, target in KNOWN.items()}
    assert folders == {path.parent.name for path in files}


def test_the_same_number_gives_the_same_input():
    for target in TARGETS.values():
        inputs = [target.input(7, n) for n in range(40)]
        assert inputs == [target.input(7, n) for n in range(40)]
        assert len(set(inputs)) > 20


def test_what_was_found_once_is_mended():
    files = defaultdict(list)
    for path in sorted(FOUND.rglob("*")):
        if path.is_file():
            files[path.parent.name].append(path)
    assert files
    failures = runner.replay(files)
    assert not failures, text_of(failures)


@pytest.mark.slow
def test_a_minute_of_damage():
    report = runner.run(list(TARGETS), seed=1, seconds=SECONDS, slice_s=SECONDS / len(TARGETS) / 2)
    assert not report.failures, text_of(report.failures.values())
    assert min(report.inputs[name] for name in TARGETS) > 0
    assert report.inputs.total() > 100 * SECONDS


def test_every_way_to_fail_is_noticed():
    told = []
    report = runner.run(list(BROKEN), seed=0, inputs=11, slice_s=0.0, on_failure=told.append)
    assert {failure.target: failure.kind for failure in told} == {name: name for name in BROKEN}
    assert report.inputs.total() == 11
