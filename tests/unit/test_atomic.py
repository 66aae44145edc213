"""Files and folders that appear complete or not at all."""

import os
import re
from pathlib import Path

import pytest

from scperformer import atomic
from scperformer.atomic import AtomicFile, remove_leftovers, whole_folder, write_bytes
from scperformer.errors import OutputError

NOTHING = {"what": "model folder", "remedy": "name another"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with AtomicFile(path) as output:
        output.file.write(b"new")
        output.file.flush()
        assert path.read_text() == "old"
        assert output.hidden.read_text() == "new"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.csv"]


def test_what_writes_by_name_writes_the_same_file(tmp_path):
    with AtomicFile(tmp_path / "a") as output:
        output.hidden.write_text("by name")
    assert (tmp_path / "a").read_text() == "by name"


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError(28, "No space left on device"), OutputError), (ValueError("x"), ValueError)],
)
def test_after_an_error_the_old_file_stands(error, told, tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def write_half():
        with AtomicFile(path) as output:
            output.file.write(b"new")
            raise error

    with pytest.raises(told) as caught:
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]
    if told is OutputError:
        assert str(caught.value) == f"{path}: cannot be written (No space left on device)"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("a")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "new"


def test_the_folder_is_made_only_where_that_is_asked_for(tmp_path):
    with pytest.raises(OutputError, match="make the folder, or name another"):
        AtomicFile(tmp_path / "one" / "two" / "a")
    AtomicFile(tmp_path / "one" / "two" / "a", parents=True).close()
    assert (tmp_path / "one" / "two" / "a").is_file()


@pytest.mark.parametrize("durable", [True, False])
def test_what_must_outlast_a_power_cut_is_on_the_disk_before_it_is_renamed(
    durable, tmp_path, monkeypatch
):
    path = tmp_path / "a"
    was_there = []
    monkeypatch.setattr(os, "fsync", lambda handle: was_there.append(path.exists()))
    write_bytes(path, b"new", durable=durable)
    assert was_there == ([False, True] if durable else [])


def test_a_folder_takes_the_place_of_another_when_it_is_complete(tmp_path):
    path = tmp_path / "models" / "x"
    for text in ("old", "new"):
        with whole_folder(path, **NOTHING) as hidden:
            (hidden / "a").write_text(text)
            assert not (path / "a").exists() or (path / "a").read_text() == "old"
        assert (path / "a").read_text() == text
    assert names(tmp_path / "models") == ["x"]


def test_after_an_error_the_old_folder_stands(tmp_path):
    path = tmp_path / "x"
    path.mkdir()

    def write_half():
        with whole_folder(path, **NOTHING) as hidden:
            (hidden / "a").write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert names(tmp_path) == ["x"]
    assert names(path) == []


def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.mkdir()
    (path / "a").write_text("old")
    rename = Path.rename

    def fails_on_the_new(self, target):
        if (self / "b").exists():
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(atomic.Path, "rename", fails_on_the_new)
    with (
        pytest.raises(OutputError, match="Input/output error"),
        whole_folder(path, **NOTHING) as hidden,
    ):
        (hidden / "b").write_text("new")
    assert names(tmp_path) == ["x"]
    assert names(path) == ["a"]


def begun_and_left(path):
    """The hidden name of a file that was begun by a process that died."""
    begun = AtomicFile(path)
    begun.file.close()
    return begun.hidden.name


def test_what_a_crash_left_goes_and_nothing_else(tmp_path):
    left, other = (begun_and_left(tmp_path / name) for name in ("a.json", "b.json"))
    others = (other, "a.json", ".a.json.part", "a.json.part")
    for name in others:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, re.compile(r"a\.json"))
    assert left not in names(tmp_path)
    assert names(tmp_path) == sorted(others)
