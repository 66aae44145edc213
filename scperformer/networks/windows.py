"""Plain windows through a classifier, by the same way as a stream's windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scperformer.core.spectrogram import spectrogram_columns
from scperformer.stft import HOP_SAMPLES
from scperformer.types import (
    CLASSES,
    N_COMPONENTS,
    WINDOW_SAMPLES,
    Classifier,
    WindowBatch,
    WindowInput,
)

_COLUMNS_APART = WINDOW_SAMPLES // HOP_SAMPLES


def classify_windows(classifier: Classifier, windows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Answer windows.

    Args:
        classifier: answers them.
        windows: (n, 400, 3), filtered, components N, E, Z, in any unit.

    Returns:
        (n, 3) float32 probabilities of P, S and noise.
    """
    answers = classifier.classify(window_batch(windows, classifier.window_input))
    return answers[:, : len(CLASSES)]


def window_batch(windows: NDArray[np.floating], window_input: WindowInput) -> WindowBatch:
    """Make a batch of windows (n, 400, 3).

    Windows are divided by their peaks first, so that their size does not matter, and put
    one behind the other; 400 samples are 25 columns, of which the last 3 reach into the
    next window and belong to none.
    """
    n = len(windows)
    peak = np.abs(windows).max(axis=(1, 2), initial=0.0)
    normal = windows / np.where(peak > 0, peak, 1)[:, np.newaxis, np.newaxis]
    samples = normal.reshape(n * WINDOW_SAMPLES, N_COMPONENTS).astype(np.float32)
    if window_input is WindowInput.SAMPLES:
        rows, apart = samples, WINDOW_SAMPLES
    else:
        rows, apart = spectrogram_columns(np.ascontiguousarray(samples.T)), _COLUMNS_APART
    return WindowBatch(
        rows=rows,
        starts=np.arange(n, dtype=np.int64) * apart,
        stride=1,
        peak=(peak > 0).astype(np.float32),
        present=np.ones((n, N_COMPONENTS), dtype=np.bool_),
    )
