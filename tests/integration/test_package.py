"""Wheel and sdist: what they carry, and that what is installed from them works elsewhere.

SCPERFORMER_EMPTY_ENVIRONMENTS=1 lets pip fetch the dependencies into an empty environment of
every supported Python that is present: minutes and gigabytes, for releases.
"""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import scperformer

pytest.importorskip("hatchling")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [
    words[-1]
    for words in (line.split(" :: ") for line in PROJECT["classifiers"])
    if words[-2:-1] == ["Python"] and "." in words[-1]
]
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
CARRIED = {"models": "_models", "descriptions": "_descriptions", "config": "_config"}
"""Folders of the source tree, and where they lie inside the package."""

EMPTY = pytest.mark.skipif(
    "SCPERFORMER_EMPTY_ENVIRONMENTS" not in os.environ,
    reason="fetches gigabytes; set SCPERFORMER_EMPTY_ENVIRONMENTS=1",
)


def build(source: Path, target: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """Made from a copy with results in it and no ignore file: neither decides what is packed."""
    copy = tmp_path_factory.mktemp("source") / "tree"
    mine = shutil.ignore_patterns(".git", ".gitignore", ".venv", ".*_cache", "__pycache__", "work")
    shutil.copytree(ROOT, copy, ignore=mine)
    (copy / "demo").mkdir(exist_ok=True)
    (copy / "demo" / "picks.csv").touch()
    return build(copy, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """Made from the sdist, as pip makes it where there is no wheel."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


def files_below(folder: str) -> set[str]:
    """What a folder of the source tree holds for those who install it."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    kept = (path for path in paths if "__pycache__" not in path.parts)
    return {path.relative_to(ROOT / folder).as_posix() for path in kept}


def test_the_sdist_carries_everything_that_is_built_tested_and_read(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"} <= names
    assert {"pyproject.toml", "Makefile", "CMakeLists.txt", "docs/seiscomp.md"} <= names
    for folder in ("scperformer", "models", "descriptions", "config", "tests", "benchmarks"):
        assert {f"{folder}/{name}" for name in files_below(folder)} <= names
    assert not [name for name in names if name.startswith((".venv", "demo/", "work/", "dist/"))]


def test_the_wheel_carries_code_models_and_descriptions_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {f"scperformer/{name}" for name in files_below("scperformer")}
    for folder, inside in CARRIED.items():
        expected |= {f"scperformer/{inside}/{name}" for name in files_below(folder)}
    information = {name for name in names if ".dist-info/" in name}
    assert names - information == expected
    assert "scperformer/py.typed" in expected
    assert any(name.endswith("licenses/LICENSE") for name in information)


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        facts = Parser().parsestr(archive.read(name).decode())
    assert facts["Version"] == scperformer.__version__
    assert facts["Requires-Python"] == f">={VERSIONS[0]}"
    assert f"version: {scperformer.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def interpreter(version: str) -> Path:
    """An interpreter of that version, on the path or of pyenv's; skips where there is none."""
    found = [shutil.which(f"python{version}")] if version != RUNNING else [sys.executable]
    found += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python3"))
    for path in filter(None, found):
        if subprocess.run([path, "-c", "import venv, ssl"], check=False).returncode == 0:
            return Path(path)
    pytest.skip(f"no Python {version} here")


def without_source() -> dict[str, str]:
    """An environment in which nothing leads back to the source tree."""
    mine = ("PYTHONPATH", "PYTHONHOME", "SCPERFORMER_MODELS", "SEISCOMP_ROOT")
    return {name: value for name, value in os.environ.items() if name not in mine}


def run(*command: object, folder: Path) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=without_source() | {"XDG_DATA_HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_installed(environment: Path, folder: Path) -> None:
    program = environment / "bin" / "scperformer"
    assert scperformer.__version__ in run(program, "--version", folder=folder)
    assert "scan" in run(program, "--help", folder=folder)
    listed = run(program, "models", "list", folder=folder)
    for path in (ROOT / "models").iterdir():
        assert any(path.name in line.split() for line in listed.splitlines())
    assert str(environment) in listed
    run(program, "demo", "-o", folder / "demo", folder=folder)
    assert (folder / "demo" / "picks.csv").read_text().count("\n") == 3


@pytest.mark.slow
def test_it_works_outside_the_source_tree(wheel, tmp_path):
    pytest.importorskip("tensorflow")
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=tmp_path)
    python = environment / "bin" / "python"
    options = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    run(*pip, *options, wheel, folder=tmp_path)
    (packages,) = environment.glob("lib/python*/site-packages")
    others = [path for path in map(Path, site.getsitepackages()) if path.is_dir()]
    others += [Path(pytest.__file__).resolve().parents[1]]
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    check_installed(environment, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_python_reads_the_code(version, tmp_path):
    """Without the dependencies: that they come from the wheels of others is for releases."""
    code = (
        "import pathlib, sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).rglob('*.py')):\n"
        "    compile(path.read_text(), str(path), 'exec', dont_inherit=True)\n"
    )
    run(interpreter(version), "-c", code, ROOT / "scperformer", folder=tmp_path)


@EMPTY
@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_it_works_in_an_empty_environment(version, wheel, tmp_path):
    environment = tmp_path / "environment"
    run(interpreter(version), "-m", "venv", environment, folder=tmp_path)
    pip = environment / "bin" / "pip"
    run(pip, "install", "--quiet", f"{wheel}[plot]", folder=tmp_path)
    run(pip, "check", folder=tmp_path)
    check_installed(environment, tmp_path)
