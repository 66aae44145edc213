"""What a stream keeps on disk to go on after a stop or a crash as if nothing had happened."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from scperformer.delivery.delivery import SAME_PICK_S, Delivery, Emitted, Journal
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.columns import DAMAGED, read_text, time_from_json
from scperformer.types import NS_PER_S, Pick, Record, SeedId, SensorId

_log = logging.getLogger(__name__)

WARM_UP_S = 90.0
"""How far before its position a stream begins again."""

_LEAST_PRUNED = 1000
_MARGIN_NS = round(2 * SAME_PICK_S * NS_PER_S)

# A position ahead of the clock comes from a station whose clock was wrong.
_CLOCK_ERROR_NS = 60 * NS_PER_S
# A step back by more is believed, as in the pipeline.
_CLOCK_RESET_NS = 86_400 * NS_PER_S
# A sensor that fell silent this long before its station's others does not hold them back.
_SILENT_NS = 3600 * NS_PER_S
# A channel that fell silent this long before its sensor's others may have another name now.
_SILENT_CHANNEL_NS = 300 * NS_PER_S
# A sensor of which nothing was ever decided is read again this far back at most.
_UNDECIDED_NS = 300 * NS_PER_S


@dataclass(slots=True)
class SensorPosition:
    """How far a sensor has come.

    Attributes:
        decided_until_ns: every pick before this time has been written down; None if
            no window has been looked at.
        ends_ns: by channel, where its latest record ended.
        first_ns: where its records began.
    """

    decided_until_ns: int | None = None
    ends_ns: dict[SeedId, int] = field(default_factory=dict)
    first_ns: int = 0

    @property
    def latest_ns(self) -> int:
        """End of the latest record of any channel."""
        return max(self.ends_ns.values(), default=self.first_ns)

    def resume_ns(self, warm_up_ns: int) -> int:
        """Where to begin again, so that nothing is lost and filters have run in."""
        if self.decided_until_ns is not None:
            return self.decided_until_ns - warm_up_ns
        return max(self.first_ns, self.latest_ns - _UNDECIDED_NS) - warm_up_ns


class Positions:
    """The positions of all sensors.

    Args:
        warm_up_ns: how far before its position a stream begins again.

    Attributes:
        restored: what was read from the store, before anything new came.
    """

    def __init__(self, *, warm_up_ns: int) -> None:
        self.warm_up_ns = warm_up_ns
        self.restored: dict[SensorId, SensorPosition] = {}
        self._now: dict[SensorId, SensorPosition] = {}

    def note(self, record: Record) -> None:
        """Take notice of a record that goes into the pipeline."""
        sensor_id = record.seed_id.sensor_id
        position = self._now.get(sensor_id)
        if position is None:
            position = self._now[sensor_id] = SensorPosition(first_ns=record.start_ns)
        known = position.ends_ns.get(record.seed_id)
        if known is None or record.end_ns > known or record.end_ns < known - _CLOCK_RESET_NS:
            position.ends_ns[record.seed_id] = record.end_ns

    def decide(self, decided_until_ns: Mapping[SensorId, int]) -> None:
        """Take what the pipeline says of how far it has come.

        A restart begins before the old position, which holds until it is reached.
        """
        for sensor_id, decided_ns in decided_until_ns.items():
            position = self._now.setdefault(sensor_id, SensorPosition(first_ns=decided_ns))
            restored = self.restored.get(sensor_id)
            floor_ns = restored.decided_until_ns if restored is not None else None
            position.decided_until_ns = max(decided_ns, floor_ns or decided_ns)

    def current(self) -> dict[SensorId, SensorPosition]:
        """Positions of all sensors, those not heard of since the restart as they were."""
        merged = dict(self.restored)
        for sensor_id, position in self._now.items():
            old = self.restored.get(sensor_id)
            if position.decided_until_ns is None and old is not None:
                ends = {**old.ends_ns, **position.ends_ns}
                merged[sensor_id] = replace(old, ends_ns=ends)
            else:
                merged[sensor_id] = position
        return merged

    def resume_ns(self, sensor_id: SensorId) -> int | None:
        """Say where a sensor begins again; None if nothing is known of it."""
        position = self.restored.get(sensor_id)
        return None if position is None else position.resume_ns(self.warm_up_ns)

    def station_resume_ns(self) -> dict[tuple[str, str], int]:
        """Say where each station (network, station) begins again."""
        by_station: dict[tuple[str, str], list[SensorPosition]] = {}
        for sensor_id, position in self.restored.items():
            key = (sensor_id.network, sensor_id.station)
            by_station.setdefault(key, []).append(position)
        result = {}
        for key, own in by_station.items():
            latest_ns = max(position.latest_ns for position in own)
            alive = [p for p in own if p.latest_ns >= latest_ns - _SILENT_NS]
            result[key] = min(position.resume_ns(self.warm_up_ns) for position in alive)
        return result

    def channels(self) -> Iterable[SeedId]:
        """Yield the channels that were there before the restart, silent ones left out."""
        for position in self.restored.values():
            first_ns = position.latest_ns - _SILENT_CHANNEL_NS
            yield from (c for c, end_ns in position.ends_ns.items() if end_ns >= first_ns)

    def stations(self, *, since_ns: int) -> set[tuple[str, str]]:
        """Return the stations (network, station) that were heard before the restart and lately."""
        return {
            (sensor_id.network, sensor_id.station)
            for sensor_id, position in self.restored.items()
            if position.latest_ns >= since_ns
        }

    def save(self, store: Store) -> None:
        """Write the positions, without waiting for the disk: older ones would do.

        Raises:
            OutputError: they cannot be written; the old ones stand.
        """
        rows = [(str(s), _to_json(s, position)) for s, position in self.current().items()]
        with store.writing(durable=False) as connection:
            connection.execute("DELETE FROM sensors")
            connection.executemany("INSERT INTO sensors VALUES (?, ?)", rows)

    def load(self, store: Store, *, now_ns: int) -> None:
        """Read positions, if there are any.

        One that cannot be understood is told in the log and left out; so is that of a sensor
        whose clock was ahead.

        Raises:
            OutputError: the store cannot be read.
        """
        latest_ns = now_ns + _CLOCK_ERROR_NS
        for name, text in store.rows("SELECT name, position FROM sensors"):
            try:
                sensor_id, position = _from_json(json.loads(text))
            except DAMAGED as error:
                _log.error("%s: no position of ours (%r); begins anew", name, error)
                continue
            if max(position.decided_until_ns or 0, position.latest_ns) > latest_ns:
                _log.warning("%s: its clock was ahead; begins anew", sensor_id)
            else:
                self.restored[sensor_id] = position


def _to_json(sensor_id: SensorId, position: SensorPosition) -> bytes:
    values = {
        "sensor": astuple(sensor_id),
        "decided_until_ns": position.decided_until_ns,
        "first_ns": position.first_ns,
        "ends_ns": {seed_id.component: end_ns for seed_id, end_ns in position.ends_ns.items()},
    }
    return json.dumps(values).encode()


def _from_json(values: Mapping[str, Any]) -> tuple[SensorId, SensorPosition]:
    network, station, location, band_instrument = map(read_text, values["sensor"])
    sensor_id = SensorId(network, station, location, band_instrument)
    decided = values["decided_until_ns"]
    ends = {
        sensor_id.channel(read_text(letter)): time_from_json(end)
        for letter, end in values["ends_ns"].items()
    }
    if any(seed_id.sensor_id != sensor_id for seed_id in ends):
        raise ValueError(f"got the components {sorted(values['ends_ns'])}; wanted a letter each")
    position = SensorPosition(None if decided is None else time_from_json(decided), ends)
    position.first_ns = time_from_json(values["first_ns"])
    return sensor_id, position


class StreamState:
    """The store in the folder of ``--state``: the journal of picks, the positions of streams.

    Args:
        folder: made if it does not exist.
        dead_time_s: the picker's least time between picks; it must be run in, too.
        time_correction_s: what the picker adds to picks' times.

    Attributes:
        store: keeps them; what outputs keep lies there, too.
        journal: picks that were written down.
        positions: how far streams have come.
        skipped: records left out because they end before their sensor's position.

    Raises:
        ConfigurationError: another process uses the folder.
        OutputError: the folder cannot be read or written.
    """

    def __init__(
        self, folder: Path, *, dead_time_s: float = 1.0, time_correction_s: float = 0.0
    ) -> None:
        self._correction_ns = round(time_correction_s * NS_PER_S)
        self.positions = Positions(warm_up_ns=round((WARM_UP_S + dead_time_s) * NS_PER_S))
        self.skipped: Counter[SensorId] = Counter()
        self._prune_at = _LEAST_PRUNED
        try:
            self.store = Store(folder)
        except (ConfigurationError, OutputError) as error:
            raise type(error)(f"--state {error}") from error
        self.journal = Journal(self.store)
        self.positions.load(self.store, now_ns=time.time_ns())
        self._resume_ns = {s: self.positions.resume_ns(s) for s in self.positions.restored}

    def emitted(self) -> Emitted:
        """Return what was given out before."""
        decided = {
            sensor_id: position.decided_until_ns
            for sensor_id, position in self.positions.restored.items()
            if position.decided_until_ns is not None
        }
        return Emitted(self.journal.picks.values(), decided, time_correction_ns=self._correction_ns)

    def wants(self, record: Record) -> bool:
        """Take notice of a record; tell whether the pipeline needs it."""
        sensor_id = record.seed_id.sensor_id
        resume_ns = self._resume_ns.get(sensor_id)
        if resume_ns is not None and record.end_ns <= resume_ns:
            self.skipped[sensor_id] += 1
            return False
        self.positions.note(record)
        return True

    def save(self, decided_until_ns: Mapping[SensorId, int], delivery: Delivery) -> None:
        """Write how far the pipeline is; all picks before that must have been written down."""
        self.positions.decide(decided_until_ns)
        try:
            self.positions.save(self.store)
            if len(self.journal.picks) >= self._prune_at:
                self._prune(delivery)
        except OutputError as error:
            _log.error("%s", error)

    def _prune(self, delivery: Delivery) -> None:
        positions = self.positions.current()

        def is_needed(pick: Pick) -> bool:
            position = positions.get(pick.seed_id.sensor_id)
            if position is None or position.decided_until_ns is None:
                return True
            first_ns = position.resume_ns(self.positions.warm_up_ns) - _MARGIN_NS
            return pick.time_ns - self._correction_ns >= first_ns

        delivery.prune(is_needed)
        self._prune_at = max(_LEAST_PRUNED, 2 * len(self.journal.picks))

    def close(self) -> None:
        """Close the store."""
        self.store.close()
