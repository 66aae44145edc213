"""Every setting of the picker, once: see `setting` for what is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scperformer.errors import ConfigurationError
from scperformer.naming import Codes, parse_codes
from scperformer.setting import Range, check_settings, setting
from scperformer.types import SAMPLING_RATE_HZ, WINDOW_SAMPLES, Phase

DEFAULT_AUTHOR = "scperformer"
"""Author of documents and messages, unless somebody says otherwise."""

DEFAULT_FILTER = "BW_HP(4,2)"
"""What models on windows are trained with."""

MODEL_FILTER = "model"
"""The filter that the model was trained with."""

UNHURRIED: Mapping[str, Any] = MappingProxyType({"batch_size": 4096, "max_batch_delay_s": 60.0})
"""Settings where nobody waits for the next pick."""

_PROBABILITY = Range(0.0, 1.0)
_WAIT = Range(0.0, 3600.0, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The picker's settings, checked when made.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """

    # A setting is a row of a table, its help below: one argument a line would hide that.
    # fmt: off
    threshold_p: float | None = setting(
        None, "Least probability of a P pick; unset, the model's card decides by the number of "
        "live components.",
        _PROBABILITY, key="thresholds.P", binding="thresholds.P")
    threshold_s: float | None = setting(
        None, "Least probability of an S pick; unset, the model's card decides by the number of "
        "live components.",
        _PROBABILITY, key="thresholds.S", binding="thresholds.S")
    shift_samples: int = setting(
        16, "Samples between the starts of two windows, counted from the epoch. 16 equals the "
        "spectrogram's hop, is the fastest, and the only one at which the streaming network "
        "works; 10 is the original program's.",
        Range(1, WINDOW_SAMPLES, "samples"), key="shift", option="--shift", changes_picks=True)
    filter: str = setting(
        MODEL_FILTER, "Causal filter before the spectrogram, in SeisComP's grammar; model for the "
        "one that the model was trained with, empty for none.",
        option="--filter", binding="detecFilter", changes_picks=True)
    detrend: bool = setting(
        True, "Where no filter is set, remove offset and trend with a causal high-pass of 20 s.",
        changes_picks=True)
    components: str = setting(
        "any", "any: pick with the components that are there; all: pick only where all three are.",
        choices=("any", "all"), option="--components", binding="components", changes_picks=True)
    component_codes: str = setting(
        "", "Further component letters: groups of a place (N, E, Z) and the letters that stand for "
        "it, such as NU,EV,ZW. Z N E, 1 2 3, U N E, Z R T, X Y Z and NS EW UD are known.",
        key="componentCodes", option="--component-codes", binding="componentCodes",
        changes_picks=True)
    component_wait_s: float = setting(
        30.0, "How far, in data time, the other components may run ahead before a silent one is "
        "given up for the moment.",
        _WAIT, key="componentWait", option="--component-wait")
    late_wait_s: float = setting(
        2.0, "How long, in data time, a channel's gap stays open for records that come late.",
        _WAIT, key="lateWait", option="--late-wait")
    gap_interpolation: bool = setting(
        False, "Fill gaps of at most thresholds.maxGapLength with a straight line.",
        key="gapInterpolation", option="--gap-interpolation", changes_picks=True)
    max_gap_s: float = setting(
        4.5, "Longest gap that interpolation fills.",
        Range(0.0, 60.0, "s"), key="thresholds.maxGapLength", option="--gap-tolerance",
        changes_picks=True)
    smoothing_s: float = setting(
        0.32, "Span over which the log-odds of a phase are averaged, rounded to an odd number of "
        "windows. The decision waits for half of it.",
        Range(0.0, 4.0, "s"), key="smoothing", option="--smoothing", changes_picks=True)
    min_distance_s: float = setting(
        1.0, "Least time between two picks of the same phase at one sensor.",
        Range(0.0, 600.0, "s"), key="thresholds.deadTime", option="--dead-time",
        binding="thresholds.deadTime", changes_picks=True)
    refine_onset: bool = setting(
        True, "Look for the onset in the samples as they were recorded, near where the network saw "
        "it; otherwise the network's time stands.",
        key="refineOnset", changes_picks=True)
    time_correction_s: float = setting(
        0.0, "Added to every pick's time.",
        Range(-60.0, 60.0, "s"), key="timeCorrection", option="--time-correction",
        binding="timeCorr", changes_picks=True)
    trace_normalization: bool = setting(
        False, "Divide windows by the largest sample of their whole block (see traceSize) instead "
        "of their own; delays picks by up to a block.",
        key="traceNormalization", option="--trace-normalization", changes_picks=True)
    trace_size_s: float = setting(
        600.0, "Length of the blocks in which long records are processed and, if asked for, "
        "normalised. Without traceNormalization it changes no pick.",
        Range(10.0, 86400.0, "s"), key="traceSize", option="--trace-size", changes_picks=True)
    batch_size: int = setting(
        2048, "Windows that the network answers in one call. It changes no answer.",
        Range(1, 1_000_000, "windows"), key="batchSize", option="--batch-size")
    max_batch_delay_s: float = setting(
        0.5, "How far, in data time, a sensor may go on while its windows wait for others to fill "
        "their batch.",
        Range(0.0, 60.0, "s"), key="maxBatchDelay", option="--max-batch-delay")
    buffer_s: float = setting(
        300.0, "Longest span of data kept for a sensor whose components wait for each other.",
        Range(30.0, 86400.0, "s"), key="ringBufferSize", option="--buffer-size")
    snr_amplitudes: str = setting(
        "P", "Which picks come with an snr amplitude: none, P, or all. scautoloc uses a pick that "
        "has its amplitudes, and takes it for a P whatever its phase hint says: with all, it makes "
        "wrong origins of S picks.",
        choices=("none", "P", "all"), key="snrAmplitudes", option="--snr-amplitudes")
    # fmt: on

    def __post_init__(self) -> None:
        check_settings(self)
        try:
            parse_codes(self.component_codes)
        except ValueError as error:
            raise ConfigurationError(
                f"componentCodes: got {self.component_codes!r}: {error}; wanted such as NU,EV,ZW"
            ) from error

    @property
    def codes(self) -> Codes:
        """Further component letters with their places."""
        return parse_codes(self.component_codes)

    @property
    def half_smoothing_windows(self) -> int:
        """Windows on either side of a mean over `smoothing_s`."""
        return round(self.smoothing_s * SAMPLING_RATE_HZ / 2 / self.shift_samples)

    @property
    def min_distance_samples(self) -> int:
        """`min_distance_s` in samples."""
        return round(self.min_distance_s * SAMPLING_RATE_HZ)

    @property
    def amplitude_phases(self) -> frozenset[Phase]:
        """Phases whose picks come with an ``snr`` amplitude."""
        return frozenset(p for p in Phase if self.snr_amplitudes in ("all", p))


def parse_threshold(text: str) -> dict[str, float]:
    """Read ``0.95`` or ``p: 0.9997, s: 0.9995``.

    Returns:
        The settings `threshold_p` and `threshold_s`; only those that the text names.

    Raises:
        ConfigurationError: not of that form.
    """
    wanted = 'wanted a number or "p: 0.9997, s: 0.9995"'
    try:
        if ":" not in text:
            value = float(text)
            return {"threshold_p": value, "threshold_s": value}
        result = {}
        for part in text.split(","):
            label, _, number = part.partition(":")
            phase = Phase(label.strip().upper())
            result[f"threshold_{phase.lower()}"] = float(number)
        return result
    except ValueError as error:
        raise ConfigurationError(f"--threshold: got {text!r}; {wanted} ({error})") from None
