"""Stations unlike the others, found in synthetic weeks with one thing wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scperformer.cli.main import main
from scperformer.evaluation.drift import compare_stations
from scperformer.picks.pick_files import open_sink
from scperformer.types import NS_PER_S, Phase, SeedId
from tests.unit.test_delivery_outbox import pick

START_NS = 1_600_000_000 * NS_PER_S
END_NS = START_NS + 7 * 86_400 * NS_PER_S
SIDE_KM, KM_A_DEGREE = 40.0, 111.2
STATIONS = tuple(f"XX.S{n:02}" for n in range(12))


def places():
    """Positions of the stations in km and in degrees."""
    random = np.random.default_rng(7)
    km = {name: random.uniform(0.0, SIDE_KM, 2) for name in STATIONS}
    return km, {name: tuple(xy / KM_A_DEGREE) for name, xy in km.items()}


def made(station, phase, time_ns, probability):
    network, code = station.split(".")
    seed_id = SeedId(network, code, "", "HHZ")
    kind = {"phase": phase, "seed_id": seed_id, "probability": probability}
    return replace(pick(0), time_ns=int(time_ns), **kind)


def week(*, n_events=300, seed=0):
    """Picks of a week by station: earthquakes that nine of ten stations pick, and some noise."""
    random = np.random.default_rng(seed)
    km, _ = places()
    picks = {name: [] for name in STATIONS}
    for origin_ns in np.sort(random.uniform(START_NS, END_NS - 60 * NS_PER_S, n_events)):
        source = random.uniform(0.0, SIDE_KM, 2)
        for name in STATIONS:
            if random.random() < 0.1:
                continue
            travel_s = np.hypot(10.0, np.linalg.norm(km[name] - source)) / 6.0
            for phase, factor, share in ((Phase.P, 1.0, 1.0), (Phase.S, 1.73, 0.8)):
                if random.random() < share:
                    error_s = random.normal(scale=0.05)
                    time_ns = origin_ns + (travel_s * factor + error_s) * NS_PER_S
                    probability = 1.0 / (1.0 + np.exp(-random.normal(2.5, 1.0)))
                    picks[name].append(made(name, phase, time_ns, probability))
    for name in STATIONS:
        noise_ns = random.uniform(START_NS, END_NS, 20)
        picks[name] += [made(name, Phase.P, time_ns, 0.7) for time_ns in noise_ns]
    return picks


def unlike(picks, **options):
    """What is unlike the others, by station."""
    flat = [one for own in picks.values() for one in own]
    stations = compare_stations(flat, START_NS, END_NS, **options)
    assert [one.far for one in stations] == sorted((one.far for one in stations), reverse=True)
    return {
        one.station: {finding.what for finding in one.findings} for one in stations if one.findings
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("with_positions", [True, False])
def test_in_a_sound_week_no_station_is_unlike_the_others(seed, with_positions):
    positions = places()[1] if with_positions else None
    assert unlike(week(seed=seed), positions=positions) == {}


def test_a_station_that_died_is_silent():
    picks = week()
    picks["XX.S03"] = [p for p in picks["XX.S03"] if p.time_ns < START_NS + (END_NS - START_NS) / 2]
    found = unlike(picks)
    assert set(found) == {"XX.S03"}
    assert "silent" in found["XX.S03"]


def test_a_station_without_any_pick_is_known_by_its_position():
    picks = week()
    picks["XX.S03"] = []
    assert unlike(picks) == {}
    assert unlike(picks, positions=places()[1]) == {"XX.S03": {"silent"}}


def test_a_noisy_station_picks_often_and_alone():
    picks, random = week(), np.random.default_rng(1)
    noise_ns = random.uniform(START_NS, END_NS, 3000)
    picks["XX.S05"] += [made("XX.S05", Phase.P, time_ns, 0.7) for time_ns in noise_ns]
    found = unlike(picks, positions=places()[1])
    assert set(found) == {"XX.S05"}
    assert {"rate", "alone", "with_s"} <= found["XX.S05"]


def test_a_station_whose_probabilities_sank():
    picks = week()
    picks["XX.S07"] = [
        replace(p, probability=p.probability / (p.probability + 6.0 * (1.0 - p.probability)))
        for p in picks["XX.S07"]
    ]
    assert unlike(picks) == {"XX.S07": {"probability_p", "probability_s"}}


def test_dead_horizontals_lose_the_s():
    picks = week()
    picks["XX.S02"] = [p for p in picks["XX.S02"] if p.phase is Phase.P]
    found = unlike(picks)
    assert set(found) == {"XX.S02"}
    assert "with_s" in found["XX.S02"]


@pytest.mark.parametrize("off_s", [1.0, -1.0])
def test_a_clock_that_is_off_is_told_from_p_and_s_alone(off_s):
    picks = week()
    shift_ns = round(off_s * NS_PER_S)
    picks["XX.S09"] = [replace(p, time_ns=p.time_ns + shift_ns) for p in picks["XX.S09"]]
    flat = [one for own in picks.values() for one in own]
    worst = compare_stations(flat, START_NS, END_NS)[0]
    assert worst.station == "XX.S09"
    assert worst.origin_s == pytest.approx(off_s, abs=0.15)
    [finding] = worst.findings
    assert f"1.0 s {'late' if off_s > 0 else 'early'}" in finding.sentence


def test_too_few_stations_cannot_be_compared():
    with pytest.raises(ValueError, match="of 3 stations; wanted 4"):
        unlike(dict(list(week(n_events=5).items())[:3]))


def write(path, picks):
    with open_sink(path) as sink:
        sink.write([one for own in picks.values() for one in own])


def test_the_command_names_the_worst_first_and_tells_by_its_status(tmp_path, capsys):
    picks = week(n_events=100)
    write(tmp_path / "sound.csv", picks)
    assert main(["drift", str(tmp_path / "sound.csv")]) == 0
    assert "No station is unlike the others." in capsys.readouterr().out
    picks["XX.S03"] = picks["XX.S03"][:20]
    write(tmp_path / "dead.csv", picks)
    figures = tmp_path / "drift.json"
    assert main(["drift", str(tmp_path / "dead.csv"), "--json", str(figures)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].startswith("XX.S03 ")
    assert lines[-1].startswith("XX.S03: no pick from ")
    worst, *others = json.loads(figures.read_text())["stations"]
    assert (worst["station"], worst["findings"][0]["what"]) == ("XX.S03", "silent")
    assert not any(one["findings"] for one in others)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "2020-09-20", "--end", "2020-09-14"], "the first before the second"),
        (["--window", "0"], "--window: got 0; wanted seconds, above 0"),
        (["--start", "2030-01-01", "--end", "2030-01-08"], "picks of 0 stations; wanted 4 or more"),
    ],
)
def test_what_cannot_be_compared_ends_with_status_2(tmp_path, capsys, options, said):
    write(tmp_path / "picks.csv", week(n_events=5))
    assert main(["drift", str(tmp_path / "picks.csv"), *options]) == 2
    assert said in capsys.readouterr().err
