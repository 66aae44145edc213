"""What came of all pieces of a scan."""

from __future__ import annotations

from collections import Counter

from scperformer.core.statistics import DropReason, Statistics
from scperformer.picks.pick_files import in_order
from scperformer.scanning.work import PieceResult
from scperformer.types import Pick, SeedId, SensorId
from scperformer.waveforms.pieces import DAY_NS, Piece


class Tally:
    """What came of all pieces so far; its size depends on the sensors alone."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.left_out: dict[SeedId, Counter[DropReason]] = {}
        self.n_problems = 0
        self.n_picks = 0
        self.by_station: dict[str, Counter[str]] = {}
        self.n_whole = 0
        self.network_s = 0.0
        self.extras_failed = False
        self.last: SensorId | None = None
        self.reached_ns = 0
        self._idle: dict[SensorId, str] = {}
        self._day = -1
        self._written: set[str] = set()

    def take(self, piece: Piece, result: PieceResult) -> list[Pick]:
        """Count a piece; return its picks, each once, in the order of time."""
        self.statistics.add(result.statistics)
        for seed_id, reasons in result.left_out.items():
            self.left_out.setdefault(seed_id, Counter()).update(reasons)
        if result.idle:
            self._idle.setdefault(piece.sensor_id, result.idle)
        self.n_whole += result.is_whole
        self.network_s += result.network_s
        self.extras_failed |= result.extras_failed
        self.last, self.reached_ns = piece.sensor_id, result.reached_ns
        day = piece.start_ns // DAY_NS
        if day != self._day:
            self._day, self._written = day, set()
        picks = [pick for pick in in_order(result.picks) if pick.public_id not in self._written]
        self._written.update(pick.public_id for pick in picks)
        self.n_picks += len(picks)
        for pick in picks:
            self.by_station.setdefault(pick.station, Counter())[pick.phase] += 1
        return picks

    def idle_sensors(self) -> list[tuple[SensorId, str]]:
        """Return the sensors that had nothing to look at, and why."""
        counts = self.statistics.sensors
        return [
            (sensor_id, self._left_out_of(sensor_id) or why)
            for sensor_id, why in sorted(self._idle.items())
            if sensor_id not in counts or not counts[sensor_id].windows
        ]

    def _left_out_of(self, sensor_id: SensorId) -> str:
        """Say what was left out of a sensor's channels that was not seen before."""
        total: Counter[DropReason] = Counter()
        for seed_id, reasons in self.left_out.items():
            if seed_id.sensor_id == sensor_id:
                total.update(reasons)
        del total[DropReason.DUPLICATE]
        return ", ".join(samples(total))


def samples(reasons: Counter[DropReason]) -> list[str]:
    """Say how many samples were left out, reason by reason."""
    return [f"{n} samples {reason}" for reason, n in sorted(reasons.items())]
