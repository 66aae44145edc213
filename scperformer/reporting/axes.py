"""Axes: where values lie, and which of them are written beside the drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scperformer.types import NS_PER_S, format_time

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_DAY_NS = _DAY * NS_PER_S
_STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 5, 10)),
)
_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)
_MOST_TICKS = 7
_LONGEST_IN_DAYS_S = 80 * _DAY


@dataclass(frozen=True, slots=True)
class Tick:
    """A value that is written at an axis.

    Attributes:
        value: where.
        label: what.
        is_fine: shown only where there is room.
    """

    value: float
    label: str
    is_fine: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`, in whatever unit, times in nanoseconds.

    Attributes:
        low, high: ends.
        ticks: between them.
        title: what it is, with its unit.
        is_logarithmic: equal ratios are equally far apart.
    """

    low: float
    high: float
    ticks: tuple[Tick, ...]
    title: str
    is_logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high one, never outside."""
        low, high = self.low, self.high
        if self.is_logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return min(max((value - low) / (high - low), 0.0), 1.0)


def count_axis(most: float, title: str) -> Axis:
    """Make an axis of counts or rates from nothing to `most` or a little more."""
    step = _nice_step(max(most, 1e-9) / 3.0)
    if most == round(most) and most <= 3:
        step = max(step, 1.0)
    n_steps = max(math.ceil(most / step - 1e-9), 1)
    ticks = tuple(Tick(k * step, short_number(k * step)) for k in range(n_steps + 1))
    return Axis(0.0, n_steps * step, ticks, title)


def linear_axis(low: float, high: float, title: str, *, most_ticks: int = 6) -> Axis:
    """Make an axis of numbers."""
    step = _nice_step((high - low) / most_ticks)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(
        Tick(k * step, f"{k * step:g}", k % 2 == 1 and last - first > 4)
        for k in range(first, last + 1)
    )
    return Axis(low, high, ticks, title)


def logarithmic_axis(low: float, high: float, title: str) -> Axis:
    """Make an axis of powers of ten, and of what lies between them where there are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    between = (1, 2, 5) if high / low < 200 else (1,)
    values = [factor * 10.0**power for power in decades for factor in between]
    ticks = tuple(
        Tick(value, f"{value:g}") for value in values if low * 0.999 <= value <= high * 1.001
    )
    return Axis(low, high, ticks, title, is_logarithmic=True)


def time_axis(start_ns: int, end_ns: int) -> Axis:
    """Make an axis of times."""
    span_s = (end_ns - start_ns) / NS_PER_S
    times, pattern = _times(start_ns, end_ns, span_s)
    days = (end_ns - 1) // _DAY_NS - start_ns // _DAY_NS
    labels = [
        format_time(
            time_ns, "%m-%d" if days and not time_ns % _DAY_NS and "H" in pattern else pattern
        )
        for time_ns in times
    ]
    ticks = tuple(
        Tick(time_ns, label, k % 2 == 1 and len(times) > 4)
        for k, (time_ns, label) in enumerate(zip(times, labels, strict=True))
    )
    return Axis(start_ns, end_ns, ticks, _time_title(start_ns, end_ns, pattern))


def short_number(value: float) -> str:
    """Write a number for an axis: 1,500, 25k, 1.2M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.4g}{unit}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _nice_step(at_least: float) -> float:
    """Return the next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= at_least * 0.999)


def _times(start_ns: int, end_ns: int, span_s: float) -> tuple[list[int], str]:
    """Return times of ticks, and how to write them."""
    if span_s > _LONGEST_IN_DAYS_S:
        step = _first_within(_STEPS_MONTHS, lambda months: span_s / (months * 30.44 * _DAY))
        return list(_months(start_ns, end_ns, step)), "%Y-%m" if step < 12 else "%Y"
    step = _first_within(_STEPS_S, lambda seconds: span_s / seconds)
    step_ns = step * NS_PER_S
    times = list(range(-(-start_ns // step_ns) * step_ns, end_ns + 1, step_ns))
    return times, "%m-%d" if step >= _DAY else "%H:%M" if step >= _MINUTE else "%H:%M:%S"


def _first_within(steps: tuple[int, ...], n_ticks: Callable[[int], float]) -> int:
    return next((step for step in steps if n_ticks(step) <= _MOST_TICKS), steps[-1])


def _months(start_ns: int, end_ns: int, step: int) -> Iterator[int]:
    moment = datetime.fromtimestamp(start_ns // NS_PER_S, UTC)
    number = moment.year * 12 + moment.month - 1
    number = -(-number // step) * step
    while True:
        first = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        time_ns = round((first - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1))
        time_ns *= NS_PER_S
        if time_ns > end_ns:
            return
        if time_ns >= start_ns:
            yield time_ns
        number += step


def _time_title(start_ns: int, end_ns: int, pattern: str) -> str:
    """Say what the ticks leave out."""
    first, last = format_time(start_ns, "%Y-%m-%d"), format_time(end_ns - 1, "%Y-%m-%d")
    if pattern.startswith("%Y"):
        return "UTC"
    if pattern == "%m-%d":
        years = sorted({first[:4], last[:4]})
        return f"month and day, UTC, {' to '.join(years)}"
    return f"UTC, {first}" if first == last else f"UTC, {first} to {last}"
