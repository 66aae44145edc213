"""Every command of README.md, CONTRIBUTING.md and docs/: run here, or excused by name."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import obspy
import pytest
from obspy.core.inventory import Network, Station

from scperformer.cli.main import SUBCOMMANDS, build_parser
from scperformer.picks.columns import COLUMNS
from tests.conftest import ROOT
from tests.unit.dataset_fakes import examples, seisbench_rows, write_seisbench, write_windows
from tests.unit.test_training_end_to_end import CONFIG as TRAINING
from tests.unit.training_fakes import write_folder

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAMS = "scperformer|make|python3?|pip|curl|seiscomp|docker|podman|printf|sudo|systemctl"

FINE_TUNING = """
[model]
name = "mine"
network = "streaming"
[[data]]
folder = "records"
picks = ["picks.csv"]
[streaming]
columns = 64
stretches = 2
steps = 2
validation_every = 2
validation_share = 0.3
warmup_steps = 1
"""

# A command that one of these describes is not run here; it must be parsed all the same.
EXCUSED = {
    r"scperformer stream slinks?://": "runs on and on; test_stream_seedlink.py, test_bus.py",
    r"scperformer (stream \.\.\.|status /var/)": "a running picker; the tests of monitoring",
    r"scperformer scan --source": "the servers of others; test_fdsn_archive.py, test_s3_archive.py",
    r"scperformer scan .*--dask tcp:": "a cluster; test_scan_archives.py runs --dask local",
    r"scperformer dataset seisbench ETHZ": "downloads a data set; test_dataset.py reads one",
    r"scperformer models fetch": "the authors' server; test_networks_fetch.py",
    r"scperformer .*performer-v2": "weights that are fetched; test_networks_fetch.py",
    r"scperformer train .*--resume": "after an interruption; test_training_end_to_end.py",
    r"scperformer train --config models/streaming": "takes hours; test_training_streaming.py",
    r"scperformer .*ridgecrest": "records in ../shared; test_catalogue.py runs the page",
    r"scperformer bench": "measures for minutes; the tests of bench",
    r"scperformer models export": "tf2onnx, an extra; the tests of models export",
    r"curl ": "the server of others",
    r"(docker|podman|printf) ": "a container engine, which the tests of the container ask for",
    r"(\S*/)?pip |(\S*/)?python3? -m (venv|pip)|\. \S*activate": "installs; test_package.py",
    r"make ": "test_make.py; its targets are looked up below",
    r"seiscomp exec scoctoloc": "a program of others, tried by hand",
    r"(awk|cmake|seiscomp|scxmldump|scmssort|scautopick) ": "test_seiscomp_pages.py",
    r"(cat|echo|mkdir|sed|tail|cp|rm|mv) .*(SEISCOMP_ROOT|\.seiscomp)": "test_seiscomp_pages.py",
    r"python -m benchmarks\.": "measures; test_benchmarks.py",
    r"(\S*/)?scperformer --help|scperformer evaluate --help": "is parsed by leaving",
}


def commands(text: str) -> Iterator[str]:
    """Yield the commands of a page, a line each, those on several lines put together."""
    for language, block in FENCE.findall(text):
        lines = [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]
        if language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        elif language not in ("sh", "bash") and (
            language or not lines or not re.match(rf"[\w./~-]*\b({PROGRAMS}) ", lines[0])
        ):
            continue
        open_quote = ""
        for line in lines:
            command = " ".join(f"{open_quote} {line}".split())
            open_quote = command if _is_open(command) else ""
            if not open_quote and not command.startswith("#"):
                yield command


def _is_open(command: str) -> bool:
    """Whether a quotation goes on in the next line."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def words_of(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def excuse(command: str) -> str | None:
    """The pattern that excuses a command from being run."""
    return next((pattern for pattern in EXCUSED if re.match(pattern, command)), None)


def all_commands() -> list[tuple[str, str]]:
    return [(page.name, c) for page in PAGES for c in commands(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small data under the names that the pages use."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "ARCHIVE").mkdir()
    for trace in obspy.read():  # the record of the demo
        trace.data = trace.data.astype(np.float32)
        trace.write(str(folder / "ARCHIVE" / f"{trace.id}.mseed"), "MSEED")
    inventory = obspy.read_inventory()
    stations = [Station(f"ST{n}", latitude=47.0 + n, longitude=12.0, elevation=0) for n in range(3)]
    inventory.networks.append(Network("XX", stations))
    inventory.write(str(folder / "stations.xml"), "STATIONXML")
    write_folder(folder / "records")
    shutil.copytree(folder / "records", folder / "FOLDER")
    for path in (folder / "records").glob("*.mseed"):
        shutil.copy(path, folder / "ARCHIVE")
    shutil.copytree(ROOT / "models" / "streaming", folder / "my-model")
    shutil.copy(ROOT / "models" / "performer" / "weights.h5", folder / "weights.h5")
    n = 12
    windows, labels = examples(n)
    np.savez(folder / "windows.npz", windows=windows)
    write_windows(folder / "windows.h5", windows, labels)
    rows, block = seisbench_rows(n)
    write_seisbench(folder / "ethz", rows, {"bucket0": block})
    (folder / "train.toml").write_text(TRAINING)
    (folder / "my.toml").write_text(FINE_TUNING)
    script = folder / "bin" / "scperformer"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m scperformer "$@"\n')
    script.chmod(0o755)
    outputs = [f"-o picks.{suffix}" for suffix in ("csv", "jsonl", "txt", "scml")]
    run(folder, " ".join(["scperformer scan ARCHIVE", *outputs, "-o events.qml"]))
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (folder / "mine.py").write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
    shutil.copy(folder / "picks.csv", folder / "others.csv")
    return folder


def run(folder: Path, command: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "HOME": str(folder),
    }
    done = subprocess.run(
        ["sh", "-c", command.replace("/archive", "ARCHIVE")],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Path:
    shutil.copytree(world, tmp_path / "world")
    return tmp_path / "world"


@pytest.mark.slow
@pytest.mark.parametrize("page", dict.fromkeys(p for p, c in all_commands() if not excuse(c)))
def test_the_commands_of_a_page_run_one_after_the_other(page: str, folder: Path) -> None:
    pytest.importorskip("tensorflow")
    for name, command in all_commands():
        if name == page and excuse(command) is None:
            run_as_if_new(folder, command)


def run_as_if_new(folder: Path, command: str) -> None:
    """Run a command whose outputs, where an earlier one left them, are its own."""
    words = words_of(command)
    for option, value in pairwise(words):
        if option in ("-o", "--out") and "--resume" not in words and (folder / value).is_dir():
            shutil.rmtree(folder / value)
    run(folder, command)


@pytest.mark.parametrize(("page", "command"), all_commands())
def test_an_excused_command_of_ours_is_one_that_the_program_takes(page: str, command: str) -> None:
    words = words_of(command)
    words = words[2:] if words[:2] == ["seiscomp", "exec"] else words
    if words[0].rpartition("/")[2] != "scperformer" or len(words) < 2 or words[1].startswith("-"):
        return
    if ">" in words:
        words = words[: words.index(">")]
    assert words[1] in SUBCOMMANDS, command
    if "--help" not in words:
        build_parser(words[1]).parse_args(words[1:])


def test_no_excuse_is_left_over() -> None:
    used = {excuse(command) for _, command in all_commands()}
    assert set(EXCUSED) - used == set()


def test_targets_of_make_and_extras_of_pip_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for target in re.findall(r"^(?:\S+=\S+ )?make ([a-z]+)\b", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for names in re.findall(r"pip install '[^'\[]*\[([\w,]+)\]'", text):
        assert set(names.split(",")) <= set(extras), names


def inline_commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        found += [(page.name, c) for c in re.findall(r"`(scperformer [a-z]+ [^`]*)`", text)]
    return found


@pytest.mark.parametrize(("page", "command"), inline_commands())
def test_a_command_in_the_text_has_options_that_there_are(page: str, command: str) -> None:
    _, name, *words = command.split()
    assert name in SUBCOMMANDS
    (sub,) = (a for a in build_parser(name)._actions if a.choices)
    known = set(_options(sub.choices[name]))
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def _options(parser: object) -> Iterator[str]:
    """Options of a parser and of what stands below it."""
    for action in parser._actions:  # type: ignore[attr-defined]
        yield from action.option_strings
        for below in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            yield from _options(below)


def test_modules_named_in_the_text_are_there() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for module in set(re.findall(r"python -m ((?:benchmarks|scperformer|tests)[\w.]*\w)", text)):
        assert find_spec(module), module


def skeleton(text: str) -> tuple[str, list[float]]:
    """A text without its numbers, and these; blanks do not count."""
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", text)]
    return re.sub(r"\d+\.\d+|\s", "", text), numbers


@pytest.mark.slow
def test_the_examples_of_the_formats_are_what_the_program_writes(world: Path) -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    written = "".join((world / f"picks.{s}").read_text() for s in ("csv", "jsonl", "txt", "scml"))
    lines = [skeleton(line) for line in (written + (world / "events.qml").read_text()).splitlines()]
    parts = (_section(text, name) for name in ("CSV and JSON lines", "Text", "SCML", "QuakeML"))
    examples = [block for part in parts for kind, block in FENCE.findall(part) if kind != "sh"]
    assert len(examples) == 5
    for line in "".join(examples).splitlines():
        plain, numbers = skeleton(line)
        near = [own for own_plain, own in lines if own_plain == plain]
        assert any(own == pytest.approx(numbers, abs=2e-3) for own in near), line


def test_the_formats_tell_every_column_of_a_pick() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", _section(text, "CSV and JSON lines"), re.M)
    told = [name for cell in names for name in re.findall(r"`(\w+)`", cell)]
    assert told == [column.name for column in COLUMNS]


def _section(text: str, heading: str) -> str:
    return re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.M)[1].partition("\n#")[0]


def cards() -> dict[str, dict[str, Any]]:
    names = ("streaming", "performer", "cnn")
    return {n: json.loads((ROOT / "models" / n / "model.json").read_text()) for n in names}


def test_the_page_of_the_models_says_what_their_cards_say() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for name, card in cards().items():
        row = rf"^\| `{name}` \|.*\| {card['network']} \| {card['parameters']} \| "
        assert re.search(row + card["licence"], text, re.M), name
        for n, scores in card["scores"]["held_out_picks"].items():
            cells = [(card["thresholds"][n][p], f"{scores[p]['f1']:.3f}") for p in "PS"]
            told = " | ".join(f"{threshold} | {f1}" for threshold, f1 in cells)
            assert f"| `{name}` | {n} | {told} |" in text, (name, n)
    hours = dict(re.findall(r"^\| `(\w+/[\w-]+)` \| ([\d.]+) \|$", text, re.M))
    learned = {d["folder"]: d["training_hours"] for d in cards()["streaming"]["training"]["data"]}
    assert hours == {name: f"{value:.1f}" for name, value in learned.items() if value}


@pytest.mark.slow
def test_the_python_of_the_first_page_reads_what_the_command_before_it_wrote(folder: Path) -> None:
    pytest.importorskip("pandas")
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (folder / "read.py").write_text(program)
    run(folder, f"{sys.executable} read.py")
