"""Pipelines for several models behind one door."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer, Statistics, nanoseconds
from scperformer.monitoring.vitals import Vitals
from scperformer.networks.loading import LoadedModel, load_folder
from scperformer.seiscomp.configuration import Bindings
from scperformer.seiscomp.streams import Inventory
from scperformer.types import OutputState, Pick, Record, SensorId
from scperformer.waveforms.joining import Joiner

_log = logging.getLogger(__name__)


def load_model(name: str) -> LoadedModel:
    """Load a model of the registry or a folder and compile it: no record shall wait for that.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    model = load_folder(name, warm_up=True)
    _log.info("model %s loaded from %s", model.classifier.name, name)
    return model


class Picker:
    """Sends each sensor's records through the pipeline of its station's model.

    Args:
        models: by name.
        default: name of the model of stations whose binding names none.
        settings: where a binding says nothing.
        bindings: of the stations.
        inventory: knows which channels a sensor has at a record's time.
        blind_s: picks this soon after a sensor's first sample are left out.
        observer: hears of gaps, drops and picks.
        owner: whose picks they are, for their public ids; see `core.sensors.owner`.
        catches_up: nobody waits for the picks. Records are joined and windows wait for full
            batches, which costs less and changes no pick.

    Attributes:
        n_records: records that have come.
        checksums: of the weights of each model, by the name of its network.
    """

    def __init__(
        self,
        models: Mapping[str, LoadedModel],
        default: str,
        *,
        settings: Settings,
        bindings: Bindings,
        inventory: Inventory,
        blind_s: float = 0.0,
        observer: Observer | None = None,
        owner: str = "",
        catches_up: bool = False,
    ) -> None:
        self._joiner = Joiner() if catches_up else None
        self.n_records = 0
        self._default = default
        self._bindings = bindings
        self._inventory = inventory
        self._blind_ns = nanoseconds(blind_s)
        self._begun_ns: dict[SensorId, int] = {}
        self.checksums = {m.classifier.name: m.classifier.sha256 for m in models.values()}
        self._pipelines = {
            name: model.pipeline(
                settings,
                settings_for=self._settings_for,
                observer=observer,
                owner=owner,
                clock=time.perf_counter,
            )
            for name, model in models.items()
        }
        for pipeline in self._pipelines.values():
            pipeline.batches.catches_up = catches_up

    def feed(self, record: Record) -> list[Pick]:
        """Take a record; return the picks that have become certain."""
        self.n_records += 1
        if self._joiner is None:
            return self._feed(record)
        return [pick for joined in self._joiner.push(record) for pick in self._feed(joined)]

    def _feed(self, record: Record) -> list[Pick]:
        sensor_id = record.seed_id.sensor_id
        pipeline = self._pipelines[self._model_of(sensor_id)]
        if sensor_id not in self._begun_ns:
            self._begun_ns[sensor_id] = record.start_ns
            pipeline.expect(self._inventory.components(sensor_id, record.start_ns))
        return self._seeing(pipeline.feed(record))

    def classify_pending(self) -> list[Pick]:
        """Answer all windows, those that wait for their batch to fill as well."""
        return self._of_all(Pipeline.classify_pending)

    def keep_time(self, now_s: float) -> list[Pick]:
        """Answer windows that have waited too long; see `Pipeline.keep_time`."""
        picks: list[Pick] = []
        for pipeline in self._pipelines.values():  # behind every record: as little as may be
            picks += pipeline.keep_time(now_s)
        return self._seeing(picks)

    def flush(self) -> list[Pick]:
        """Finish all sensors and return what is left."""
        rest = [] if self._joiner is None else self._joiner.finish()
        picks = [pick for joined in rest for pick in self._feed(joined)]
        return picks + self._of_all(Pipeline.flush)

    @property
    def n_samples(self) -> int:
        """Samples that have been fed."""
        return sum(pipeline.statistics.samples for pipeline in self._pipelines.values())

    @property
    def statistics(self) -> Statistics:
        """What all pipelines have counted."""
        first, *others = (pipeline.statistics for pipeline in self._pipelines.values())
        if not others:
            return first
        total = Statistics()
        for counts in (first, *others):
            total.add(counts)
        return total

    def vitals(self, outputs: Sequence[OutputState], n_problems: int) -> Vitals:
        """Tell how it is doing, with what others know."""
        pipelines = self._pipelines.values()
        return Vitals(
            statistics=self.statistics,
            n_batches=sum(pipeline.batches.n_batches for pipeline in pipelines),
            n_pending_windows=sum(pipeline.n_pending_windows for pipeline in pipelines),
            outputs=outputs,
            n_problems=n_problems,
        )

    def summary(self) -> str:
        """Say in a line what has been done."""
        counts = self.statistics
        picks = counts.picks
        return (
            f"{self.n_records} records of {len(self._begun_ns)} sensors, {counts.windows} windows, "
            f"{picks['P']} P and {picks['S']} S picks, {counts.gaps} gaps, "
            f"{counts.dropped_records.total()} records left out"
        )

    def _of_all(self, step: Callable[[Pipeline], list[Pick]]) -> list[Pick]:
        picks = [pick for pipeline in self._pipelines.values() for pick in step(pipeline)]
        return self._seeing(picks)

    def _seeing(self, picks: list[Pick]) -> list[Pick]:
        if not self._blind_ns:
            return picks
        return [
            pick
            for pick in picks
            if pick.time_ns >= self._begun_ns[pick.seed_id.sensor_id] + self._blind_ns
        ]

    def _model_of(self, sensor_id: SensorId) -> str:
        station = self._bindings.get(sensor_id.network, sensor_id.station)
        return station.model if station is not None and station.model else self._default

    def _settings_for(self, sensor_id: SensorId) -> Settings | None:
        station = self._bindings.get(sensor_id.network, sensor_id.station)
        return None if station is None else station.settings
