"""What public ids tell apart, and what they do not."""

from dataclasses import replace

import pytest

from scperformer.config import Settings
from scperformer.core.sensors import NetworkFacts, owner, recipe
from scperformer.core.triggers import Thresholds
from scperformer.core.windows import Reach
from scperformer.setting import settings_of
from tests.synthetic import earthquakes, make_pipeline, pick_all, records

THRESHOLDS = Thresholds.constant(0.5, 0.5)
NETWORK = NetworkFacts("some", "0" * 64, Reach(), own_filter="BW_HP(4,1)")
NO_OTHER_PICKS = {
    "batch_size": 7,
    "max_batch_delay_s": 3.0,
    "buffer_s": 100.0,
    "component_wait_s": 10.0,
    "late_wait_s": 1.0,
    "snr_amplitudes": "all",
}
OTHER_PICKS = {
    "shift_samples": 10,
    "filter": "BW(4,2,20)",
    "components": "all",
    "gap_interpolation": True,
    "smoothing_s": 0.5,
    "min_distance_s": 2.0,
    "refine_onset": False,
    "time_correction_s": 0.1,
    "trace_normalization": True,
}


def of(*, network=NETWORK, thresholds=THRESHOLDS, by="", **settings):
    return recipe(network, thresholds, Settings(**settings), owner=by)


@pytest.mark.parametrize(("name", "value"), NO_OTHER_PICKS.items())
def test_what_changes_no_pick_changes_no_id(name, value):
    assert of(**{name: value}) == of()


@pytest.mark.parametrize(("name", "value"), OTHER_PICKS.items())
def test_what_changes_picks_changes_ids(name, value):
    assert of(**{name: value}) != of()


def test_a_setting_without_effect_changes_no_id():
    assert of(max_gap_s=1.0) == of(trace_size_s=60.0) == of(detrend=False) == of()
    assert of(gap_interpolation=True, max_gap_s=1.0) != of(gap_interpolation=True)
    assert of(filter="", detrend=False) != of(filter="")
    bare = replace(NETWORK, own_filter="")
    assert of(network=bare, detrend=False) != of(network=bare)


def test_every_setting_has_been_thought_of():
    """A new setting either changes picks or does not: say which where it is defined, and here."""
    changing = {info.name for info in settings_of(Settings) if info.changes_picks}
    others = {"threshold_p", "threshold_s", *NO_OTHER_PICKS}
    assert not changing & others
    assert changing | others == {info.name for info in settings_of(Settings)}


def test_the_models_own_filter_by_its_name_is_no_other_filter():
    assert of(filter="BW_HP(4,1)") == of(filter="model") == of()
    assert of(filter="BW_HP(4,2)") != of()


def test_model_thresholds_and_owner_tell_picks_apart():
    ways = [
        of(),
        of(network=replace(NETWORK, sha256="1" * 64)),
        of(network=replace(NETWORK, sha256="")),
        of(network=replace(NETWORK, sha256="", name="other")),
        of(thresholds=Thresholds.constant(0.5, 0.6)),
        of(by=owner("XX", "scperformer")),
        of(by=owner("YY", "scperformer")),
        of(by=owner("YY", "scperformer2@host")),
    ]
    assert len(set(ways)) == len(ways)
    assert all(len(way) == 8 and int(way, 16) >= 0 for way in ways)


def test_nobody_and_another_host_are_no_other_owner():
    assert owner("", "scperformer") == owner("UNSET", "scperformer@host") == ""
    assert owner("XX", "me@here") == owner("XX", "me@there") != owner("XX", "you@here")


def test_two_ways_of_picking_the_same_arrivals_share_no_public_id():
    stream = records(earthquakes(6000, (15.0, 38.0)))
    ids = [
        {pick.public_id for pick in pick_all(make_pipeline(**settings), stream)}
        for settings in ({}, {"smoothing_s": 0.16}, {"threshold_p": 0.4, "threshold_s": 0.4})
    ]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_the_recipe_ends_the_public_id():
    pick = pick_all(make_pipeline(), records(earthquakes(6000, (15.0,))))[0]
    assert pick.public_id == f"{replace(pick, recipe='').public_id}-{pick.recipe}"
