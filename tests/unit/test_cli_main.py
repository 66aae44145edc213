"""What the command line says, what it imports before it has to, and the reference of settings."""

import os
import subprocess
import sys
from dataclasses import MISSING

import pytest

from scperformer.cli import reference
from scperformer.cli.main import SUBCOMMANDS, main
from scperformer.config import Settings
from scperformer.seiscomp.settings import module_infos
from scperformer.setting import settings_of
from scperformer.training.config import TrainingConfig
from scperformer.training.streaming_config import StreamingConfig
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


def refused(capsys, *words):
    """Return what is said of a command that argparse refuses."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def helped(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "program", "said"),
    [
        (
            "scan --workers 8 x",
            "scan",
            "--workers: no such option; 'scperformer scan --help' tells",
        ),
        ("scan --workers", "scan", "--workers: no such option"),
        ("scan --treshold=2 x", "scan", "--treshold: no such option; did you mean --threshold?"),
        ("stream --bsu x y", "stream", "did you mean --bus"),
        ("dataset records x --jiter 1", "dataset records", "did you mean --jitter"),
        ("predict a b -o c", "predict", "b: too much"),
        ("scan -x y", "scan", "-x: no such option"),
        ("scan --batch-size 1.5 x", "scan", "--batch-size: got '1.5'; wanted a whole number"),
        ("scan --print-precision 16 x", "scan", "--print-precision: got '16'; wanted 0 to 15"),
        ("stream --print-precision -1 x", "stream", "--print-precision: got '-1'; wanted 0 to 15"),
        ("evaluate --tolerance x y", "evaluate", "--tolerance: got 'x'; wanted a number"),
    ],
)
def test_an_unknown_option_is_named_by_the_subcommand(words, program, said, capsys):
    error = refused(capsys, *words.split())
    assert error.startswith(f"usage: scperformer {program} ")
    assert f"scperformer {program}: error: " in error
    assert said in error


def test_options_may_still_be_shortened(capsys):
    assert main(["scan", "--thresh", "2", "x"]) == 2
    assert "--threshold: got 2; wanted a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            "scan --threshold p:2,s:0.5 --shift 0 --smoothing 99 x",
            ["--threshold: got 2;", "--shift: got 0;", "--smoothing: got 99;"],
        ),
        ("stream --trace-size 1 x", ["--trace-size: got 1; wanted a number from 10 to 86400 s"]),
        ("scan --filter XX(1) x", ["--filter 'XX(1)': unknown stage XX"]),
        ("evaluate --seed -1 x", ["--seed: got -1; wanted 0 or more"]),
        (
            "dataset records x --picks y -o z.h5 --seed -1",
            ["--seed: got -1; wanted 0 to 2147483647"],
        ),
        ("demo -o /proc/x", ["--out: the folder /proc/x cannot be made"]),
        ("train --config x --epochs 0 --threads -1", ["--epochs: got 0;", "--threads: got -1;"]),
    ],
)
def test_faults_are_named_as_they_were_typed_each_on_a_line(words, wanted, capsys):
    assert main(words.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    name = words.split()[0]
    assert len(lines) == len(wanted)
    for line, text in zip(lines, wanted, strict=True):
        assert line.startswith(f"scperformer {name}: {text}")


@pytest.mark.parametrize("words", ["evaluate", "export", "dataset records", "train"])
def test_the_columns_of_tables_are_in_the_help_of_what_reads_them(words, capsys):
    text = helped(capsys, *words.split())
    assert "network, station and either phase, time" in text
    assert "p_time, s_time" in text


@pytest.mark.parametrize("name", ["scan", "stream", "evaluate"])
def test_help_names_options_and_not_the_keys_of_a_configuration(name, capsys):
    text = helped(capsys, name)
    for key in ("thresholds.", "traceSize", "traceNormalization", "STR", "{shift"):
        assert key not in text
    assert "--model-name" in text


def test_the_committed_reference_is_the_generated_one():
    text = (ROOT / reference.PATH).read_text(encoding="utf-8")
    assert text == reference.markdown(), "run python -m scperformer.cli.reference"


def test_every_setting_and_section_is_in_the_reference():
    text = reference.markdown()
    groups = [g for config in (TrainingConfig, StreamingConfig) for _, g, _ in config.sections()]
    for info in [*module_infos(), *(info for group in groups for info in settings_of(group))]:
        assert f"\n| `{info.key}` |" in text
        assert info.help in text
    for group in groups:
        assert group.__doc__.replace("``", "`") in text


def test_every_declared_default_is_allowed():
    groups = [g for config in (TrainingConfig, StreamingConfig) for _, g, _ in config.sections()]
    for group in [Settings, *groups]:
        for info in settings_of(group):
            assert info.help.endswith(".")
            assert info.default is MISSING or info.fault(info.default) is None
