"""One command for the tool and the module."""

import sys

import pytest

from scperformer import entry


@pytest.fixture
def without_seiscomp(monkeypatch):
    monkeypatch.setitem(sys.modules, "seiscomp", None)
    monkeypatch.setitem(sys.modules, "seiscomp.client", None)


def test_a_known_subcommand_is_the_tool(monkeypatch):
    seen = []
    monkeypatch.setattr(entry.tool, "main", lambda arguments: seen.append(arguments) or 7)
    assert entry.main(["scan", "x.mseed"]) == 7
    assert seen == [["scan", "x.mseed"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ep"], "--ep: without a subcommand in front this is an option of the SeisComP module"),
        (["-u", "test", "--ep"], "SeisComP's Python modules are not found"),
        (["--threshold", "0.5", "scan", "x"], "put scan in front of its options"),
    ],
)
def test_without_seiscomp_the_modules_options_are_told_apart(
    without_seiscomp, arguments, said, capsys
):
    assert entry.main(arguments) == entry.tool.EXIT_NOTHING_DONE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["-V"], ["--version"]])
def test_without_seiscomp_help_and_version_are_the_tools(without_seiscomp, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        entry.main(arguments)
    assert stopped.value.code == 0
    captured = capsys.readouterr()
    assert "scperformer" in captured.out
    assert captured.err == ""


def test_without_anything_it_helps(without_seiscomp, capsys):
    assert entry.main([]) == entry.tool.EXIT_NOTHING_DONE
    assert "stream" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "advice"), [("scna", "did you mean scan?"), ("xyz", "wanted scan, stream")]
)
def test_an_unknown_subcommand_is_named_with_seiscomp_or_without(word, advice, capsys):
    with pytest.raises(SystemExit) as stopped:
        entry.main([word, "--help"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert f"'{word}': no such subcommand; {advice}" in error
    assert "SeisComP" not in error


def test_with_seiscomp_it_is_the_module(monkeypatch):
    class Module:
        @staticmethod
        def run(argv):
            return len(argv)

    imported = {"seiscomp.client": None, "scperformer.seiscomp.app": Module}
    monkeypatch.setattr(entry.importlib, "import_module", imported.__getitem__)
    assert entry.main(["--ep", "-f"]) == 3
    assert entry.main(["-u", "test", "--ep", "--playback"]) == 5
    assert entry.main(["--help"]) == 2
    assert entry.main([]) == 1
