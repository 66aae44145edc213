"""The short-time Fourier transform that the networks look at: its numbers, and no framework.

A window of 400 samples becomes 22 columns of a 64-point transform, periodic Hann window,
hop 16 (Stepnov et al. 2021). The released weights depend on every number here.
"""

from __future__ import annotations

import math

import numpy as np

from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES

FRAME_SAMPLES = 64
HOP_SAMPLES = 16
FRAMES = (WINDOW_SAMPLES - FRAME_SAMPLES) // HOP_SAMPLES + 1
BINS = FRAME_SAMPLES // 2 + 1
COLUMN = BINS * N_COMPONENTS
"""Numbers in the columns of a sensor's components at one time."""

LEVEL_COLUMNS = 128
"""Columns of the memory of the level that the streaming network's are relative to: 20.48 s."""

MAGNITUDE_FLOOR = 1e-5
DECIBEL_FLOOR = -50.0
"""Decibels of the least magnitude of a normalised window, ``10 log10`` of it."""

DECIBEL_SCALE = 50.0
DECIBELS_PER_NEPER_OF_POWER = 5.0 / math.log(10.0)
"""``10 log10`` of a magnitude is so much times the natural logarithm of its square."""

HANN = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)
"""The periodic Hann window, (64,) float64."""
