"""The state of a training after an epoch, to go on from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.errors import InputError
from scperformer.training.files import write_bytes
from scperformer.training.history import Epoch


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All that a training needs to go on as if it had never stopped.

    Attributes:
        configuration: what it was started with; another one cannot be resumed.
        history: the epochs so far.
        best_epoch: number of the epoch with the least validation loss.
        variables: of the network and the optimiser, in their order.
        best: the network's variables after the best epoch.
    """

    configuration: dict[str, Any]
    history: tuple[Epoch, ...]
    best_epoch: int
    variables: Sequence[NDArray[Any]]
    best: Sequence[NDArray[Any]]


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint.

    Raises:
        OutputError: it cannot be written.
    """
    head = {
        "configuration": checkpoint.configuration,
        "history": [asdict(epoch) for epoch in checkpoint.history],
        "best_epoch": checkpoint.best_epoch,
    }
    arrays = {"head": np.array(json.dumps(head))}
    arrays |= {f"variable_{i}": array for i, array in enumerate(checkpoint.variables)}
    arrays |= {f"best_{i}": array for i, array in enumerate(checkpoint.best)}
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_bytes(path, content.getvalue())


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: no such file, or it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        head = json.loads(str(arrays["head"]))
        history = tuple(Epoch(**row) for row in head["history"])
        return Checkpoint(
            head["configuration"],
            history,
            head["best_epoch"],
            _numbered(arrays, "variable"),
            _numbered(arrays, "best"),
        )
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a checkpoint that can be resumed: {error}; train without --resume"
        ) from error


def _numbered(arrays: dict[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{i}"] for i in range(count)]
