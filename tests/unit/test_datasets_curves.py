import numpy as np
import pytest

from scperformer.datasets.curves import Curves, mean_opinion, read_curves, teach, with_doubts
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.errors import InputError

from .training_fakes import T0, record

VOICES = ((0.5, 0.5), (0.5, 0.5))


def bump(n: int, at: int, height: float, width: float = 5.0) -> np.ndarray:
    return height * np.exp(-0.5 * ((np.arange(n) - at) / width) ** 2)


def curves(*teachers, start_ns: int = T0.ns) -> Curves:
    values = np.rint(255 * np.array(teachers)).astype(np.uint8)
    return Curves("XX_AAA", start_ns, values)


def marked(*picks: tuple[float, int, bool], n: int = 3000) -> MarkedRecord:
    table = np.array(picks).reshape(-1, 3)
    marks = Marks(table[:, 0], table[:, 1].astype(np.int64), table[:, 2].astype(bool))
    return MarkedRecord(record(n=n), marks)


class TestReading:
    def test_what_was_written_comes_back_by_station(self, tmp_path):
        values = np.arange(40, dtype=np.uint8).reshape(4, 10)
        path = tmp_path / "curves.npz"
        entries = {"XX_AAA_20240101": values, "XX_AAA_20240101/start": "2024-01-01T00:00:10"}
        np.savez(path, **entries, **{"XX.B": values[:2], "XX.B/start": "2024-01-01"})
        found = read_curves(path)
        assert sorted(found) == ["XX.AAA", "XX.B"]
        (own,) = found["XX.AAA"]
        assert (own.name, own.start_ns) == ("XX_AAA_20240101", T0.ns + 10 * 10**9)
        np.testing.assert_array_equal(own.values, values.reshape(2, 2, 10))
        assert found["XX.B"][0].values.shape == (1, 2, 10)

    @pytest.mark.parametrize(
        "entries",
        [
            {"XX_A": np.zeros((3, 5), np.uint8), "XX_A/start": "2024-01-01"},
            {"XX_A": np.zeros((4, 5)), "XX_A/start": "2024-01-01"},
            {"XX_A": np.zeros((4, 5), np.uint8)},
            {"A": np.zeros((4, 5), np.uint8), "A/start": "2024-01-01"},
        ],
    )
    def test_what_is_no_curve_is_refused_by_name(self, tmp_path, entries):
        np.savez(tmp_path / "curves.npz", **entries)
        with pytest.raises(InputError, match=r"curves.npz"):
            read_curves(tmp_path / "curves.npz")

    def test_a_file_that_is_none_is_refused(self, tmp_path):
        (tmp_path / "curves.npz").write_bytes(b"nothing")
        with pytest.raises(InputError, match=r"cannot read the curves"):
            read_curves(tmp_path / "curves.npz")


class TestOpinion:
    def test_nobody_sees_anything(self):
        opinion = mean_opinion(np.zeros((2, 2, 50), np.uint8), VOICES)
        assert opinion.shape == (2, 50)
        assert opinion.max() < 1e-3

    def test_a_sure_voice_counts_more_than_in_a_mean(self):
        p = curves([bump(100, 50, 0.95)] * 2, [bump(100, 50, 0.3)] * 2)
        opinion = mean_opinion(p.values, VOICES)
        assert opinion[0].argmax() == 50
        assert opinion[0, 50] > 0.65

    def test_weights_are_by_phase(self):
        values = curves([bump(100, 30, 0.9), np.zeros(100)], [np.zeros(100), bump(100, 60, 0.9)])
        opinion = mean_opinion(values.values, ((1.0, 0.0), (1.0, 0.0)))
        assert opinion[0, 30] > 0.8
        assert opinion[1].max() < 1e-3


class TestTeaching:
    def test_teachers_alone(self):
        own = curves([bump(1500, 400, 0.9), bump(1500, 700, 0.8)])
        taught = teach(marked(), [own], voices=((1.0,), (1.0,)), width_s=0.1)
        assert taught.targets[0].argmax() == 400
        assert taught.targets[1].argmax() == 700
        assert taught.known[:1500].all()
        assert sorted(taught.peaks.tolist()) == [800, 1400]

    def test_curves_are_placed_by_their_time(self):
        own = curves([bump(500, 100, 0.9), np.zeros(500)], start_ns=T0.ns + 5 * 10**9)
        taught = teach(marked(), [own], voices=((1.0,), (1.0,)), width_s=0.1)
        assert taught.targets[0].argmax() == 350
        assert not taught.known[:250].any()
        assert taught.known[250:750].all()
        assert not taught.known[750:].any()

    def test_an_analyst_comes_first(self):
        own = curves([bump(1500, 420, 0.9), bump(1500, 404, 0.6)])
        taught = teach(marked((800.0, 0, True)), [own], voices=((1.0,), (1.0,)), width_s=0.12)
        assert taught.targets[0, 400] == pytest.approx(1.0)
        assert taught.targets[0, 420] < 0.3
        assert taught.targets[1, 404] < 0.2

    def test_without_curves_the_picks_are_all_that_arrives(self):
        taught = teach(marked((800.0, 1, True)), None, voices=VOICES, width_s=0.1)
        assert taught.known.all()
        assert taught.targets[1, 400] == pytest.approx(1.0)
        assert taught.targets[0].max() == 0.0
        assert np.count_nonzero(taught.targets[1] > 0.01) == 2 * 15 + 1

    def test_a_doubtful_pick_is_not_noise(self):
        taught = teach(marked((800.0, 0, False)), None, voices=VOICES, width_s=0.1)
        assert taught.targets.max() == 0.0
        assert not taught.known[380:421].any()
        assert taught.known[:370].all()


class TestDoubts:
    def test_what_a_teacher_suspects_and_nobody_picked_is_doubtful(self):
        own = curves([bump(1500, 400, 0.9), bump(1500, 700, 0.4)])
        labelled = marked((802.0, 0, True), (2600.0, 1, True))
        taught = teach(labelled, [own], voices=((1.0,), (1.0,)), width_s=0.1)
        found = with_doubts(labelled, taught).marks
        doubtful = found.take(~found.sure)
        assert doubtful.phase.tolist() == [1]
        assert doubtful.sample.tolist() == [1400.0]
        assert found.sure.sum() == 2

    def test_without_curves_nothing_is_suspected(self):
        labelled = marked((802.0, 0, True))
        taught = teach(labelled, None, voices=VOICES, width_s=0.1)
        assert with_doubts(labelled, taught).marks.sure.tolist() == [True]
