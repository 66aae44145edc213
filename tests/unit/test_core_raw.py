import numpy as np

from scperformer.core.raw import HELD_S, RawRun

START_NS = 1_600_000_000_003_217_000


def run_of(n, rate_hz=125.0, chunk=10):
    run = RawRun(START_NS, rate_hz)
    for first in range(0, n, chunk):
        run.append(np.arange(first, min(first + chunk, n), dtype=np.float64))
    return run


def at(number, rate_hz=125.0):
    return START_NS + round(number * 1e9 / rate_hz)


def test_a_view_holds_the_samples_between_two_times():
    samples, start_ns = run_of(100).span(at(17), at(43))
    assert samples.tolist() == list(range(17, 43))
    assert start_ns == at(17)


def test_a_time_between_two_samples_means_the_later_one():
    samples, start_ns = run_of(100).span(at(17) + 1_000_000, at(20) - 1_000_000)
    assert samples.tolist() == [18, 19]
    assert start_ns == at(18)


def test_a_view_ends_where_the_run_does():
    samples, start_ns = run_of(30).span(at(-50), at(500))
    assert samples.tolist() == list(range(30))
    assert start_ns == START_NS
    assert not len(run_of(30).span(at(40), at(50))[0])


def test_what_is_trimmed_is_forgotten_by_whole_chunks():
    run = run_of(3000)
    run.trim(at(25))
    samples, start_ns = run.span(at(0), at(3000))
    assert samples.tolist() == list(range(20, 3000))
    assert start_ns == at(20)


def test_the_latest_samples_are_held_whatever_is_trimmed():
    run = run_of(3000)
    run.trim(at(10_000))
    samples, start_ns = run.span(at(0), at(3000))
    assert samples.tolist() == list(range(3000 - round(HELD_S * 125), 3000))
    assert start_ns == at(3000 - round(HELD_S * 125))
    assert run.samples(2999, 3000).tolist() == [2999.0]


def test_samples_that_were_made_up_are_known():
    run = run_of(100)
    run.append(np.zeros(5), made_up=True)
    run.append(np.ones(5))
    assert (run.real_from, run.end) == (105, 110)


def test_cuts_into_chunks_do_not_matter():
    whole, parts = run_of(100, chunk=100), run_of(100, chunk=7)
    assert whole.span(at(3), at(88))[0].tolist() == parts.span(at(3), at(88))[0].tolist()


def test_numbers_are_right_after_years_at_an_odd_rate():
    run = RawRun(0, 99.9937)
    number = 99_993_700_000
    run._first = run.end = number
    run.append(np.array([1.0, 2.0]))
    samples, _ = run.span(round(number * 1e9 / 99.9937), round((number + 2) * 1e9 / 99.9937))
    assert samples.tolist() == [1.0, 2.0]
