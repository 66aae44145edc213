"""Where the samples of a stream come from, and what is to be known of them before scoring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from scperformer.evaluation.pick_tables import Stream, block_of
from scperformer.types import Record, SeedId, SensorId
from scperformer.waveforms.problems import Report


class Waveforms(Protocol):
    """The samples of one sensor, read anew as often as they are asked for."""

    @property
    def seed_ids(self) -> tuple[SeedId, ...]:
        """The channels."""

    def records(self, *, report: Report) -> Iterator[Record]:
        """Yield the records of all components in the order of their start times."""


def look_through(
    records: Iterable[Record],
    *,
    name: str,
    folder: str,
    sensor_id: SensorId,
    span_ns: tuple[int, int],
    is_record: bool,
    event: str = "",
) -> Stream:
    """Measure the records of all components of a sensor; what is known of them is given.

    How much data there are, on how many live components, and in which blocks is found out.
    """
    seconds: dict[SeedId, float] = defaultdict(float)
    first: dict[SeedId, float] = {}
    live: set[SeedId] = set()
    blocks: set[int] = set()
    for record in records:
        seed_id, samples = record.seed_id, record.samples
        if len(samples):
            seconds[seed_id] += len(samples) / record.sampling_rate_hz
            blocks.update(range(block_of(record.start_ns), block_of(record.end_ns - 1) + 1))
            level = first.setdefault(seed_id, float(samples[0]))
            if seed_id not in live and np.any(samples != level):
                live.add(seed_id)
    start_ns, end_ns = span_ns
    return Stream(
        name=name,
        folder=folder,
        sensor_id=sensor_id,
        start_ns=start_ns,
        end_ns=max(end_ns, start_ns + 1),
        duration_s=max(seconds.values(), default=0.0),
        n_components=min(len(live), 3),
        is_record=is_record,
        event=event,
        blocks=() if is_record else tuple(sorted(blocks)),
    )
