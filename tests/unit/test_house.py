"""The rules of the house that a machine can check."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import scperformer
from scperformer.config import Settings
from scperformer.errors import ConfigurationError
from scperformer.setting import settings_of

HEAVY = ("tensorflow", "keras", "kapre", "obspy", "seiscomp", "h5py", "matplotlib", "lxml")
HEAVY += ("pymseed",)


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


BASE = {"base"}
MAY_IMPORT = {
    "base": BASE,
    "core": BASE,
    "networks": BASE | {"core"},
    "waveforms": BASE | {"core"},
    "picks": BASE,
    "scanning": BASE | {"core", "networks", "waveforms", "picks"},
    "door": BASE | {"core", "networks", "waveforms", "picks", "scanning"},
    "reporting": BASE | {"core", "picks"},
    "delivery": BASE | {"picks"},
    "messaging": BASE | {"picks", "delivery"},
    "monitoring": BASE | {"core"},
    "datasets": BASE | {"core", "waveforms", "picks"},
    "evaluation": BASE | {"core", "networks", "waveforms", "picks", "datasets"},
    "training": BASE | {"core", "networks", "picks", "datasets", "evaluation"},
    "seiscomp": BASE
    | {"core", "networks", "waveforms", "picks", "delivery", "messaging"}
    | {"monitoring"},
}
"""Rooms, and those that they may import; `cli` may import all."""

PACKAGE = Path(scperformer.__file__).parent
ENTRANCES = ("__init__", "__main__", "entry")


def room_of(module: str) -> str:
    """The room of ``scperformer.room.module``; modules beside the rooms are the base."""
    room = module.split(".")[1] if "." in module else ""
    return room if (PACKAGE / room).is_dir() and room else "base"


def imports_of(path: Path) -> set[str]:
    """Everything of the package that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {module for module in found if module.split(".")[0] == "scperformer"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_below_it(room):
    folder = PACKAGE if room == "base" else PACKAGE / room
    files = [file for file in folder.glob("*.py") if file.stem not in ENTRANCES]
    assert files
    for file in files:
        others = {room_of(module) for module in imports_of(file)}
        assert others <= MAY_IMPORT[room] | {room}, file


def test_every_room_is_known_and_none_imports_in_a_circle():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == (set(MAY_IMPORT) - BASE) | {"cli"}
    assert tuple(TopologicalSorter({r: m - {r} for r, m in MAY_IMPORT.items()}).static_order())


CONTRIBUTING = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
QUOTED = re.compile(r"`([\w./]+)`")


def test_the_map_for_contributors_is_that_of_the_house():
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", CONTRIBUTING, re.MULTILINE)
    assert {room: set(QUOTED.findall(allowed)) | BASE for room, allowed in rows} == {
        room: others | BASE for room, others in MAY_IMPORT.items()
    }


def test_the_steps_for_contributors_name_what_there_is():
    adding = CONTRIBUTING.partition("## Adding things")[2]
    steps = re.split(r"\n(?=\d\. )|\n\n", adding)
    assert len(steps) > 20
    for step in steps:
        quoted = QUOTED.findall(step)
        roots = (PACKAGE, PACKAGE.parent)
        paths = [
            [root / word for root in roots] for word in quoted if word.endswith((".py", ".md"))
        ]
        files = [next(filter(Path.is_file, candidates), None) for candidates in paths]
        assert all(files), step
        text = "".join(path.read_text() for path in files)
        names = [word for word in quoted if re.fullmatch(r"\w+", word)] if files else []
        missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
        assert not missing, step


@pytest.mark.parametrize(
    "module",
    ["pipeline", "onsets", "filters", "resample", "spectrogram", "columns", "streaming"],
)
def test_the_core_imports_no_framework_and_no_format(module):
    assert not modules_after(f"import scperformer.core.{module}") & set(HEAVY)


def test_help_and_configuration_import_no_framework():
    code = (
        "from scperformer.cli.main import main\n"
        "try: main(['scan', '--help'])\n"
        "except SystemExit: pass"
    )
    loaded = modules_after(code)
    assert "tensorflow" not in loaded
    assert "keras" not in loaded


def test_the_package_itself_is_light_and_its_names_are_there():
    assert not modules_after("import scperformer") & {*HEAVY, "numpy", "scipy"}
    assert not modules_after("import scperformer; scperformer.load") & {"tensorflow", "obspy"}
    assert set(scperformer._WHERE) == set(scperformer.__all__)
    for name in scperformer.__all__:
        assert getattr(scperformer, name).__module__.startswith("scperformer.")
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = scperformer.lod


def test_every_setting_says_what_it_is():
    infos = list(settings_of(Settings))
    assert len({i.key for i in infos}) == len({i.name for i in infos}) == len(infos)
    for info in infos:
        assert info.help.endswith(".")
        assert info.fault(info.default) is None
        assert not info.option or info.option.startswith("--")


def test_all_faults_of_a_configuration_come_at_once():
    with pytest.raises(ConfigurationError) as caught:
        Settings(shift_samples=0, components="some", batch_size=True, threshold_p=float("nan"))
    assert len(caught.value.faults) == 4
    assert any(
        "wanted a whole number from 1 to 400 samples" in fault for fault in caught.value.faults
    )
