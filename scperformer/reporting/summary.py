"""The report in sentences: what is wrong, what was scanned, what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from scperformer.reporting.pairing import LONGEST_S_MINUS_P_S
from scperformer.reporting.ranking import POOR_AVAILABILITY, SUSPECT, Judged
from scperformer.reporting.scan_report import ScanReport
from scperformer.reporting.words import counted, decimals, listed, long_time, moment, percent, rate
from scperformer.types import Phase

_MOST_NAMED_PROBLEMS = 10
_QUIET_HOURS = 1.0


def wrong(report: ScanReport, judged: Sequence[Judged], *, ended_by: str) -> list[str]:
    """Return sentences about what is wrong, the worst first."""
    return [*_lost(report, judged, ended_by), *_poor(report, judged)]


def scanned(report: ScanReport) -> str:
    """Say what was scanned."""
    if report.first_ns is None or report.last_ns is None:
        return "Nothing was scanned."
    tallies = report.tallies.values()
    stations = {(one.network, one.station) for one in report.tallies}
    hours = sum(tally.hours for tally in tallies)
    return (
        f"Scanned: {counted(len(report.tallies), 'sensor')} of "
        f"{counted(len(stations), 'station')}, {moment(report.first_ns)} to "
        f"{moment(report.last_ns)} UTC, in {counted(sum(t.pieces for t in tallies), 'piece')}; "
        f"{long_time(hours)} station-hours of data, "
        f"{percent(availability(report))} of the sensors' time."
    )


def found(report: ScanReport) -> list[str]:
    """Say what was found."""
    tallies = report.tallies.values()
    n_picks = {phase: sum(tally.picks[phase] for tally in tallies) for phase in Phase}
    total = sum(n_picks.values())
    if not total:
        return ["Found: no picks."]
    hours = sum(tally.hours for tally in tallies)
    often = f", {rate(total / hours)} per station-hour" if hours else ""
    sentences = [
        f"Found: {counted(total, 'pick')}, {n_picks[Phase.P]:,} P and {n_picks[Phase.S]:,} S"
        f"{often}."
    ]
    if report.pairs.n:
        sentences.append(
            f"An S follows {report.pairs.n:,} of the P at the same sensor within "
            f"{LONGEST_S_MINUS_P_S:g} s; S minus P has a median of "
            f"{decimals(report.pairs.s_minus_p_s.quantile(0.5), 1)} s."
        )
    medians = " and ".join(
        f"{decimals(report.probabilities[phase].quantile(0.5), 2)} for {phase}"
        for phase in Phase
        if n_picks[phase]
    )
    sentences.append(f"The median probability is {medians}.")
    return sentences + _beside_labels(report)


def totals(report: ScanReport) -> list[tuple[str, str]]:
    """Return the largest numbers, each with what it is."""
    tallies = report.tallies.values()
    hours = sum(tally.hours for tally in tallies)
    n_picks = {phase: sum(tally.picks[phase] for tally in tallies) for phase in Phase}
    return [
        (f"{sum(n_picks.values()):,}", "picks"),
        *((f"{n_picks[phase]:,}", f"{phase} picks") for phase in Phase),
        (f"{report.pairs.n:,}", "P with an S"),
        (f"{len(report.tallies):,}", "sensors"),
        (long_time(hours), "station-hours of data"),
        (percent(availability(report)), "availability"),
    ]


def availability(report: ScanReport) -> float:
    """Return the share of the time from the sensors' first to their last pieces with data."""
    hours = sum(tally.hours for tally in report.tallies.values())
    possible = sum(tally.span_hours for tally in report.tallies.values())
    return min(hours / possible, 1.0) if possible else float("nan")


def left_out(report: ScanReport) -> Counter[str]:
    """Return samples left out by reason."""
    total: Counter[str] = Counter()
    for tally in report.tallies.values():
        total.update(tally.left_out)
    return total


def _lost(report: ScanReport, judged: Sequence[Judged], ended_by: str) -> Iterator[str]:
    """What is missing altogether."""
    if ended_by:
        yield f"The scan was ended by {ended_by}: what was not scanned by then is not in this page."
    if not report.tallies:
        yield "No piece was finished."
    yield from report.notes[:_MOST_NAMED_PROBLEMS]
    if report.n_notes > _MOST_NAMED_PROBLEMS:
        yield f"{report.n_notes - _MOST_NAMED_PROBLEMS:,} more problems were told while it ran."
    unreadable = [one for one in judged if one.tally.unreadable]
    if unreadable:
        total = sum(one.tally.unreadable for one in unreadable)
        yield f"{counted(total, 'input')} could not be read, of {_names(unreadable)}."
    idle = [one for one in judged if not one.tally.windows]
    if idle:
        yield f"{_sensors(idle)} had nothing to look at: {_names(idle)}."


def _poor(report: ScanReport, judged: Sequence[Judged]) -> Iterator[str]:
    """What makes the picks worse, or fewer."""
    suspect = [one for one in judged if one.tally.suspicion >= SUSPECT]
    if suspect:
        suspect.sort(key=lambda one: -one.tally.suspicion)
        yield (
            f"{_sensors(suspect)} had many suspect picks, weak and without a counterpart: "
            f"{_names(suspect)}."
        )
    seen = [one for one in judged if one.tally.windows]
    poor = sorted(
        (one for one in seen if one.tally.availability < POOR_AVAILABILITY),
        key=lambda one: one.tally.availability,
    )
    if poor:
        yield (
            f"{_sensors(poor)} had data for less than {percent(POOR_AVAILABILITY)} of their time: "
            f"{_names(poor)}."
        )
    quiet = [one for one in seen if not one.tally.n_picks and one.tally.hours >= _QUIET_HOURS]
    if quiet:
        yield f"{_sensors(quiet)} had data, but no picks: {_names(quiet)}."
    reasons = left_out(report)
    if reasons:
        named = ", ".join(f"{reason} {n_samples:,}" for reason, n_samples in reasons.most_common(3))
        more = ", and others" if len(reasons) > 3 else ""
        yield f"{counted(reasons.total(), 'sample')} left out: {named}{more}."
    gaps = sum(one.tally.gaps for one in judged)
    if gaps:
        worst = sorted((one for one in judged if one.tally.gaps), key=lambda one: -one.tally.gaps)
        yield f"{counted(gaps, 'gap')}, the most at {worst[0].sensor_id} ({worst[0].tally.gaps:,})."


def _beside_labels(report: ScanReport) -> list[str]:
    if report.labels is None:
        return []
    total = report.labels.total()
    sentences = [
        f"Of {counted(total.labels[phase], 'label')} of {phase} where there were data, "
        f"{total.found[phase]:,} were found ({percent(total.recall(phase))})."
        for phase in Phase
        if total.labels[phase]
    ]
    missing = report.labels.n_not_reached
    if missing:
        sentences.append(f"{counted(missing, 'label')} lie at stations or times not scanned.")
    return sentences


def _sensors(judged: Sequence[Judged]) -> str:
    return counted(len(judged), "sensor")


def _names(judged: Sequence[Judged]) -> str:
    return listed([str(one.sensor_id) for one in judged])
