"""docs/catalogue.md, run: from records to the earthquakes of Ridgecrest that a catalogue lists."""

import csv
import os
import re
import subprocess
import sys
from collections import defaultdict
from importlib.util import find_spec

import pytest

from scperformer.cli.main import main
from scperformer.picks.export import CODE_LIMITS_S, CODE_WEIGHTS, TARGETS
from scperformer.picks.pick_files import open_sink, read_pick_file
from scperformer.types import NS_PER_S, parse_time
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PHASENET_LEAST = 0.3


@pytest.fixture
def records(shared, tmp_path):
    """The folder that the page calls ridgecrest, and the working directory that has it."""
    folder = shared / "data" / "continuous" / "ridgecrest"
    (tmp_path / "ridgecrest").symlink_to(folder)
    return tmp_path / "ridgecrest"


@pytest.fixture
def command(records, monkeypatch):
    """Runs a command of the page that begins with some words."""
    monkeypatch.chdir(records.parent)

    def run(words):
        (line,) = re.findall(rf"^scperformer ({re.escape(words)}.*)$", TEXT, re.MULTILINE)
        assert main(line.split()) == 0

    return run


def listed(folder):
    """Picks of each catalogued earthquake by its origin time: {time: {(station, phase): time}}."""
    events = defaultdict(dict)
    for pick in read_pick_file(folder / "picks_automatic.csv"):
        events[parse_time(pick.event)][pick.station, pick.phase] = pick.time_ns
    return events


def associate_and_locate(command, folder):
    """Run the page from its first export on; return what of the catalogue does not come out."""
    command("export picks.csv --to pyocto")
    (folder.parent / "associate.py").write_text(PROGRAM)
    paths = os.pathsep.join(sys.path)
    subprocess.run(
        [sys.executable, "associate.py"], check=True, env={**os.environ, "PYTHONPATH": paths}
    )
    command("export associated.csv --events events.csv")
    with open("events.csv", newline="") as file:
        times = {row["event"]: parse_time(row["time"]) for row in csv.DictReader(file)}
    found = defaultdict(dict)
    for pick in read_pick_file(folder.parent / "associated.csv"):
        found[pick.event][pick.station, pick.phase] = pick.time_ns
    wrong = []
    for time_ns, picks in listed(folder).items():
        event = min(times, key=lambda name: abs(times[name] - time_ns))
        own = found[event]
        shared_ns = [abs(own[key] - at_ns) for key, at_ns in picks.items() if key in own]
        common = sum(difference_ns < 0.5 * NS_PER_S for difference_ns in shared_ns)
        if abs(times[event] - time_ns) > NS_PER_S or common < 0.8 * len(picks):
            wrong.append((time_ns, times[event], common, len(picks)))
    assert len(listed(folder)) == 4
    assert len(times) < 15
    return wrong


needs_pyocto = pytest.mark.skipif(find_spec("pyocto") is None, reason="needs pyocto")


@pytest.mark.shared
@needs_pyocto
def test_the_catalogued_earthquakes_come_out_of_another_pickers_picks(command, records):
    theirs = read_pick_file(records / "picks_phasenet.csv")
    with open_sink(records.parent / "picks.csv") as sink:
        sink.write([pick for pick in theirs if pick.probability >= PHASENET_LEAST])
    assert associate_and_locate(command, records) == []


@pytest.mark.shared
@pytest.mark.slow
@needs_pyocto
def test_the_catalogued_earthquakes_come_out_of_the_records(command, records):
    command("scan ridgecrest")
    assert associate_and_locate(command, records) == []


def test_the_page_tells_every_target_and_the_mapping_to_weights():
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(TARGETS)
    steps = re.findall(
        r"^\| (?:up to )?([\d.]+ s|more) \| (\d) \| ([\d.]+) \|$", TEXT, re.MULTILINE
    )
    assert [float(limit.rstrip(" s")) for limit, _, _ in steps[:-1]] == list(CODE_LIMITS_S)
    assert [(int(code), float(weight)) for _, code, weight in steps] == list(
        enumerate(CODE_WEIGHTS)
    )
