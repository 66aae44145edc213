"""Records for training from data sets in SeisBench's layout, prepared as those of folders."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scperformer.config import DEFAULT_FILTER
from scperformer.core.filters import parse_filter
from scperformer.datasets.records import StationRecord, assemble, in_order
from scperformer.datasets.seisbench_files import (
    SeisBenchData,
    TraceRow,
    Waveform,
    trace_records,
)
from scperformer.errors import InputError
from scperformer.types import NS_PER_S, WINDOW_SAMPLES, Pick

LOGGER = logging.getLogger(__name__)

_APART_NS = 600 * NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """What a data set holds.

    Attributes:
        records: ordered by station, time and sensor; event and split are the table's.
        picks: the arrivals of P and S in them.
    """

    records: list[StationRecord]
    picks: list[Pick]


def load_data_set(folder: Path, *, source: str = "", filter_id: str = DEFAULT_FILTER) -> DataSet:
    """Load every trace of a data set.

    What cannot be used is logged and left out, as by `records.load_folder`. Traces whose
    time is unknown are laid one after another before 1970, so that neither their picks nor
    their earthquakes are taken for each other's.

    Args:
        folder: the data set.
        source: name of the folder in the records, its own name by default.
        filter_id: filter of the model that is to see them, in SeisComP's grammar.

    Raises:
        InputError: no data set there, a table that cannot be read, or nothing usable in it.
    """
    chain = parse_filter(filter_id)
    records: list[StationRecord] = []
    picks: list[Pick] = []
    with SeisBenchData(folder) as data:
        for row, waveform in _dated(data):
            try:
                parts = trace_records(row, waveform)
            except InputError as error:
                LOGGER.warning("%s: left out: %s", folder, error)
                continue
            spans = assemble(parts[0].seed_id.sensor_id, parts, source or folder.name, chain)
            own = [replace(span, event=row.event, split=row.split) for span in spans]
            records += own
            if own:
                picks += row.picks(waveform.samples.shape[1], waveform.sampling_rate_hz)
    if not records:
        raise InputError(f"{folder}: no usable trace of {WINDOW_SAMPLES} samples or more")
    return DataSet(in_order(records), picks)


def _dated(data: SeisBenchData) -> Iterator[tuple[TraceRow, Waveform]]:
    """Yield the traces that can be read, each with a time of its own."""
    told: set[str] = set()
    earliest_ns = 0
    for row in data.rows():
        try:
            waveform = data.waveform(row)
        except InputError as error:
            if str(error) not in told:  # a file that is damaged is that for all its traces
                LOGGER.warning("%s: left out: %s", data.folder, error)
            told.add(str(error))
            continue
        if not row.start_ns:
            length_s = waveform.samples.shape[1] / waveform.sampling_rate_hz
            earliest_ns -= round(length_s * NS_PER_S) + _APART_NS
            yield replace(row, start_ns=earliest_ns), waveform
        else:
            yield row, waveform
