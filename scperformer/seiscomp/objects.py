"""Picks made into SeisComP's objects, and its records into ours."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from seiscomp import core, datamodel

from scperformer.errors import RecordError
from scperformer.picks.documents import METHOD, comments
from scperformer.picks.scml import AMPLITUDE_TYPE, SNR_WINDOW_S, has_amplitude
from scperformer.picks.style import DEFAULT_PRECISION, Style
from scperformer.types import (
    NS_PER_S,
    Onset,
    Phase,
    Pick,
    Polarity,
    Record,
    SeedId,
    format_time,
)

_NS_PER_US = 1000
_VARIABLE = re.compile(r"@([^@]+)@")
_DIGITS = 8


# Older versions have no epochSeconds, newer ones may have no seconds.
_epoch_seconds = core.Time.epochSeconds if hasattr(core.Time, "epochSeconds") else core.Time.seconds


def to_time(time_ns: int) -> Any:
    """Make SeisComP's time, which counts microseconds, from nanoseconds."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    return core.Time(seconds, rest_ns // _NS_PER_US)


def to_ns(time: Any) -> int:
    """Return SeisComP's time in nanoseconds, exactly."""
    return int(_epoch_seconds(time)) * NS_PER_S + int(time.microseconds()) * _NS_PER_US


def seed_id_of(named: Any) -> SeedId:
    """Return the channel of SeisComP's record or of its WaveformStreamID."""
    return SeedId(
        named.networkCode(), named.stationCode(), named.locationCode().strip(), named.channelCode()
    )


def convert(record: Any, seed_id: SeedId) -> Record:
    """Copy what SeisComP's record holds: its memory is overwritten after the handler.

    Whole numbers, which all come as floats, are made integers again: the pipeline takes them
    for sound as they are.

    Raises:
        RecordError: the record holds no samples.
    """
    data = record.data()
    if data is None:
        raise RecordError(f"{seed_id}: record without samples; a data type that is not known?")
    lent = data.numpy()
    with np.errstate(invalid="ignore"):
        counts = lent.astype(np.int32)
    are_whole = bool((counts == lent).all())
    return Record(
        seed_id=seed_id,
        start_ns=to_ns(record.startTime()),
        sampling_rate_hz=float(record.samplingFrequency()),
        samples=counts if are_whole else lent.astype(np.float64),
    )


@dataclass(frozen=True, slots=True)
class PublicIds:
    """Makes public ids.

    Attributes:
        pattern: SeisComP's publicIDPattern, such as ``@classname@/@time/%Y%m%d%H%M%S.%f@.@id@``;
            empty for simplified ids. ``@time@`` is the pick's time, ``@id@`` and ``@globalid@``
            are made from pick and class; scautopick's ``@net@ @sta@ @loc@ @cha@ @type@`` are
            known, others are left as they are.
    """

    pattern: str = ""

    def of_pick(self, pick: Pick) -> str:
        """Return a pick's public id."""
        if not self.pattern:
            return pick.public_id
        return self._resolved(pick, "Pick")

    def of_amplitude(self, pick: Pick) -> str:
        """Return the public id of a pick's amplitude."""
        if not self.pattern:
            return f"{pick.public_id}.{AMPLITUDE_TYPE}"
        return self._resolved(pick, "Amplitude")

    def _resolved(self, pick: Pick, class_name: str) -> str:
        def resolve(match: re.Match[str]) -> str:
            name, _, argument = match[1].partition("/")
            if name == "time":
                return format_time(pick.time_ns, argument or "%Y-%m-%dT%H:%M:%S.%fZ")
            return known[name]() if name in known else match[0]

        number = hashlib.sha256(f"{class_name} {pick.public_id}".encode()).hexdigest()[:_DIGITS]
        known: dict[str, Callable[[], str]] = {
            "classname": lambda: class_name,
            "id": lambda: number,
            "globalid": lambda: number,
            "net": lambda: pick.seed_id.network,
            "sta": lambda: pick.seed_id.station,
            "loc": lambda: pick.seed_id.location,
            "cha": lambda: pick.seed_id.channel,
            "type": lambda: str(pick.phase),
        }
        return _VARIABLE.sub(resolve, self.pattern)


_POLARITIES = MappingProxyType(
    {
        Polarity.POSITIVE: datamodel.POSITIVE,
        Polarity.NEGATIVE: datamodel.NEGATIVE,
        Polarity.UNDECIDABLE: datamodel.UNDECIDABLE,
    }
)
_ONSETS = MappingProxyType(
    {
        Onset.IMPULSIVE: datamodel.IMPULSIVE,
        Onset.EMERGENT: datamodel.EMERGENT,
        Onset.QUESTIONABLE: datamodel.QUESTIONABLE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMaker:
    """Makes SeisComP's picks and amplitudes.

    Attributes:
        style: agency and author of the creation info, and phases whose picks get an amplitude.
        public_ids: makes public ids.
        hints: phase hint for each phase.
        extra_comments: add SNR, decision delay and components to probability and model.
        comment: id and text of a comment for every pick, empty for none.
    """

    style: Style
    public_ids: PublicIds = field(default_factory=PublicIds)
    hints: dict[Phase, str] = field(default_factory=dict)
    extra_comments: bool = False
    comment: tuple[str, str] = ("", "")

    def pick(self, pick: Pick, created_ns: int) -> Any:
        """Make a pick without its comments; None if this process has one of that id."""
        made = datamodel.Pick.Create(self.public_ids.of_pick(pick))
        if made is None:
            return None
        time = datamodel.TimeQuantity(to_time(pick.time_ns))
        if math.isfinite(pick.uncertainty_s):
            time.setUncertainty(pick.uncertainty_s)
        made.setTime(time)
        made.setWaveformID(_waveform_id(pick.seed_id))
        made.setFilterID(pick.filter_id)
        made.setMethodID(METHOD)
        made.setPhaseHint(datamodel.Phase(self.hints.get(pick.phase, str(pick.phase))))
        if pick.onset is not None:
            made.setOnset(_ONSETS[pick.onset])
        if pick.polarity is not None:
            made.setPolarity(_POLARITIES[pick.polarity])
        made.setEvaluationMode(datamodel.AUTOMATIC)
        made.setCreationInfo(self._creation_info(created_ns))
        return made

    def comments(self, pick: Pick) -> Iterator[Any]:
        """Make a pick's comments."""
        texts = comments(pick, precision=DEFAULT_PRECISION)
        delay = texts.pop("decision_delay")
        if self.extra_comments:
            texts |= {"decision_delay": delay, "components": str(pick.n_components)}
            texts |= {"SNR": f"{pick.snr:.6g}"} if math.isfinite(pick.snr) else {}
        if all(self.comment):
            texts[self.comment[0]] = self.comment[1]
        for name, text in texts.items():
            comment = datamodel.Comment()
            comment.setId(name)
            comment.setText(text)
            yield comment

    def has_amplitude(self, pick: Pick) -> bool:
        """Whether a pick gets an amplitude."""
        return has_amplitude(pick, self.style.amplitude_phases)

    def amplitude(self, pick: Pick, created_ns: int) -> Any:
        """Make a pick's ``snr`` amplitude; None if it gets none or its id is taken."""
        if not self.has_amplitude(pick):
            return None
        made = datamodel.Amplitude.Create(self.public_ids.of_amplitude(pick))
        if made is None:
            return None
        made.setType(AMPLITUDE_TYPE)
        made.setAmplitude(datamodel.RealQuantity(pick.snr))
        window = datamodel.TimeWindow(to_time(pick.time_ns), *SNR_WINDOW_S)
        made.setTimeWindow(window)
        made.setSnr(pick.snr)
        made.setPickID(self.public_ids.of_pick(pick))
        made.setWaveformID(_waveform_id(pick.seed_id))
        made.setFilterID(pick.filter_id)
        made.setMethodID(METHOD)
        made.setCreationInfo(self._creation_info(created_ns))
        return made

    def _creation_info(self, created_ns: int) -> Any:
        info = datamodel.CreationInfo()
        info.setAgencyID(self.style.agency)
        info.setAuthor(self.style.author)
        info.setCreationTime(to_time(created_ns))
        return info


def _waveform_id(seed_id: SeedId) -> Any:
    return datamodel.WaveformStreamID(
        seed_id.network, seed_id.station, seed_id.location, seed_id.channel, ""
    )
