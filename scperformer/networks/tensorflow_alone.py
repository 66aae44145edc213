"""TensorFlow without Keras, for the compiled classifier.

TensorFlow imports all of Keras, and that scikit-learn where it is installed, to put its
optimizers on a list: 100 MB and a third of the start-up time that a picker never uses.
TensorFlow does without where Keras cannot be imported, so it is hidden meanwhile;
``tf.keras`` and ``import keras`` work afterwards as ever.
"""

from __future__ import annotations

import sys
from typing import Any

import scperformer.networks.runtime  # noqa: F401  (quiet start of TensorFlow)

_HIDDEN = "keras._tf_keras"


def _import_tensorflow() -> Any:
    hide = "tensorflow" not in sys.modules and "keras" not in sys.modules
    if hide:
        sys.modules[_HIDDEN] = None  # type: ignore[assignment]
    try:
        import tensorflow  # noqa: PLC0415
    finally:
        if hide:
            del sys.modules[_HIDDEN]
    return tensorflow


tf = _import_tensorflow()
