import numpy as np
import pytest

from scperformer.datasets.crops import CropSampler
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.datasets.records import StationRecord
from scperformer.types import SensorId

LENGTH = 1000


def marked(n: int = 40_000, picks=((30_000, True), (30_400, True))) -> MarkedRecord:
    samples = np.arange(n, dtype=np.float32)[:, None].repeat(3, 1)
    record = StationRecord("test", SensorId("XX", "A", "", "HH"), 0, samples, (True, True, True))
    sample = np.array([at for at, _ in picks], float)
    sure = np.array([is_sure for _, is_sure in picks], bool)
    return MarkedRecord(record, Marks(sample, np.zeros(len(picks), int), sure))


def crops(sampler, count=2000, length=LENGTH):
    rng = np.random.default_rng(0)
    return [sampler.draw(rng, length) for _ in range(count)]


def picks_inside(crop, *, sure_only=False):
    marks = crop.marked.marks
    inside = (marks.sample >= crop.first) & (marks.sample < crop.end)
    return marks.sample[inside & marks.sure] if sure_only else marks.sample[inside]


def test_a_crop_from_anywhere_does_not_follow_the_picks():
    found = crops(CropSampler([[marked()]], at_picks=0.0, quiet=0.0))
    firsts = np.sort([crop.first for crop in found])
    np.testing.assert_allclose(firsts, np.linspace(0, 39_000, 2000), atol=39_000 * 0.04)
    share = np.mean([len(picks_inside(crop)) > 0 for crop in found])
    assert share == pytest.approx(1400 / 39_000, abs=0.015)


def test_a_pick_lies_anywhere_in_its_crop():
    sampler = CropSampler([[marked(picks=((20_000, True),))]], at_picks=1.0, quiet=0.0)
    places = np.sort([20_000 - crop.first for crop in crops(sampler)])
    assert (places[0], places[-1]) == (pytest.approx(0, abs=5), pytest.approx(999, abs=5))
    np.testing.assert_allclose(places, np.linspace(0, 999, 2000), atol=40)


def test_a_pick_keeps_its_distance_from_both_ends_where_it_can():
    sampler = CropSampler(
        [[marked(picks=((20_000, True),))]], at_picks=1.0, quiet=0.0, edge_samples=200
    )
    places = [20_000 - crop.first for crop in crops(sampler)]
    assert (min(places), max(places)) == (200, 799)
    late = CropSampler(
        [[marked(picks=((39_990, True),))]], at_picks=1.0, quiet=0.0, edge_samples=200
    )
    assert {crop.first for crop in crops(late, 50)} == {39_000}


def test_quiet_ground_keeps_away_from_all_picks():
    record = marked(picks=((10_000, True), (25_000, False)))
    found = crops(CropSampler([[record]], at_picks=0.0, quiet=1.0))
    for crop in found:
        near = (record.marks.sample >= crop.first - 2000) & (record.marks.sample < crop.end + 300)
        assert not near.any()
    firsts = np.array([crop.first for crop in found])
    parts = [(0, 9_700), (12_000, 24_700), (27_000, 40_000)]
    assert all(((firsts >= low) & (firsts <= high - LENGTH)).any() for low, high in parts)


def test_shares_are_kept():
    records = [marked(), marked(picks=()), marked(picks=((100, False),))]
    found = crops(CropSampler([records[:1], records[1:]], at_picks=0.5, quiet=0.5))
    with_pick = np.mean([len(picks_inside(crop, sure_only=True)) > 0 for crop in found])
    assert with_pick == pytest.approx(0.5, abs=0.03)
    assert np.mean([len(picks_inside(crop)) == 0 for crop in found]) == pytest.approx(0.5, abs=0.03)


def test_a_short_record_is_given_whole():
    record = marked(600, ((300, True),))
    for shares in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
        sampler = CropSampler([[record]], at_picks=shares[0], quiet=shares[1])
        (crop,) = crops(sampler, 1)
        assert (crop.first, crop.end, crop.samples.shape) == (0, 600, (600, 3))


def test_where_nothing_is_picked_there_is_still_something_to_draw():
    sampler = CropSampler([[marked(picks=())]], at_picks=1.0, quiet=0.0)
    assert sampler.at_pick(np.random.default_rng(0), LENGTH) is None
    assert len({crop.first for crop in crops(sampler, 20)}) > 10
