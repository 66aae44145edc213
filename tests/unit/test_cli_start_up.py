"""What the commands import before they know that they have something to do."""

import os
import subprocess
import sys

import pytest

from scperformer.cli.main import SUBCOMMANDS
from tests.conftest import ROOT

FRAMEWORKS = {"tensorflow", "keras", "kapre", "obspy", "matplotlib", "lxml", "einops"}
HEAVY = FRAMEWORKS | {"scipy", "h5py"}
_MARK = "imported:"
_CODE = f"""
import sys
from scperformer.entry import main
try:
    status = main(sys.argv[1:])
except SystemExit as stopped:
    status = stopped.code
print({_MARK!r}, *sorted({{name.split('.')[0] for name in sys.modules}}))
sys.exit(status)
"""


def modules_of(*arguments, status):
    """The top-level modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == status, done.stderr
    return set(done.stdout.rpartition(_MARK)[2].split())


def test_help_imports_not_even_numpy():
    assert not modules_of("--version", status=0) & (HEAVY | {"numpy"})


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_a_subcommand_imports_nothing_heavy(name):
    assert not modules_of(name, "--help", status=0) & HEAVY


@pytest.mark.parametrize(
    "words",
    [
        "scan --shift 0 x",
        "scan --no-filter --filter BW(4,2,20) x",
        "scan --start noon x",
        "scan --print-precision 99 x",
        "scan --threshold much x",
        "predict x.npz -o y.npz --batch-size 0",
        "evaluate --draws -1 x",
    ],
)
def test_a_wrong_option_is_told_before_anything_heavy_comes(words):
    assert not modules_of(*words.split(), status=2) & HEAVY


def test_a_wrong_filter_needs_no_framework():
    assert not modules_of("scan", "--filter", "XX(1)", "x", status=2) & FRAMEWORKS


def test_the_list_of_models_needs_nothing_heavy():
    assert not modules_of("models", "list", status=0) & HEAVY
