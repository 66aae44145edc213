"""What the training ran on, for the model card."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np

import scperformer.networks.runtime  # noqa: F401  (quiet start of TensorFlow)

# isort: split
import keras
import tensorflow as tf


def use_threads(threads: int) -> None:
    """Limit TensorFlow's threads; it must not have computed anything yet.

    Args:
        threads: most threads at a time, 0 for TensorFlow's own choice.
    """
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def describe_machine() -> dict[str, str | int]:
    """Return processor, cores, accelerators, system and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()
