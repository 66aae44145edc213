"""What the command line says when it is used wrongly, and when it is asked for help."""

import pytest

from scperformer.cli.main import main


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
        ("scan --jobs 8 x", "scan", "--jobs: no such option; 'scperformer scan --help' tells"),
        ("scan --jobs", "scan", "--jobs: no such option"),
        ("scan --treshold=2 x", "scan", "--treshold: no such option; did you mean --threshold?"),
        ("stream --bsu x y", "stream", "did you mean --bus"),
        ("dataset records x --jiter 1", "dataset records", "did you mean --jitter"),
        ("predict a b -o c", "predict", "b: too much"),
        ("scan -x y", "scan", "-x: no such option"),
        ("scan --batch-size 1.5 x", "scan", "--batch-size: got '1.5'; wanted a whole number"),
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


@pytest.mark.parametrize("words", ["evaluate", "dataset records", "train"])
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
    assert "--no-context" in text
