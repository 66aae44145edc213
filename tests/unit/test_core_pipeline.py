from dataclasses import replace

import numpy as np
import pytest

from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import DropReason, Observer, split_text
from scperformer.core.triggers import Thresholds
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S, Phase, Record, SeedId
from tests.fakes import RiseClassifier
from tests.synthetic import START_NS, assert_same, earthquakes, make_pipeline, pick_all, records

WAVEFORM = earthquakes(6000, (15.0, 38.0))


def sensors(picks):
    return {str(p.seed_id.sensor_id) for p in picks}


class Listener(Observer):
    wants_scores = True

    def __init__(self):
        self.scores, self.windows, self.left_out, self.gaps = [], [], [], []

    def scored(self, windows):
        starts_ns = windows.centre_ns - 2 * NS_PER_S
        assert windows.waveform_start_ns == starts_ns[0]
        self.scores.append((starts_ns, windows.probabilities, windows.waveform))

    def picked(self, pick, window):
        self.windows.append((pick, window))

    def dropped(self, seed_id, reason, n_samples):
        self.left_out.append((str(seed_id), reason, n_samples))

    def gap(self, gap):
        self.gaps.append(gap)


@pytest.mark.parametrize("letters", [("N", "E", "Z"), ("1", "2", "Z"), ("2", "3", "Z")])
def test_every_way_of_naming_components(letters):
    picks = pick_all(make_pipeline(), records(WAVEFORM, letters=letters))
    assert [p.phase for p in picks] == ["P", "S", "P", "S"]
    assert {p.seed_id.channel[-1] for p in picks if p.phase is Phase.P} == {"Z"}
    assert {p.seed_id.channel[-1] for p in picks if p.phase is Phase.S} <= set(letters[:2])
    assert all(p.n_components == 3 for p in picks)


def test_two_instruments_at_a_station_are_two_sensors():
    weak = records(WAVEFORM)
    strong = [
        Record(SeedId("XX", "A", "", "HN" + r.seed_id.component), r.start_ns, 100.0, r.samples // 2)
        for r in records(WAVEFORM)
    ]
    stream = sorted(weak + strong, key=lambda r: r.start_ns)
    picks = pick_all(make_pipeline(), stream)
    assert sensors(picks) == {"XX.A..HH", "XX.A..HN"}
    assert_same(
        [p for p in picks if p.seed_id.channel.startswith("HH")], pick_all(make_pipeline(), weak)
    )


def test_the_same_station_code_in_two_networks_is_two_stations():
    other = [
        Record(SeedId("YY", "A", "", r.seed_id.channel), r.start_ns, r.sampling_rate_hz, r.samples)
        for r in records(WAVEFORM)
    ]
    picks = pick_all(make_pipeline(), [*records(WAVEFORM), *other])
    assert sensors(picks) == {"XX.A..HH", "YY.A..HH"}


def test_components_that_begin_between_each_others_samples():
    stream = [
        Record(
            r.seed_id,
            r.start_ns + {"N": -2_000_000, "E": 0, "Z": 1_500_000}[r.seed_id.component],
            r.sampling_rate_hz,
            r.samples,
        )
        for r in records(WAVEFORM, [range(500, 6000, 500)] * 3)
    ]
    plain = pick_all(make_pipeline(), records(WAVEFORM))
    picks = pick_all(make_pipeline(), stream)
    moves = [(p.time_ns - q.time_ns) for p, q in zip(picks, plain, strict=True)]
    by_letter = {"N": -2_000_000, "E": 0, "Z": 1_500_000}
    assert moves == [by_letter[p.seed_id.channel[-1]] for p in picks]


def test_unknown_components_are_counted_and_harmless():
    listener = Listener()
    extra = Record(SeedId("XX", "A", "", "HHQ"), START_NS, 100.0, np.arange(100))
    picks = pick_all(make_pipeline(listener), [extra, *records(WAVEFORM)])
    assert len(picks) == 4
    assert listener.left_out == [("XX.A..HHQ", DropReason.COMPONENT, 100)]


def test_missing_components_can_be_required():
    alone = [r for r in records(WAVEFORM) if r.seed_id.component == "Z"]
    served = pick_all(make_pipeline(), alone)
    assert {p.n_components for p in served} == {1}
    strict = make_pipeline(components="all")
    assert pick_all(strict, alone) == []
    assert strict.statistics.windows == 0


def test_thresholds_of_settings_override_the_models():
    pipeline = make_pipeline(threshold_s=1.0)
    assert {p.phase for p in pick_all(pipeline, records(WAVEFORM))} == {Phase.P}


def test_a_stations_own_settings():
    own = {"A": Settings(time_correction_s=1.0)}
    pipeline = Pipeline(
        RiseClassifier(),
        thresholds=Thresholds.constant(0.5, 0.5),
        settings_for=lambda sensor: own.get(sensor.station),
    )
    stream = [*records(WAVEFORM), *records(WAVEFORM, station="B")]
    times = {}
    for pick in pick_all(pipeline, stream):
        times.setdefault(pick.seed_id.station, []).append(pick.time_ns)
    assert [a - b for a, b in zip(times["A"], times["B"], strict=True)] == [10**9] * 4


def test_an_unreadable_filter_fails_at_the_start():
    with pytest.raises(ConfigurationError, match="unknown stage"):
        make_pipeline(filter="FOO(1)")


class TestTraceNormalization:
    def test_windows_are_divided_by_their_blocks_largest_sample(self):
        listener = Listener()
        peaks = []

        class Peaks:
            name, sha256 = "peaks", "0" * 64

            def __getattr__(self, name):
                return getattr(RiseClassifier(), name)

            def classify(self, batch):
                peaks.append(batch.peak)
                return np.tile(np.float32([0, 0, 1]), (len(batch), 1))

        pipeline = Pipeline(
            Peaks(),
            thresholds=Thresholds.constant(0.5, 0.5),
            settings=Settings(trace_normalization=True, trace_size_s=20.0),
            observer=listener,
        )
        pick_all(pipeline, records(WAVEFORM))
        starts = np.concatenate([s for s, _, _ in listener.scores])
        blocks = starts // (20 * 10**9)
        by_window = np.concatenate(peaks)
        for block in np.unique(blocks):
            assert len(set(by_window[blocks == block].tolist())) == 1
        assert len(np.unique(blocks)) == 3
        assert len(np.unique(by_window)) >= 2

    def test_packets_do_not_matter(self):
        options = {"trace_normalization": True, "trace_size_s": 20.0}
        whole = pick_all(make_pipeline(**options), records(WAVEFORM))
        cuts = [range(71, 6000, 71), range(400, 6000, 400), (3333,)]
        assert_same(pick_all(make_pipeline(**options), records(WAVEFORM, cuts)), whole)


class TestObserver:
    def test_scores_come_in_order_with_their_waveform(self):
        listener = Listener()
        pick_all(make_pipeline(listener), records(WAVEFORM, [range(100, 6000, 100)] * 3))
        starts = np.concatenate([s for s, _, _ in listener.scores])
        assert (np.diff(starts) == 160_000_000).all()
        assert (starts % 160_000_000 == 0).all()
        for times, scores, waveform in listener.scores:
            assert scores.shape == (len(times), 3)
            assert waveform.shape == (3, 16 * (len(times) - 1) + 400)

    def test_a_pick_comes_with_the_window_around_it(self):
        listener = Listener()
        picks = pick_all(make_pipeline(listener), records(WAVEFORM))
        assert len(listener.windows) == len(picks)
        for pick, window in listener.windows:
            assert window.shape == (3, 400)
            place = "NEZ".index(pick.seed_id.channel[-1])
            assert np.abs(window[place, 240:]).max() > 5 * np.abs(window[place, :150]).max()

    def test_gaps_are_told_with_their_times(self):
        listener = Listener()
        kept = [r for r in records(WAVEFORM, [[1000, 1300]] * 3) if len(r.samples) != 300]
        pick_all(make_pipeline(listener), kept)
        assert [g.duration_s for g in listener.gaps] == [3.0] * 3


class TestDecidedUntil:
    def test_every_earlier_pick_has_been_returned(self):
        final = pick_all(make_pipeline(), records(WAVEFORM))
        pipeline = make_pipeline(max_batch_delay_s=0.0)
        returned = set()
        for record in records(WAVEFORM, [range(100, 6000, 100)] * 3):
            returned |= {p.public_id for p in pipeline.feed(record)}
            for until_ns in pipeline.decided_until_ns().values():
                missing = [p for p in final if p.time_ns < until_ns]
                assert {p.public_id for p in missing} <= returned

    def test_it_moves_on(self):
        pipeline = make_pipeline(max_batch_delay_s=0.0)
        for record in records(WAVEFORM, [range(100, 6000, 100)] * 3):
            pipeline.feed(record)
        (until_ns,) = pipeline.decided_until_ns().values()
        assert START_NS + 54 * 10**9 < until_ns < START_NS + 60 * 10**9


class ListenerToSplits(Observer):
    def __init__(self):
        self.heard = []

    def split(self, channels):
        self.heard.append([f"{c.location}.{c.channel}" for c in channels])
        assert "give them one location code" in split_text(channels)


def heard(location_of):
    stream = records(earthquakes(6000, (15.0,)), [range(100, 6000, 100)] * 3)
    stream = [
        replace(r, seed_id=replace(r.seed_id, location=place))
        for r in stream
        for place in location_of(r.seed_id.component)
    ]
    listener = ListenerToSplits()
    pick_all(make_pipeline(listener), stream)
    return listener.heard


@pytest.mark.parametrize(("vertical", "horizontal"), [("00", "10"), ("", "00"), ("10", "")])
def test_vertical_and_horizontals_in_two_locations(vertical, horizontal):
    [channels] = heard(lambda component: [vertical if component == "Z" else horizontal])
    assert sorted(channels) == sorted([f"{vertical}.HHZ", f"{horizontal}.HHN", f"{horizontal}.HHE"])


def test_whole_sensors_and_like_halves_are_nothing_to_tell():
    assert heard(lambda _: ["00", "10"]) == []
    assert heard(lambda component: ["00", "10"] if component == "Z" else ["00"]) == []
    assert heard(lambda component: ["00", "10"] if component == "Z" else []) == []


def test_counters_are_kept_by_sensor_and_add_up():
    loud, broken = records(WAVEFORM), records(WAVEFORM, station="B")
    del broken[0]
    broken.append(replace(broken[0], sampling_rate_hz=1000.0))
    late = replace(broken[1], start_ns=broken[1].start_ns - 100 * NS_PER_S)
    ticks = iter(range(10**6))
    pipeline = make_pipeline(clock=lambda: float(next(ticks)))
    pick_all(pipeline, [*loud, *broken, late])
    statistics = pipeline.statistics
    own = {str(sensor_id): counts for sensor_id, counts in statistics.sensors.items()}
    assert own["XX.A..HH"].picks == {"P": 2, "S": 2}
    assert not own["XX.A..HH"].dropped_samples
    left_out = {DropReason.SAMPLING_RATE: 1, DropReason.LATE: 1}
    assert own["XX.B..HH"].dropped_records == left_out
    assert own["XX.B..HH"].dropped_samples[DropReason.LATE] == 6000
    assert statistics.windows == sum(counts.windows for counts in own.values())
    assert statistics.picks["P"] == 2 + own["XX.B..HH"].picks["P"]
    assert statistics.inference_s == 2 * pipeline.batches.n_batches

    twice = pipeline.restart_statistics()
    twice.add(replace(twice, sensors={}))
    assert twice.records == 2 * len([*loud, *broken, late])
    assert twice.inference_s == 4 * pipeline.batches.n_batches
    assert twice.picks["P"] == statistics.picks["P"]
