"""The value types that travel between the stages.

Times are integer nanoseconds since 1970-01-01 UTC. Components stand in the
order of the networks: first horizontal (N), second horizontal (E), vertical (Z).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scperformer import naming

NS_PER_S = 1_000_000_000
SAMPLING_RATE_HZ = 100
SAMPLE_NS = NS_PER_S // SAMPLING_RATE_HZ
WINDOW_SAMPLES = 400
_LONGEST_TIME = 64
COMPONENTS = naming.PLACES
N_COMPONENTS = len(COMPONENTS)
CLASSES = ("P", "S", "noise")


class Phase(StrEnum):
    """A seismic phase that the networks know."""

    P = "P"
    S = "S"


ALL_PHASES = frozenset(Phase)


class Polarity(StrEnum):
    """First motion on the vertical component, QuakeML's words."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNDECIDABLE = "undecidable"


class Onset(StrEnum):
    """Onset quality, QuakeML's words."""

    IMPULSIVE = "impulsive"
    EMERGENT = "emergent"
    QUESTIONABLE = "questionable"


@dataclass(frozen=True, slots=True, order=True)
class SensorId:
    """One instrument at one station: the channel without the component; see `naming`."""

    network: str
    station: str
    location: str
    band_instrument: str

    def __str__(self) -> str:
        return f"{self.network}.{self.station}.{self.location}.{self.band_instrument}"

    @property
    def station_id(self) -> str:
        """Network and station code, ``NET.STA``."""
        return f"{self.network}.{self.station}"

    def channel(self, component: str) -> SeedId:
        """Return the SEED id of one component of this sensor."""
        code = naming.join(self.band_instrument, component)
        return SeedId(self.network, self.station, self.location, code)


@dataclass(frozen=True, slots=True, order=True)
class SeedId:
    """A channel: network, station, location and channel code."""

    network: str
    station: str
    location: str
    channel: str

    def __str__(self) -> str:
        return f"{self.network}.{self.station}.{self.location}.{self.channel}"

    @classmethod
    def parse(cls, text: str) -> SeedId:
        """Read ``NET.STA.LOC.CHA``.

        Raises:
            ValueError: not four fields separated by dots.
        """
        fields = text.split(".")
        if len(fields) != 4:
            raise ValueError(f"{text!r} is not a SEED id; wanted NET.STA.LOC.CHA")
        return cls(*fields)

    @property
    def sensor_id(self) -> SensorId:
        """The instrument that this channel belongs to."""
        instrument, _ = naming.split(self.channel)
        return SensorId(self.network, self.station, self.location, instrument)

    @property
    def component(self) -> str:
        """The component's name, mostly the code's last letter; empty if there is none."""
        return naming.split(self.channel)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Consecutive samples of one channel, as a source gives them.

    Attributes:
        seed_id: the channel.
        start_ns: time of the first sample.
        sampling_rate_hz: nominal sampling rate.
        samples: 1-D array of any real dtype, in the instrument's counts.
    """

    seed_id: SeedId
    start_ns: int
    sampling_rate_hz: float
    samples: NDArray[np.generic]

    @property
    def end_ns(self) -> int:
        """Time of the sample that would follow the last one."""
        return self.start_ns + round(len(self.samples) * NS_PER_S / self.sampling_rate_hz)


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing samples of one channel: from `start_ns` up to, not including, `end_ns`."""

    seed_id: SeedId
    start_ns: int
    end_ns: int

    @property
    def duration_s(self) -> float:
        """Length of the gap in seconds."""
        return (self.end_ns - self.start_ns) / NS_PER_S


@dataclass(frozen=True, slots=True)
class Pick:
    """A phase arrival: one that the picker found, or one that was read, which may say less.

    Attributes:
        time_ns: onset time.
        phase: P or S.
        seed_id: the channel it is reported on: the vertical for P, the stronger
            horizontal for S, or what the sensor has. Location and channel are empty
            where they are not known.
        probability: the phase's probability, averaged in log-odds over the
            windows around the onset, 0 to 1; 1 where none is given.
        uncertainty_s: one standard deviation of the onset time; nan if not known.
        snr: peak amplitude after the onset over the noise before it; nan if not known.
        polarity: first motion, None where it is not determined.
        onset: onset quality, None if not known.
        decision_delay_s: time of the last sample needed minus `time_ns`; nan if not known.
        model: name of the model.
        model_sha256: SHA-256 of the model's weights, hexadecimal.
        filter_id: the filter in SeisComP's grammar, empty if none.
        n_components: how many components were live, 0 if not known.
        recipe: eight hexadecimal digits of what else decides about picks: model,
            thresholds, settings, agency and author (`core.sensors.recipe`); empty where unknown.
        event: the earthquake, as files of labels name it; empty if not known.
        file: name of the record file that it was made on, empty if not known.
    """

    time_ns: int
    phase: Phase
    seed_id: SeedId
    probability: float = 1.0
    uncertainty_s: float = math.nan
    snr: float = math.nan
    polarity: Polarity | None = None
    onset: Onset | None = None
    decision_delay_s: float = math.nan
    model: str = ""
    model_sha256: str = ""
    filter_id: str = ""
    n_components: int = 0
    recipe: str = ""
    event: str = ""
    file: str = ""

    @property
    def public_id(self) -> str:
        """A public id made from time, phase, stream and recipe: stable over restarts."""
        stamp = format_time(self.time_ns, "%Y%m%d.%H%M%S.%f")
        suffix = f"-{self.recipe}" if self.recipe else ""
        return f"{stamp}-{self.phase}-{self.seed_id}{suffix}"

    @property
    def station(self) -> str:
        """Network and station code, ``NET.STA``."""
        return f"{self.seed_id.network}.{self.seed_id.station}"

    @property
    def instrument(self) -> str:
        """Location, band and instrument code, ``LOC.HH``; empty if the channel is not known."""
        sensor_id = self.seed_id.sensor_id
        known = len(self.seed_id.channel) >= 3
        return f"{sensor_id.location}.{sensor_id.band_instrument}" if known else ""

    def _repr_html_(self) -> str:
        """Show itself as a table in a notebook."""
        from scperformer.notebook import pick_table  # noqa: PLC0415 - it needs this module

        return pick_table([self])

    def belongs_to(self, sensor_id: SensorId) -> bool:
        """Tell whether it may have been made on that sensor."""
        own = (self.seed_id.network, self.seed_id.station)
        if own != (sensor_id.network, sensor_id.station):
            return False
        return self.instrument in ("", f"{sensor_id.location}.{sensor_id.band_instrument}")


@dataclass(frozen=True, slots=True, eq=False)
class WindowBatch:
    """Windows of one or many sensors that a classifier takes in one call.

    Windows share rows: window ``i`` takes the rows ``starts[i] + j * stride``.
    For networks on spectrograms a row is one STFT column in decibels (22 rows a
    window), for networks on waveforms a row is one sample (400 rows a window).

    Attributes:
        rows: (n_rows, 99) float32, ``10 log10 |STFT|`` of unnormalised samples, 33
            bins x 3 components with the component running fastest; or
            (n_rows, 3) float32 samples.
        starts: (n_windows,) int64, row of each window's first column or sample.
        stride: rows between two columns of one window (1 for samples).
        peak: (n_windows,) float32, the window's normaliser: its largest absolute sample.
        present: (n_windows, 3) bool, components that cover the whole window; the
            others count as zeros.
    """

    rows: NDArray[np.float32]
    starts: NDArray[np.int64]
    stride: int
    peak: NDArray[np.float32]
    present: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)


class WindowInput(StrEnum):
    """What a network looks at."""

    COLUMNS = "columns"
    SAMPLES = "samples"


class Classifier(Protocol):
    """Gives windows their class probabilities."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights, hexadecimal."""

    @property
    def window_input(self) -> WindowInput:
        """Whether the network wants STFT columns or samples."""

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        """Return (n_windows, 3) probabilities of P, S and noise.

        A window's probabilities do not depend on the other windows of the batch.
        """


class PendingProbabilities(Protocol):
    """Probabilities that are being computed."""

    def done(self) -> bool:
        """Whether they are there."""

    def result(self) -> NDArray[np.float32]:
        """Wait for them; return them, or raise what went wrong."""


@runtime_checkable
class BackgroundClassifier(Classifier, Protocol):
    """A classifier that computes in threads of its own, while records go on coming."""

    def start(self, batch: WindowBatch) -> PendingProbabilities:
        """Begin to classify a batch; the batch may be forgotten when it returns."""


@dataclass(frozen=True, slots=True)
class OutputState:
    """How an output is doing.

    Attributes:
        name: of the output.
        n_waiting: picks that it has not taken yet.
        n_kept: messages that it keeps until a receiver has acknowledged them.
        delivered_ns: when a receiver last acknowledged something, 0 if none has; None if
            nobody acknowledges, so that what is written is delivered.
        problem: what is wrong with it, in words; empty if nothing is.
    """

    name: str
    n_waiting: int = 0
    n_kept: int = 0
    delivered_ns: int | None = None
    problem: str = ""


class PickSink(Protocol):
    """Takes picks and puts them somewhere.

    An output that inherits from it keeps no picks in memory and cannot tell what it has,
    unless it says otherwise.

    Attributes:
        name: what the output is called, the same after a restart.
    """

    name: str = ""

    @property
    def state(self) -> OutputState:
        """How it is doing, as far as it knows."""
        return OutputState(self.name)

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks, in the order in which they were decided.

        Raises:
            OutputError: they cannot be taken now.
        """

    def missing(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return those of some picks that the output does not hold, as far as it knows."""
        return list(picks)

    def settle(self, *, at_once: bool = False) -> bool:
        """Bring to its place what waits and is due, or all of it `at_once`.

        Returns:
            Whether everything that was written is safe.

        Raises:
            OutputError: it cannot be written now; it still waits.
        """
        del at_once
        return True

    def close(self) -> None:
        """Finish the output; nothing may be written afterwards."""


def format_time(time_ns: int, pattern: str = "%Y-%m-%dT%H:%M:%S.%fZ") -> str:
    """Format a time with strftime's pattern; ``%f`` gives microseconds."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
    return moment.strftime(pattern)


def parse_time(text: str) -> int:
    """Read an ISO 8601 time (UTC unless it says otherwise) to nanoseconds.

    Raises:
        ValueError: not a time.
    """
    if len(text) > _LONGEST_TIME:  # Python takes digits without end for a fraction
        raise ValueError(f"{text[:_LONGEST_TIME]!r}... is no time")
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    try:
        seconds = round(whole.timestamp())
        datetime.fromtimestamp(seconds, UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is no time of the years 1 to 9999 in UTC") from None
    return seconds * NS_PER_S + moment.microsecond * 1000
