"""Picks made into SeisComP's objects."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from seiscomp import datamodel

from scperformer.picks.documents import METHOD, comments
from scperformer.picks.scml import AMPLITUDE_TYPE, SNR_WINDOW_S, has_amplitude
from scperformer.picks.style import DEFAULT_PRECISION
from scperformer.seiscomp.public_ids import PublicIds
from scperformer.seiscomp.times import to_time
from scperformer.types import ALL_PHASES, Onset, Phase, Pick, Polarity, SeedId

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
        agency, author: of the creation info.
        public_ids: makes public ids.
        hints: phase hint for each phase.
        amplitude_phases: phases whose picks get an amplitude.
        extra_comments: add SNR, decision delay and components to probability and model.
        comment: id and text of a comment for every pick, empty for none.
    """

    agency: str
    author: str
    public_ids: PublicIds = field(default_factory=PublicIds)
    hints: dict[Phase, str] = field(default_factory=dict)
    amplitude_phases: frozenset[Phase] = ALL_PHASES
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
        return has_amplitude(pick, self.amplitude_phases)

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
        info.setAgencyID(self.agency)
        info.setAuthor(self.author)
        info.setCreationTime(to_time(created_ns))
        return info


def _waveform_id(seed_id: SeedId) -> Any:
    return datamodel.WaveformStreamID(
        seed_id.network, seed_id.station, seed_id.location, seed_id.channel, ""
    )
