"""SeisComP's records made into ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from scperformer.errors import RecordError
from scperformer.seiscomp.times import to_ns
from scperformer.types import Record, SeedId


def seed_id_of(record: Any) -> SeedId:
    """Return the channel of SeisComP's record."""
    return SeedId(
        record.networkCode(),
        record.stationCode(),
        record.locationCode().strip(),
        record.channelCode(),
    )


def convert(record: Any, seed_id: SeedId) -> Record:
    """Copy what SeisComP's record holds: its memory is overwritten after the handler.

    Args:
        record: SeisComP's.
        seed_id: its channel.

    Raises:
        RecordError: the record holds no samples.
    """
    data = record.data()
    if data is None:
        raise RecordError(f"{seed_id}: record without samples; a data type that is not known?")
    return Record(
        seed_id=seed_id,
        start_ns=to_ns(record.startTime()),
        sampling_rate_hz=float(record.samplingFrequency()),
        samples=np.array(data.numpy(), dtype=np.float64, copy=True),
    )
