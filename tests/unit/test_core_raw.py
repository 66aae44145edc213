import numpy as np

from scperformer.core.raw import RawRun

START_NS = 1_600_000_000_003_217_000


def run_of(n, rate_hz=125.0, chunk=10):
    run = RawRun(START_NS, rate_hz)
    for first in range(0, n, chunk):
        run.append(np.arange(first, min(first + chunk, n), dtype=np.float64))
    return run


def at(number, rate_hz=125.0):
    return START_NS + round(number * 1e9 / rate_hz)


def test_a_view_holds_the_samples_between_two_times():
    samples, start_ns = run_of(100).view(at(17), at(43))
    assert samples.tolist() == list(range(17, 43))
    assert start_ns == at(17)


def test_a_time_between_two_samples_means_the_later_one():
    samples, start_ns = run_of(100).view(at(17) + 1_000_000, at(20) - 1_000_000)
    assert samples.tolist() == [18, 19]
    assert start_ns == at(18)


def test_a_view_ends_where_the_run_does():
    samples, start_ns = run_of(30).view(at(-50), at(500))
    assert samples.tolist() == list(range(30))
    assert start_ns == START_NS
    assert not len(run_of(30).view(at(40), at(50))[0])


def test_what_is_trimmed_is_forgotten_by_whole_chunks():
    run = run_of(100)
    run.trim(at(25))
    samples, start_ns = run.view(at(0), at(100))
    assert samples.tolist() == list(range(20, 100))
    assert start_ns == at(20)
    run.trim(at(1000))
    assert not len(run.view(at(0), at(100))[0])
    run.append(np.array([7.0]))
    assert run.view(at(0), at(200))[0].tolist() == [7.0]


def test_cuts_into_chunks_do_not_matter():
    whole, parts = run_of(100, chunk=100), run_of(100, chunk=7)
    assert whole.view(at(3), at(88))[0].tolist() == parts.view(at(3), at(88))[0].tolist()


def test_numbers_are_right_after_years_at_an_odd_rate():
    run = RawRun(0, 99.9937)
    number = 99_993_700_000
    run._first = run._end = number
    run.append(np.array([1.0, 2.0]))
    samples, _ = run.view(round(number * 1e9 / 99.9937), round((number + 2) * 1e9 / 99.9937))
    assert samples.tolist() == [1.0, 2.0]
