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


@pytest.mark.parametrize("arguments", [[], ["--ep"], ["-I", "scan"]])
def test_without_seiscomp_it_says_so_and_helps(without_seiscomp, arguments, capsys):
    assert entry.main(arguments) == entry.tool.EXIT_NOTHING_DONE
    captured = capsys.readouterr()
    assert "SeisComP's Python modules are not found" in captured.err
    assert "scan" in captured.out


def test_without_seiscomp_help_and_version_are_the_tools(without_seiscomp, capsys):
    assert entry.main(["--help"]) == entry.tool.EXIT_OK
    with pytest.raises(SystemExit) as stopped:
        entry.main(["--version"])
    assert stopped.value.code == 0
    assert "scperformer " in capsys.readouterr().out


def test_with_seiscomp_it_is_the_module(monkeypatch):
    class Module:
        @staticmethod
        def run(argv):
            return len(argv)

    imported = {"seiscomp.client": None, "scperformer.seiscomp.app": Module}
    monkeypatch.setattr(entry.importlib, "import_module", imported.__getitem__)
    assert entry.main(["--ep", "-f"]) == 3
