"""Records for training and records held out for validation.

Windows of one record resemble each other, and so do records of one event or one
station. What is held out is therefore whole events or whole stations, never
single windows, and nothing of them stays in training, whichever folder it is in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from scperformer.datasets.records import StationRecord


class HoldOut(StrEnum):
    """By what a folder's records are held out."""

    EVENT = "event"
    STATION = "station"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Records by use.

    Attributes:
        training: records to learn from.
        validation: records held out.
        unused: neither, because they share an event or station that is held out.
    """

    training: tuple[StationRecord, ...]
    validation: tuple[StationRecord, ...]
    unused: tuple[StationRecord, ...]


def split_records(
    records: Sequence[StationRecord],
    hold_out: Mapping[str, HoldOut],
    *,
    share: float,
    seed: int,
) -> Split:
    """Hold out whole events or stations.

    Args:
        records: of all folders.
        hold_out: the rule for each `StationRecord.source`.
        share: about this share of a folder's hours is held out, at least one event
            or station, never all of them unless the rule says so.
        seed: decides which.

    Returns:
        The split. Of the events held out by `HoldOut.EVENT`, and of the stations
        held out by `HoldOut.STATION`, no record of any folder is in training.
    """
    events = dict(zip(map(id, records), event_numbers(records), strict=True))
    validation: list[StationRecord] = []
    held_events: set[int] = set()
    held_stations: set[str] = set()
    for source in sorted(hold_out):
        members = [record for record in records if record.source == source]
        rule = hold_out[source]
        rng = np.random.default_rng([seed, *source.encode()])
        if rule is HoldOut.ALL:
            validation += members
            held_events |= {events[id(record)] for record in members}
        elif rule is HoldOut.EVENT:
            held = _draw({r: events[id(r)] for r in members}, share, rng)
            validation += held
            held_events |= {events[id(record)] for record in held}
        elif rule is HoldOut.STATION:
            held = _draw({record: record.station for record in members}, share, rng)
            validation += held
            held_stations |= {record.station for record in held}
    taken = set(map(id, validation))
    training: list[StationRecord] = []
    unused: list[StationRecord] = []
    for record in records:
        if id(record) in taken:
            continue
        leaks = events[id(record)] in held_events or record.station in held_stations
        (unused if leaks else training).append(record)
    return Split(tuple(training), tuple(validation), tuple(unused))


def event_numbers(records: Sequence[StationRecord]) -> list[int]:
    """Number the events: records that overlap in time, directly or by others, share one.

    Time alone decides, so that two distant events at the same time count as one;
    that wastes a little and leaks nothing.
    """
    order = sorted(range(len(records)), key=lambda i: records[i].start_ns)
    numbers = [0] * len(records)
    event, end_ns = -1, None
    for i in order:
        if end_ns is None or records[i].start_ns >= end_ns:
            event += 1
            end_ns = records[i].end_ns
        numbers[i] = event
        end_ns = max(end_ns, records[i].end_ns)
    return numbers


def _draw(
    units: Mapping[StationRecord, int | str], share: float, rng: np.random.Generator
) -> list[StationRecord]:
    """Draw units until their records hold a share of the samples; leave one unit at least."""
    lengths: dict[int | str, int] = {}
    for record, unit in units.items():
        lengths[unit] = lengths.get(unit, 0) + len(record.samples)
    wanted = share * sum(lengths.values())
    if len(lengths) < 2 or share <= 0:
        return []
    largest = max(2 * wanted, min(lengths.values()))
    small_enough = sorted((unit for unit in lengths if lengths[unit] <= largest), key=str)
    held: set[int | str] = set()
    for number in rng.permutation(len(small_enough)):
        if sum(lengths[unit] for unit in held) < wanted and len(held) < len(lengths) - 1:
            held.add(small_enough[number])
    return [record for record, unit in units.items() if unit in held]
