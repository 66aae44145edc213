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
        windows = batch.rows[batch.starts[:, None] + np.arange(400)].astype(np.float64)
        windows *= batch.present[:, None, :]
        windows /= batch.peak[:, None, None]
        energy = (windows**2).reshape(len(batch), 8, 50, 3).sum(axis=2) + 1e-6
        rise = np.log(energy[:, 4] / energy[:, 3])
        p = 1.0 / (1.0 + np.exp(3.0 - rise[:, 2]))
        s = 1.0 / (1.0 + np.exp(3.0 - rise[:, :2].max(axis=1)))
        s *= 1.0 - p
        return np.stack([p, s, 1.0 - p - s], axis=1).astype(np.float32)


class LateClassifier(RiseClassifier):
    """Answers beside the stream: says that it is done when asked for the n-th time only.

    Args:
        patience: times that it says no to each batch.
    """

    def __init__(self, patience: int) -> None:
        super().__init__()
        self._patience = patience

    def start(self, batch: WindowBatch) -> "LateAnswers":
        return LateAnswers(self.classify(batch), self._patience)


class LateAnswers:
    def __init__(self, answers: NDArray[np.float32], patience: int) -> None:
        self._answers = answers
        self._patience = patience

    def done(self) -> bool:
        self._patience -= 1
        return self._patience < 0

    def result(self) -> NDArray[np.float32]:
        return self._answers
