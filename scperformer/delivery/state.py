"""What a stream keeps on disk to go on after a stop or a crash as if nothing had happened."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from scperformer.delivery.delivery import SAME_PICK_S, Delivery, Emitted
from scperformer.delivery.journal import Journal
from scperformer.delivery.positions import Positions
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, OutputError
from scperformer.types import NS_PER_S, Pick, Record, SensorId

_log = logging.getLogger(__name__)

WARM_UP_S = 60.0
"""How far before its position a stream begins again."""

_LEAST_PRUNED = 1000
_MARGIN_NS = round(2 * SAME_PICK_S * NS_PER_S)


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
        """Write the positions; all picks before them must have been written down.

        Args:
            decided_until_ns: what the pipeline says.
            delivery: the user of the journal.
        """
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
