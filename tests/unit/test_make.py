"""What `make` does to a folder; what it runs there is for CI."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

OF_THE_USER = [
    "demo/picks.csv",
    "work/notes.txt",
    "build/scperformer",
    "dist/scperformer.txt",
    "bench.json",
    "models/mine/weights.h5",
    "fuzz-failures/seed",
]
OF_MAKE = [
    ".venv/bin/python",
    ".pytest_cache/README.md",
    ".mypy_cache/x",
    ".ruff_cache/x",
    ".hypothesis/x",
    ".coverage",
    "scperformer/core/__pycache__/x.pyc",
    "dist/scperformer-0.1.0-py3-none-any.whl",
    "dist/scperformer-0.1.0.tar.gz",
    "site/sitemap.xml",
]


def write(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


@pytest.fixture
def tree(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("scperformer", "tests", "benchmarks"):
        (tmp_path / name).mkdir()
    write(tmp_path, OF_THE_USER + OF_MAKE)
    return tmp_path


def clean(tree: Path, *arguments: str) -> None:
    subprocess.run(["make", "clean", *arguments], cwd=tree, check=True, capture_output=True)


def test_clean_deletes_what_make_made_and_nothing_of_the_user(tree):
    write(tree, [".venv/.made-by-make"])
    clean(tree)
    assert all((tree / name).exists() for name in OF_THE_USER)
    assert not any((tree / name).exists() for name in OF_MAKE)
    assert not (tree / ".venv").exists()


def test_clean_leaves_an_environment_that_was_there_before(tree):
    write(tree, ["mine/bin/python"])
    clean(tree, "VENV=mine")
    assert (tree / "mine/bin/python").exists()
    clean(tree)
    assert (tree / ".venv/bin/python").exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_an_environment_is_made_only_where_there_is_none(tree, is_there):
    write(tree, ["pyproject.toml"] + ["mine/bin/python"] * is_there)
    stand_in = tree / "python"
    stand_in.write_text('#!/bin/sh\nmkdir -p "$3"\ntouch "$3/anew"\n')
    stand_in.chmod(0o755)
    (tree / "pip").symlink_to("/bin/true")
    variables = ["VENV=mine", "PYTHON=./python", "BIN=."]
    subprocess.run(["make", "mine/.installed", *variables], cwd=tree, check=True)
    assert (tree / "mine/.made-by-make").exists() is not is_there
    assert (tree / "mine/anew").exists() is not is_there
