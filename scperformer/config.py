"""Every setting of the picker, once.

The class `Settings` is the only definition: its fields carry type, default,
unit, range, help, the command-line spelling and the SeisComP key. Command-line
options, SeisComP's defaults and descriptions are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, get_type_hints

from scperformer.errors import ConfigurationError
from scperformer.naming import Codes, parse_codes
from scperformer.types import SAMPLING_RATE_HZ, WINDOW_SAMPLES, Phase

_KINDS: Mapping[type, str] = MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
)


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What is known of one setting.

    Attributes:
        name: attribute of `Settings`.
        key: key in SeisComP's configuration.
        kind: bool, int, float or str.
        optional: None is allowed and means "as the model's card recommends".
        default: value if nobody says otherwise.
        unit: unit of the value, empty if it has none.
        low, high: inclusive range of numbers, None where open.
        choices: allowed values of a string, empty where any is.
        help: one line.
        options: command-line spellings, empty if the setting has no option of its own.
        per_station: a SeisComP binding may set it.
        changes_picks: it belongs to what picks' public ids tell apart, thresholds excepted,
            which the card may set.
    """

    name: str
    key: str
    kind: type
    optional: bool
    default: Any
    unit: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    help: str
    options: tuple[str, ...]
    per_station: bool
    changes_picks: bool

    def fault(self, value: object, *, name: str = "") -> str | None:
        """Return what is wrong with a value, or None.

        Args:
            value: the value.
            name: what the user calls the setting; by default its key.
        """
        name = name or self.key
        if value is None:
            return None if self.optional else f"{name}: no value; {self.wanted()}"
        allowed: tuple[type, ...] = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(value, allowed) or (self.kind is not bool and isinstance(value, bool)):
            return f"{name}: got {value!r} ({type(value).__name__}); {self.wanted()}"
        if self.choices and value not in self.choices:
            return f"{name}: got {value!r}; {self.wanted()}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            too_low = self.low is not None and not value >= self.low
            too_high = self.high is not None and not value <= self.high
            if too_low or too_high or (isinstance(value, float) and math.isnan(value)):
                return f"{name}: got {value:.15g}; {self.wanted()}"
        return None

    def wanted(self) -> str:
        """Say what values are allowed."""
        if self.choices:
            return "wanted one of " + ", ".join(self.choices)
        text = f"wanted {_KINDS[self.kind]}"
        if self.low is not None or self.high is not None:
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            text += f" from {low} to {high}"
        return text + (f" {self.unit}" if self.unit else "")


DEFAULT_AUTHOR = "scperformer"
"""Author of documents and messages, unless somebody says otherwise."""

DEFAULT_FILTER = "BW_HP(4,2)"
"""What the shipped models were trained with."""

CONTEXT_SHIFT_SAMPLES = 16
"""A context stage counts windows, so that it serves one shift alone."""


def setting(
    default: Any,
    *,
    key: str,
    help: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    per_station: bool = False,
    changes_picks: bool = False,
) -> Any:
    """Define a field of a settings class; see `SettingInfo` for the arguments."""
    return field(
        default=default,
        metadata={
            "key": key,
            "help": help,
            "unit": unit,
            "low": low,
            "high": high,
            "choices": choices,
            "options": options,
            "per_station": per_station,
            "changes_picks": changes_picks,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The picker's settings, checked when made.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """

    threshold_p: float | None = setting(
        None,
        key="thresholds.P",
        help="Least probability of a P pick; unset, the model's card decides by the number "
        "of live components.",
        low=0.0,
        high=1.0,
        per_station=True,
    )
    threshold_s: float | None = setting(
        None,
        key="thresholds.S",
        help="Least probability of an S pick; unset, the model's card decides by the number "
        "of live components.",
        low=0.0,
        high=1.0,
        per_station=True,
    )
    shift_samples: int = setting(
        16,
        key="shift",
        help="Samples between the starts of two windows, counted from the epoch. 16 equals the "
        "spectrogram's hop, is the fastest, and the only one at which a context stage works; 10 "
        "is the original program's.",
        unit="samples",
        low=1,
        high=WINDOW_SAMPLES,
        options=("--shift",),
        changes_picks=True,
    )
    filter: str = setting(
        DEFAULT_FILTER,
        key="filter",
        help="Causal filter before the spectrogram, in SeisComP's grammar; empty for none. The "
        "shipped models were trained with the default.",
        options=("--filter",),
        per_station=True,
        changes_picks=True,
    )
    detrend: bool = setting(
        True,
        key="detrend",
        help="Where no filter is set, remove offset and trend with a causal high-pass of 20 s.",
        changes_picks=True,
    )
    components: str = setting(
        "any",
        key="components",
        help="any: pick with the components that are there; all: pick only where all three are.",
        choices=("any", "all"),
        options=("--components",),
        per_station=True,
        changes_picks=True,
    )
    component_codes: str = setting(
        "",
        key="componentCodes",
        help="Further component letters: groups of a place (N, E, Z) and the letters that stand "
        "for it, such as NU,EV,ZW. Z N E, 1 2 3, U N E, Z R T, X Y Z and NS EW UD are known.",
        options=("--component-codes",),
        per_station=True,
        changes_picks=True,
    )
    component_wait_s: float = setting(
        30.0,
        key="componentWait",
        help="How far, in data time, the other components may run ahead before a silent one is "
        "given up for the moment.",
        unit="s",
        low=0.0,
        high=3600.0,
        options=("--component-wait",),
    )
    late_wait_s: float = setting(
        2.0,
        key="lateWait",
        help="How long, in data time, a channel's gap stays open for records that come late.",
        unit="s",
        low=0.0,
        high=3600.0,
        options=("--late-wait",),
    )
    gap_interpolation: bool = setting(
        False,
        key="gapInterpolation",
        help="Fill gaps of at most thresholds.maxGapLength with a straight line.",
        options=("--gap-interpolation",),
        changes_picks=True,
    )
    max_gap_s: float = setting(
        4.5,
        key="thresholds.maxGapLength",
        help="Longest gap that interpolation fills.",
        unit="s",
        low=0.0,
        high=60.0,
        options=("--gap-tolerance",),
        changes_picks=True,
    )
    smoothing_s: float = setting(
        0.32,
        key="smoothing",
        help="Span over which the log-odds of a phase are averaged, rounded to an odd number of "
        "windows. The decision waits for half of it.",
        unit="s",
        low=0.0,
        high=4.0,
        options=("--smoothing",),
        changes_picks=True,
    )
    context: bool = setting(
        True,
        key="context",
        help="Let the model's context stage, if it has one, weigh each window's answer by those of "
        "the last half minute. It works at shift 16 alone; at any other the network answers alone.",
    )
    min_distance_s: float = setting(
        1.0,
        key="thresholds.deadTime",
        help="Least time between two picks of the same phase at one sensor.",
        unit="s",
        low=0.0,
        high=600.0,
        options=("--dead-time",),
        per_station=True,
        changes_picks=True,
    )
    refine_onset: bool = setting(
        True,
        key="refineOnset",
        help="Look for the onset in the samples as they were recorded, near where the network saw "
        "it; otherwise the network's time stands.",
        changes_picks=True,
    )
    time_correction_s: float = setting(
        0.0,
        key="timeCorrection",
        help="Added to every pick's time.",
        unit="s",
        low=-60.0,
        high=60.0,
        options=("--time-correction",),
        per_station=True,
        changes_picks=True,
    )
    trace_normalization: bool = setting(
        False,
        key="traceNormalization",
        help="Divide windows by the largest sample of their whole block (see traceSize) instead "
        "of their own; delays picks by up to a block.",
        options=("--trace-normalization",),
        changes_picks=True,
    )
    trace_size_s: float = setting(
        600.0,
        key="traceSize",
        help="Length of the blocks in which long records are processed and, if asked for, "
        "normalised. Without traceNormalization it changes no pick.",
        unit="s",
        low=10.0,
        high=86400.0,
        options=("--trace-size",),
        changes_picks=True,
    )
    batch_size: int = setting(
        2048,
        key="batchSize",
        help="Windows that the network answers in one call. It changes no answer.",
        unit="windows",
        low=1,
        high=1_000_000,
        options=("--batch-size",),
    )
    max_batch_delay_s: float = setting(
        0.5,
        key="maxBatchDelay",
        help="How far, in data time, a sensor may go on while its windows wait for others to "
        "fill their batch.",
        unit="s",
        low=0.0,
        high=60.0,
        options=("--max-batch-delay",),
    )
    buffer_s: float = setting(
        300.0,
        key="ringBufferSize",
        help="Longest span of data kept for a sensor whose components wait for each other.",
        unit="s",
        low=30.0,
        high=86400.0,
        options=("--buffer-size",),
    )
    snr_amplitudes: str = setting(
        "P",
        key="snrAmplitudes",
        help="Which picks come with an snr amplitude: none, P, or all. scautoloc uses a pick that "
        "has its amplitudes, and takes it for a P whatever its phase hint says: with all, it "
        "makes wrong origins of S picks.",
        choices=("none", "P", "all"),
        options=("--snr-amplitudes",),
    )

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
    def uses_context(self) -> bool:
        """Whether a model's context stage can and shall be used."""
        return self.context and self.shift_samples == CONTEXT_SHIFT_SAMPLES

    @property
    def min_distance_samples(self) -> int:
        """`min_distance_s` in samples."""
        return round(self.min_distance_s * SAMPLING_RATE_HZ)

    @property
    def amplitude_phases(self) -> frozenset[Phase]:
        """Phases whose picks come with an ``snr`` amplitude."""
        return frozenset(p for p in Phase if self.snr_amplitudes in ("all", p))


def check_settings(settings: Any) -> None:
    """Check every field of a settings class against its definition.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """
    faults = [
        fault
        for info in setting_infos(type(settings))
        if (fault := info.fault(getattr(settings, info.name))) is not None
    ]
    if faults:
        raise ConfigurationError(*faults)


def setting_infos(of: type = Settings) -> Iterator[SettingInfo]:
    """Yield what is known of every setting of a class, in the order of definition."""
    hints = get_type_hints(of)
    for item in fields(of):
        if not item.metadata:
            continue
        kinds = getattr(hints[item.name], "__args__", (hints[item.name],))
        default = None if item.default is MISSING else item.default
        yield SettingInfo(
            name=item.name,
            kind=kinds[0],
            optional=type(None) in kinds,
            default=default,
            **item.metadata,
        )


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Make settings from attribute names; unset ones keep their default.

    Raises:
        ConfigurationError: unknown names, or values out of their range.
    """
    known = {info.name for info in setting_infos()}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigurationError(*(f"{name}: no such setting" for name in unknown))
    return Settings(**values)
