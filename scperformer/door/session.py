"""Records pushed in, picks handed out: for any acquisition system."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from scperformer.atomic import Closing
from scperformer.core.pipeline import Pipeline
from scperformer.door.asked import Asked, Time, time_ns
from scperformer.door.picks import Picks
from scperformer.errors import InputError, RecordError
from scperformer.picks.style import Style
from scperformer.types import Pick, Record, SeedId
from scperformer.waveforms.cutting import cut_records, trim
from scperformer.waveforms.foreign import plain_samples
from scperformer.waveforms.mseed_headers import RATES_HZ
from scperformer.waveforms.mseed_stream import RecordStream, decode_record
from scperformer.waveforms.problems import LimitedLog
from scperformer.waveforms.replay import FAST_RECORD_S
from scperformer.waveforms.selection import Chooser
from scperformer.waveforms.traces import decode_trace

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_log = logging.getLogger(__name__)

_WANTED = (
    "an obspy Trace or Stream, bytes of miniSEED, a tuple (codes, start, sampling rate, samples) "
    "or a Record"
)
_PARTS = 4


class TraceLike(Protocol):
    """What an `obspy.Trace` has."""

    stats: Any
    data: Any


class StreamLike(Protocol):
    """What an `obspy.Stream` has."""

    traces: list[Any]


Samples = tuple["str | SeedId", Time, float, "ArrayLike"]
"""Codes ``NET.STA.LOC.CHA``, time of the first sample, sampling rate in Hz, samples."""

Feedable = Record | TraceLike | StreamLike | bytes | bytearray | memoryview | Samples
"""What a session takes."""


class Session(Closing):
    """A picker that waveforms are pushed into, by one thread at a time.

    Records come in the order of time over all channels, as in ``stream``: a channel may be
    late by as much as ``late_wait_s`` and ``component_wait_s`` allow. What is no seismometer,
    or not asked for, is left out. As a context manager it is closed at the end.

    Args:
        pipeline: the engine.
        asked: times, stations and channels of interest.
        style: whose picks they are.
        on_pick: is called with every pick.
        is_live: windows that have waited for long are answered by the wall clock; otherwise
            they wait until their batch is full.

    Attributes:
        n_picks: how many there have been.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        asked: Asked,
        style: Style,
        on_pick: Callable[[Pick], None] | None = None,
        is_live: bool = True,
    ) -> None:
        self.n_picks = 0
        self._pipeline = pipeline
        self._pipeline.batches.catches_up = not is_live
        self._asked = asked
        self._style = style
        self._on_pick = on_pick
        self._is_live = is_live
        self._chooser = Chooser(asked.selection)
        self._bytes = RecordStream()
        self._limited = LimitedLog(_log)
        self._last: Picks | None = None

    def feed(self, data: Feedable) -> Picks:
        """Take waveforms; return the picks that have been decided since the last call.

        Args:
            data: an `obspy.Trace` or `obspy.Stream`; bytes of miniSEED 2 or 3, which may break
                off anywhere and go on in the next call; or a tuple of codes
                ``NET.STA.LOC.CHA``, time of the first sample, sampling rate and samples.

        Raises:
            InputError: it is none of these, or the session is closed. What is damaged in
                miniSEED is left out and told in the log.
        """
        self._check_open()
        picks: list[Pick] = []
        for record in self._records(data):
            picks += self._pipeline.feed(record)
        return self._given(picks + self._waited())

    def poll(self) -> Picks:
        """Return what has been decided meanwhile; to be called while nothing comes."""
        self._check_open()
        return self._given(self._waited())

    def close(self) -> Picks:
        """Take notice that nothing follows; return the last picks, again when called again."""
        if self._last is None:
            self._bytes.finish()
            if self._bytes.n_skipped_bytes:
                self._limited.warn(f"{self._bytes.n_skipped_bytes} bytes were no records")
            self._last = self._given(self._pipeline.flush())
        return self._last

    def hurry(self, *, is_late: bool) -> None:
        """Hear whether records wait to be fed: then windows wait for full batches."""
        self._pipeline.batches.catches_up = is_late

    @property
    def why_idle(self) -> str:
        """Why nothing was looked at; empty if something was."""
        statistics = self._pipeline.statistics
        if statistics.windows:
            return ""
        reasons = dict.fromkeys(map(str, statistics.dropped_samples))
        reasons |= dict.fromkeys(self._chooser.left_out.values())
        if self._chooser.not_asked:
            reasons["channels that are not asked for"] = None
        return ", ".join(reasons) or ("too short" if statistics.records else "no records")

    def _check_open(self) -> None:
        if self._last is not None:
            raise InputError("the session is closed; begin another one")

    def _waited(self) -> list[Pick]:
        return self._pipeline.keep_time(time.monotonic()) if self._is_live else []

    def _given(self, picks: list[Pick]) -> Picks:
        self.n_picks += len(picks)
        if self._on_pick is not None:
            for pick in picks:
                self._on_pick(pick)
        return Picks(picks, style=self._style)

    def _records(self, data: Feedable) -> Iterator[Record]:
        asked = self._asked
        wanted = (
            record
            for record in self._decoded(data)
            if self._chooser.takes(record.seed_id, record.sampling_rate_hz)
        )
        return trim(wanted, start_ns=asked.start_ns, end_ns=asked.end_ns)

    def _decoded(self, data: Any) -> Iterable[Record]:
        if isinstance(data, Record):
            return (_checked(data),)
        if isinstance(data, (bytes, bytearray, memoryview)):
            return self._unpacked(bytes(data))
        if isinstance(data, tuple) and len(data) == _PARTS:
            return (_checked(_record_of(*data)),)
        if is_stream(data):
            return _in_turns(data.traces)
        if is_trace(data):
            return _in_turns([data])
        raise InputError(f"got {type(data).__name__}; wanted {_WANTED}")

    def _unpacked(self, data: bytes) -> Iterator[Record]:
        for raw in self._bytes.push(data):
            try:
                record = decode_record(raw)
            except RecordError as error:
                self._limited.warn(str(error))
                continue
            if record is not None:
                yield record


def is_stream(data: Any) -> bool:
    """Whether it is an `obspy.Stream`, or like one."""
    return isinstance(getattr(data, "traces", None), list)


def is_trace(data: Any) -> bool:
    """Whether it is an `obspy.Trace`, or like one."""
    return hasattr(data, "stats") and hasattr(data, "data")


def _in_turns(traces: Iterable[Any]) -> Iterator[Record]:
    """Cut traces so that they come in turns, in the order of time."""
    parts = [part for trace in traces for part in decode_trace(trace)]
    cut = [cut_records(part, record_s=FAST_RECORD_S) for part in parts]
    return merge(*cut, key=attrgetter("start_ns"))


def _checked(record: Record) -> Record:
    rate_hz = record.sampling_rate_hz
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise InputError(f"{record.seed_id}: got a sampling rate of {rate_hz}; wanted hertz")
    return record


def _record_of(codes: str | SeedId, start: Time, rate_hz: float, samples: ArrayLike) -> Record:
    try:
        seed_id = codes if isinstance(codes, SeedId) else SeedId.parse(codes)
    except (ValueError, AttributeError):
        raise InputError(f"got the codes {codes!r}; wanted NET.STA.LOC.CHA") from None
    array = np.asarray(samples)
    plain = plain_samples(array)
    if plain is None or plain.ndim != 1:
        what = f"shape {array.shape}, {array.dtype}"
        raise InputError(f"{seed_id}: got samples of {what}; wanted real numbers in a row")
    return Record(seed_id, time_ns(start, "start"), float(rate_hz), plain)
