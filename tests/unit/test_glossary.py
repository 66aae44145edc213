"""The glossary speaks of what is there."""

import importlib
import re
from importlib.util import find_spec

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", TEXT)))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_glossary_exists(name):
    if name.rpartition(".")[2].islower():
        assert find_spec(f"scperformer.{name}"), name
    else:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(f"scperformer.{module}"), attribute)


def test_the_words_of_the_waveform_are_told_once():
    words = re.findall(r"^\| ([a-z ]+) \|", TEXT, re.MULTILINE)
    own = [word for word in words if word != "word"]
    assert len(own) == len(set(own))
    assert {"record", "chunk", "segment", "run", "window", "column", "batch"} <= set(own)
