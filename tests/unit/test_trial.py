"""Files that end the process that reads them are noticed, and end no other."""

import os
import time
from pathlib import Path

import pytest

from scperformer import trial

FUNCTION = f"{__name__}:read"


def read(path: Path) -> None:
    """What the helper runs: the file's text says what becomes of it."""
    text = path.read_text()
    if text == "crash":
        os.abort()
    if text == "hang":
        time.sleep(60.0)
    if text == "print":
        print("\n\n\n")
    raise ValueError(text)


@pytest.fixture
def made(tmp_path):
    def make(text):
        path = tmp_path / f"{text} ü"
        path.write_text(text)
        return path

    return make


def test_a_crash_is_told_and_the_next_file_is_tried(made):
    assert trial.fault(FUNCTION, made("fine")) == ""
    assert "SIGABRT" in trial.fault(FUNCTION, made("crash"))
    assert trial.fault(FUNCTION, made("print")) == ""
    assert trial.fault(FUNCTION, made("fine")) == ""


def test_a_file_without_end_is_given_up(made, monkeypatch):
    monkeypatch.setattr(trial, "TIMEOUT_S", 0.2)
    assert "did not end within" in trial.fault(FUNCTION, made("hang"))
    monkeypatch.setattr(trial, "TIMEOUT_S", 30.0)
    assert trial.fault(FUNCTION, made("fine")) == ""


def test_an_ended_process_leaves_no_pipe_open(made):
    helper = trial.Helper(FUNCTION)
    assert helper.fault(made("fine")) == ""
    process = helper._process
    helper.end()
    assert process.stdin.closed
    assert process.stdout.closed
    assert process.returncode is not None


def test_files_are_tried_by_one_process(made):
    for _ in range(3):
        assert trial.fault(FUNCTION, made("fine")) == ""
    helper = trial._helpers[FUNCTION]
    first = helper._process
    trial.fault(FUNCTION, made("fine"))
    assert helper._process is first
