"""Steim frames whose integrity word was never written.

SEED Reference Manual 2.4, appendix B: the first frame of a record holds the first
sample (X0) and the last one (XN, the reverse integration constant); each frame begins
with a control word that says how many differences each of its words holds.

Some digitisers and converters leave XN at 0. Their records are whole: they are taken
where X0 is right and the control words hold the differences of just as many samples as
the header promises. Where XN has a value, it must be the last sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAME_BYTES = 64
STEIM_1, STEIM_2 = 10, 11
_INVALID = 1 << 20

# Differences in a word, by its two bits in the control word and, for Steim 2, its own first two.
_COUNTS = {
    STEIM_1: np.array([[0] * 4, [4] * 4, [2] * 4, [1] * 4], np.int64),
    STEIM_2: np.array([[0] * 4, [4] * 4, [_INVALID, 1, 2, 3], [5, 6, 7, _INVALID]], np.int64),
}
_SHIFTS = np.arange(30, -1, -2, dtype=np.uint32)


def hold_just(
    frames: NDArray[np.uint32], encoding: int, n_samples: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell whether the last word with differences is the one that holds the last sample's.

    Args:
        frames: (n, n_frames, 16) words of n records, in the machine's byte order.
        encoding: `STEIM_1` or `STEIM_2`.
        n_samples: (n,) what the headers promise.

    Returns:
        (n,) bool.
    """
    controls = (frames[:, :, :1] >> _SHIFTS) & np.uint32(3)
    counts = _COUNTS[encoding][controls, frames >> np.uint32(30)].reshape(len(frames), -1)
    totals = counts.sum(axis=1)
    last_used = counts.shape[1] - 1 - np.argmax(counts[:, ::-1] > 0, axis=1)
    before = totals - counts[np.arange(len(counts)), last_used]
    return np.asarray((totals >= n_samples) & (before < n_samples) & (totals < _INVALID))
