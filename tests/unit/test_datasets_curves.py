"""Teachers' curves: read, made into one opinion, and joined with analysts' picks."""

import numpy as np
import pytest

from scperformer.datasets.curves import Curves, mean_opinion, read_curves, teach
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.errors import InputError
from scperformer.types import NS_PER_S

from .training_fakes import T0, record

ONE = ((1.0,), (1.0,))
TWO = ((1.0, 1.0), (3.0, 1.0))
WIDTH_S = 0.12


def hump(n: int, at: int, height: float = 0.9, width: float = 6.0) -> np.ndarray:
    return height * np.exp(-0.5 * ((np.arange(n) - at) / width) ** 2)


def curves_of(*rows: np.ndarray, start_s: float = 0.0) -> Curves:
    """Rows P, S of each teacher, as probabilities."""
    values = np.round(255.0 * np.stack(rows)).astype(np.uint8)
    start_ns = T0.ns + round(start_s * NS_PER_S)
    return Curves("XX_AAA", start_ns, values.reshape(-1, 2, values.shape[1]))


def marked(*picks: tuple[float, int, bool], n: int = 3000) -> MarkedRecord:
    sample, phase, sure = zip(*picks, strict=True) if picks else ((), (), ())
    marks = Marks(np.array(sample, float), np.array(phase, int), np.array(sure, bool))
    return MarkedRecord(record(n=n), marks)


class TestReading:
    def test_curves_come_by_station_with_their_times(self, tmp_path):
        path = tmp_path / "c.npz"
        values = np.arange(80, dtype=np.uint8).reshape(4, 20)
        np.savez_compressed(
            path,
            **{
                "XX_AAA_20240101T000000_0001": values,
                "XX_AAA_20240101T000000_0001/start": np.array("2024-01-01T00:00:01.520000Z"),
                "XX_AAA_other": values[:2],
                "XX_AAA_other/start": np.array("2024-01-01T01:00:00"),
                "YY.B": values,
                "YY.B/start": np.array("2024-01-01T00:00:00Z"),
            },
        )
        found = read_curves(path)
        assert {name: len(parts) for name, parts in found.items()} == {"XX.AAA": 2, "YY.B": 1}
        first, second = found["XX.AAA"]
        assert first.start_ns == T0.ns + 1_520_000_000
        assert second.start_ns == T0.ns + 3600 * NS_PER_S
        assert first.values.shape == (2, 2, 20)
        assert np.array_equal(first.values[1, 0], values[2])

    @pytest.mark.parametrize(
        ("name", "values", "start"),
        [
            ("XX_A", np.zeros((3, 9), np.uint8), "2024-01-01"),
            ("XX_A", np.zeros((2, 9), np.float32), "2024-01-01"),
            ("XX_A", np.zeros(9, np.uint8), "2024-01-01"),
            ("XXA", np.zeros((2, 9), np.uint8), "2024-01-01"),
            ("XX_A", np.zeros((2, 9), np.uint8), "noon"),
            ("XX_A", np.zeros((2, 9), np.uint8), None),
            ("XX_A", np.array([[object()]]), "2024-01-01"),
        ],
    )
    def test_what_is_no_curves_is_refused(self, name, values, start, tmp_path):
        entries = {name: values} | ({f"{name}/start": np.array(start)} if start else {})
        np.savez(tmp_path / "c.npz", **entries)
        with pytest.raises(InputError, match=r"c\.npz"):
            read_curves(tmp_path / "c.npz")

    def test_a_damaged_file_is_refused(self, tmp_path):
        path = tmp_path / "c.npz"
        with pytest.raises(InputError, match="cannot read the curves"):
            read_curves(path)
        path.write_bytes(b"PK\3\4 nothing")
        with pytest.raises(InputError, match="cannot read the curves"):
            read_curves(path)


class TestOpinion:
    def test_one_teacher_is_sharpened_where_he_spoke(self):
        curves = curves_of(hump(200, 100), hump(200, 150, 0.5)).values
        opinion = mean_opinion(curves, ONE)
        assert opinion.argmax(axis=1).tolist() == [100, 150]
        assert 0.85 < opinion[0, 100] < 1.0
        assert opinion[1, 150] > 0.5
        assert opinion[:, :50].max() < 1e-6

    def test_nobody_who_sees_anything_is_nothing(self):
        assert mean_opinion(np.zeros((2, 2, 50), np.uint8), TWO).max() < 1e-6

    def test_voices_weigh(self):
        only_first = curves_of(hump(200, 100), hump(200, 100), np.zeros(200), np.zeros(200)).values
        p, s = mean_opinion(only_first, TWO)[:, 100]
        assert 0.1 < p < s < 0.9
        assert np.array_equal(
            mean_opinion(only_first, ((1.0, 0.0), (1.0, 0.0))), mean_opinion(only_first[:1], ONE)
        )
        tenfold = [[10.0 * weight for weight in phase] for phase in TWO]
        np.testing.assert_allclose(mean_opinion(only_first, tenfold)[:, 100], (p, s), atol=1e-6)


class TestTeaching:
    def taught(self, own, curves, voices=ONE):
        return teach(own, curves, voices=voices, width_s=WIDTH_S)

    def test_curves_stand_at_their_time_and_the_rest_is_unknown(self):
        rows = (hump(400, 100), hump(400, 250))
        taught = self.taught(marked(), [curves_of(*rows, start_s=4.0)])
        assert taught.targets.shape == (2, 1501)
        assert taught.targets.argmax(axis=1).tolist() == [300, 450]
        assert np.flatnonzero(taught.known).tolist() == list(range(200, 600))
        assert taught.peaks.tolist() == [600, 900]

    @pytest.mark.parametrize("start_s", [-4.0, 26.0, -100.0, 100.0])
    def test_curves_may_begin_before_a_record_and_end_behind_it(self, start_s):
        taught = self.taught(marked(), [curves_of(hump(400, 250), np.zeros(400), start_s=start_s)])
        inside = (start_s * 50 + np.arange(400)).astype(int)
        inside = inside[(inside >= 0) & (inside <= 1500)]
        assert np.flatnonzero(taught.known).tolist() == inside.tolist()

    def test_an_analyst_takes_the_place_of_the_teacher(self):
        rows = (hump(1501, 500), hump(1501, 520, 0.8))
        plain = self.taught(marked(), [curves_of(*rows)])
        taught = self.taught(marked((1010.0, 0, True)), [curves_of(*rows)])
        assert taught.targets[0].argmax() == 505
        assert taught.targets[0, 505] == 1.0
        sigma = int(WIDTH_S * 50)
        assert taught.targets[0, 505 + sigma] == pytest.approx(np.exp(-0.5), abs=1e-6)
        assert taught.targets[1, 505] == 0.0
        assert taught.targets[1, 520] < plain.targets[1, 520]
        away = np.abs(np.arange(1501) - 505) >= 30
        assert np.array_equal(taught.targets[:, away], plain.targets[:, away])

    def test_a_folder_without_curves_holds_its_picks_and_nothing_else(self):
        taught = self.taught(marked((1000.0, 1, True)), None)
        assert taught.known.all()
        assert taught.targets[1, 500] == 1.0
        assert not taught.targets[0].any()
        assert taught.peaks.tolist() == [1000]
        assert not self.taught(marked(), None).targets.any()

    def test_a_folder_with_curves_knows_nothing_of_a_station_without(self):
        assert not self.taught(marked(), []).known.any()
        known = self.taught(marked((1000.0, 0, True)), []).known
        assert np.flatnonzero(known).tolist() == list(range(471, 530))

    def test_a_doubtful_pick_is_neither_phase_nor_noise_unless_teachers_see_it(self):
        doubtful = marked((1000.0, 0, False))
        taught = self.taught(doubtful, None)
        assert np.flatnonzero(taught.known == 0.0).tolist() == list(range(471, 530))
        seen = self.taught(doubtful, [curves_of(hump(1501, 500), np.zeros(1501))])
        assert seen.known[500] == 1.0
        assert seen.known[475] == 0.0
