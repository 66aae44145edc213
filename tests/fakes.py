"""Stand-ins for the seams of the picker."""

import numpy as np
from numpy.typing import NDArray

from scperformer.types import WindowBatch, WindowInput


class RiseClassifier:
    """Calls P what rises at the window's centre on Z, S what rises there on N and E.

    Answers from each window's own samples alone, in float64.
    """

    name = "rise"
    sha256 = "0" * 64
    window_input = WindowInput.SAMPLES

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        self.batch_sizes.append(len(batch))
        probabilities = np.empty((len(batch), 3), dtype=np.float32)
        for i, start in enumerate(batch.starts):
            window = batch.rows[start : start + 400].astype(np.float64)
            window = np.where(batch.present[i], window, 0.0) / max(float(batch.peak[i]), 1e-30)
            energy = (window**2).reshape(4, 100, 3).sum(axis=1) + 1e-6
            rise = np.log(energy[2] / energy[1])
            p = 1.0 / (1.0 + np.exp(3.0 - rise[2]))
            s = 1.0 / (1.0 + np.exp(3.0 - max(rise[0], rise[1])))
            probabilities[i] = 0.9 * p, 0.9 * s * (1 - p), 0.0
        probabilities[:, 2] = 1.0 - probabilities[:, 0] - probabilities[:, 1]
        return probabilities
