"""A TOML file of groups: what one dataclass more brings along."""

from dataclasses import dataclass, replace

import pytest

from scperformer.errors import ConfigurationError
from scperformer.setting import ConfigFile, Range, setting, settings_of

KINDS = ("gain", "noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``[[change]]``: what happens to crops."""

    kind: str = setting(help="What is done.", choices=KINDS)
    strength: tuple[float, float] = setting((0.0, 1.0), "Least and largest.", Range(0.0, 9.0, "dB"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """``[streaming]``: the optimisation."""

    steps: int = setting(4000, "Steps.", Range(1, 10**7), former="n_steps")
    look_ahead_s: float = setting(2.0, "Answers lie so far behind.", Range(0.0, 10.0, "s"))
    stop_at: float | None = setting(None, "Loss that is enough.", Range(0.0, 9.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ConfigFile):
    streaming: Streaming
    change: tuple[Change, ...]

    def contradictions(self):
        if not self.change:
            yield "no [[change]] section"


TEXT = """
[streaming]
look_ahead_s = 1
[[change]]
kind = "gain"
[[change]]
kind = "noise"
strength = [1, 2.5]
"""


def read(folder, text, **options):
    path = folder / "file.toml"
    path.write_text(text)
    return Config.read(path, **options)


def faults(folder, text):
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text)
    return [fault.partition(": ")[2] for fault in caught.value.faults]


def test_sections_and_those_that_come_again_are_read(tmp_path):
    config = read(tmp_path, TEXT, overrides={"streaming": {"steps": 7}})
    assert config.streaming == Streaming(steps=7, look_ahead_s=1.0)
    assert [change.strength for change in config.change] == [(0.0, 1.0), (1.0, 2.5)]
    assert config.as_card() == {
        "streaming": {"steps": 7, "look_ahead_s": 1.0, "stop_at": None},
        "change": [
            {"kind": "gain", "strength": [0.0, 1.0]},
            {"kind": "noise", "strength": [1.0, 2.5]},
        ],
    }


def test_a_former_key_is_read_and_is_not_told(tmp_path):
    assert read(tmp_path, TEXT.replace("look_ahead_s", "n_steps")).streaming.steps == 1
    assert [info.key for info in settings_of(Streaming)] == ["steps", "look_ahead_s", "stop_at"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("streaming = 3", ["streaming: got 3; wanted a section"]),
        ("change = 3", ["change: write it with double brackets, [[change]]"]),
        ("change = [3]", ["change 1: got 3; wanted a section"]),
        ("[streamin]", ["streamin: no such section; did you mean streaming?"]),
        ("[[change]]", ["change 1.kind: missing; what is done"]),
        (
            "[streaming]\nstep = true\nsteps = true\nlook_ahead_s = '1'",
            [
                "streaming.step: no such option; did you mean steps?",
                "streaming.steps: got True; wanted a whole number from 1 to 10000000",
                "streaming.look_ahead_s: got '1'; wanted a number from 0 to 10 s",
            ],
        ),
        (
            "[streaming]\nlook_ahead_s = nan\nstop_at = -1",
            [
                "streaming.look_ahead_s: got nan; wanted a number from 0 to 10 s",
                "streaming.stop_at: got -1; wanted a number from 0 to 9",
                "no [[change]] section",
            ],
        ),
        (
            "[[change]]\nkind = 'noise'\nstrength = [2, 1]",
            ["change 1.strength: the first is larger than the second; got [2.0, 1.0]"],
        ),
    ],
)
def test_what_is_wrong_is_told_at_once(tmp_path, text, wanted):
    assert faults(tmp_path, text) == wanted


def test_what_is_made_otherwise_is_checked_too(tmp_path):
    config = read(tmp_path, TEXT)
    with pytest.raises(ConfigurationError, match=r"file\.toml: change 1\.kind: got 'dust'; wanted"):
        replace(config, change=(Change(kind="dust"),))
