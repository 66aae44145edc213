"""Records of a channel that follow on one another made one, where nobody waits for picks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scperformer.types import NS_PER_S, Record, SeedId, SensorId

JOINED_S = 60.0
LOOSE_S = 60.0
"""For how long, in data time, a sensor's records pass as they come when one was out of place."""

_FIT_SAMPLES = 0.25
"""How far, in samples, a record may stand from where the first one's time puts it."""


class Joiner:
    """Joins short records, each of which costs as much as a long one. It changes no pick.

    A sensor's channels are let go together, so that none runs ahead of the others. Around
    gaps and records out of order all pass as they come: there it matters what came before
    what.

    Args:
        span_s: a sensor's records are let go when one of its channels has this much.
    """

    def __init__(self, span_s: float = JOINED_S) -> None:
        self._span_ns = round(span_s * NS_PER_S)
        self._sensors: dict[SensorId, _Sensor] = {}
        self._n_pushed = 0

    def push(self, record: Record) -> list[Record]:
        """Take a record; return those that it completes."""
        self._n_pushed += 1
        sensor_id = record.seed_id.sensor_id
        sensor = self._sensors.get(sensor_id)
        if sensor is None:
            sensor = self._sensors[sensor_id] = _Sensor()
        if not (record.sampling_rate_hz > 0.0 and len(record.samples)):
            return [*sensor.loosen(), record]
        chain = sensor.chains.get(record.seed_id)
        if chain is None:
            chain = sensor.chains[record.seed_id] = _Chain()
        sensor.front_ns = max(sensor.front_ns, record.start_ns)
        loose = [] if chain.is_followed_by(record) else sensor.loosen()
        chain.hold(record, self._n_pushed)
        if record.start_ns < sensor.loose_until_ns:
            return [*loose, *chain.take()]
        is_full = chain.next_ns - chain.records[0].start_ns >= self._span_ns
        return loose + (sensor.let_go() if is_full else [])

    def finish(self) -> list[Record]:
        """Return what is left."""
        left = [record for sensor in self._sensors.values() for record in sensor.let_go()]
        self._sensors.clear()
        return left


@dataclass(slots=True)
class _Chain:
    """A channel's records that follow on one another, numbered as they came, and what is next."""

    records: list[Record] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    last: Record | None = None
    n_samples: int = 0
    next_ns: int = 0

    def is_followed_by(self, record: Record) -> bool:
        if self.last is None:
            return True
        rate_hz = self.last.sampling_rate_hz
        return (
            record.sampling_rate_hz == rate_hz
            and record.samples.dtype == self.last.samples.dtype
            and abs(record.start_ns - self.next_ns) * rate_hz <= _FIT_SAMPLES * NS_PER_S
        )

    def hold(self, record: Record, number: int) -> None:
        self.last = record
        self.records.append(record)
        self.numbers.append(number)
        self.n_samples += len(record.samples)
        elapsed_ns = round(self.n_samples * NS_PER_S / record.sampling_rate_hz)
        self.next_ns = self.records[0].start_ns + elapsed_ns

    def take(self) -> list[Record]:
        records, self.records, self.numbers, self.n_samples = self.records, [], [], 0
        if records:
            self.next_ns = records[-1].end_ns
        return records


@dataclass(slots=True)
class _Sensor:
    """A sensor's channels, how far their records have come, and until when these pass."""

    chains: dict[SeedId, _Chain] = field(default_factory=dict)
    front_ns: int = 0
    loose_until_ns: int = 0

    def let_go(self) -> list[Record]:
        """Let all go, joined, in the order in which they begin."""
        held = [chain.take() for chain in self.chains.values() if chain.records]
        return [_joined(records) for records in sorted(held, key=lambda one: one[0].start_ns)]

    def loosen(self) -> list[Record]:
        """Let all go as they came, and the next ones as they come."""
        self.loose_until_ns = self.front_ns + round(LOOSE_S * NS_PER_S)
        came = [
            one
            for chain in self.chains.values()
            for one in zip(chain.numbers, chain.take(), strict=True)
        ]
        return [record for _, record in sorted(came, key=lambda one: one[0])]


def _joined(records: list[Record]) -> Record:
    if len(records) == 1:
        return records[0]
    first = records[0]
    samples = np.concatenate([record.samples for record in records])
    return Record(first.seed_id, first.start_ns, first.sampling_rate_hz, samples)
