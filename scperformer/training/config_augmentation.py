"""The section ``[augmentation]`` of the training configuration."""

from __future__ import annotations

from dataclasses import dataclass

from scperformer.training.config_options import option


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSection:
    """``[augmentation]``: what happens to training windows."""

    rotation: float = option(
        0.5, help="share of windows whose horizontals are rotated", low=0.0, high=1.0
    )
    polarity: float = option(0.5, help="share turned upside down", low=0.0, high=1.0)
    gain_db: float = option(
        3.0, help="largest gain or loss of a component, decibels", low=0.0, high=60.0
    )
    mixing: float = option(
        0.3, help="share of windows that a window of noise is added to", low=0.0, high=1.0
    )
    mixing_snr_db: tuple[float, float] = option(
        (0.0, 25.0), help="least and largest signal-to-noise ratio of mixing", low=-60.0, high=120.0
    )
    lose_one: float = option(
        0.15, help="share of windows that lose one component", low=0.0, high=1.0
    )
    lose_two: float = option(
        0.25, help="share of windows that lose two components", low=0.0, high=1.0
    )
    vertical_share: float = option(
        0.7, help="of those, the share that keeps the vertical", low=0.0, high=1.0
    )
    superposed: float = option(
        0.0, help="share of windows that another earthquake is added to", low=0.0, high=1.0
    )
    superposed_db: tuple[float, float] = option(
        (-20.0, 10.0), help="least and largest peak of it over the window's", low=-60.0, high=60.0
    )
    superposed_shift_s: tuple[float, float] = option(
        (0.8, 1.9),
        help="least and largest distance of its arrival from the window's centre",
        low=0.0,
        high=2.0,
    )
    filtered: float = option(
        0.0,
        help="share of windows with another filter, half of them band-passed",
        low=0.0,
        high=1.0,
    )
    filtered_highpass_hz: tuple[float, float] = option(
        (2.0, 5.0), help="least and largest corner of its high-pass", low=0.1, high=40.0
    )
    filtered_lowpass_hz: tuple[float, float] = option(
        (15.0, 45.0), help="least and largest corner of its low-pass", low=1.0, high=49.0
    )
    resampled: float = option(
        0.0,
        help="share of windows that look like records of a lower sampling rate",
        low=0.0,
        high=1.0,
    )
    resampled_hz: tuple[float, float] = option(
        (20.0, 80.0), help="least and largest of these rates", low=10.0, high=100.0
    )
    clipped: float = option(0.0, help="share of windows that are clipped", low=0.0, high=1.0)
    clipped_level: tuple[float, float] = option(
        (0.2, 0.8), help="least and largest range, as a share of the peak", low=0.01, high=1.0
    )
    synthetic: float = option(
        0.0,
        help="share of windows that are synthetic earthquakes with short S - P",
        low=0.0,
        high=1.0,
    )
    synthetic_spliced: float = option(
        0.5,
        help="of those, the share spliced of a recorded P and another earthquake's recorded S; "
        "the others are made of filtered noise",
        low=0.0,
        high=1.0,
    )
    synthetic_s_minus_p_s: tuple[float, float] = option(
        (0.3, 3.0),
        help="least and largest S - P time, evenly by its logarithm",
        low=0.05,
        high=20.0,
    )
    synthetic_snr_db: tuple[float, float] = option(
        (8.0, 45.0),
        help="least and largest peak of a made P over the noise's rms",
        low=-20.0,
        high=120.0,
    )
