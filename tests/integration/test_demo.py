"""The demo: what it draws and writes says the same."""

import numpy as np
import pytest

from scperformer.cli import demo_session
from scperformer.cli.main import main
from scperformer.door import drawing
from scperformer.networks.manifest import read_manifest
from scperformer.networks.registry import DEFAULT_MODEL, find_model
from scperformer.picks.pick_files import read_pick_file
from scperformer.types import NS_PER_S, Phase


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    drawn = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(demo_session, "save_figure", lambda *_: None)
        patched.setattr(
            drawing, "record_figure", lambda *a, **options: Drawn(drawn, a=a, **options)
        )
        assert main(["demo", "-o", str(folder)]) == 0
    return folder, drawn


class Drawn:
    """What was to be drawn, in place of a figure."""

    def __init__(self, into, **facts):
        into.update(facts)


def test_it_finds_the_earthquake(demo):
    folder, _ = demo
    assert [pick.phase for pick in read_pick_file(folder / "picks.csv")] == ["P", "S"]


def test_curves_peak_where_and_as_high_as_the_picks_say(demo):
    _, drawn = demo
    times_ns, probabilities = drawn["probabilities"]
    for pick in drawn["picks"]:
        curve = probabilities[:, list(Phase).index(pick.phase)]
        near = np.abs(times_ns - pick.time_ns) < NS_PER_S // 2
        top = np.flatnonzero(near)[curve[near].argmax()]
        assert curve[top] == pytest.approx(pick.probability, abs=1e-9)
        assert abs(times_ns[top] - pick.time_ns) < 0.1 * NS_PER_S
        assert drawn["thresholds"][pick.phase] <= curve[top]


def test_traces_are_named_filtered_and_in_counts(demo):
    _, drawn = demo
    (channels,) = drawn["a"]
    assert list(channels) == ["EHZ", "EHN", "EHE"]
    assert drawn["unit"] == "counts"
    card = read_manifest(find_model(DEFAULT_MODEL))
    assert f"filtered with {card.filter_id}, picked by {card.name}" in drawn["title"]
    quiet = channels["EHZ"][200:450]
    assert np.abs(quiet).max() < 0.05 * np.nanmax(np.abs(channels["EHZ"]))


def test_amplitudes_are_those_of_the_default(demo):
    folder, _ = demo
    text = (folder / "picks.scml").read_text()
    assert text.count("<amplitude publicID") == 1
    assert "-P-" in text.split("<amplitude publicID")[1].split(">")[0]
