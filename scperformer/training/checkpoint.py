"""The state of a training, to go on from."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import npz
from scperformer.atomic import write_bytes
from scperformer.errors import InputError

CHECKPOINT = "checkpoint.npz"
"""Its name in the model folder, where it lies while training lasts."""

_LAYOUT = 2
"""Changes with what `variables` and rows of the history are."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All that a training needs to go on as if it had never stopped.

    Attributes:
        configuration: what it was started with; another one cannot be resumed.
        history: what has been noted so far, a row of the history's table each.
        variables: that training changes, the optimiser's as well, in their order.
        best: what the network's variables would be if the training ended here.
    """

    configuration: dict[str, Any]
    history: tuple[dict[str, Any], ...]
    variables: Sequence[NDArray[Any]]
    best: Sequence[NDArray[Any]]


def restore(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    """Give variables the values of a checkpoint."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint.

    Raises:
        OutputError: it cannot be written.
    """
    head = {
        "layout": _LAYOUT,
        "configuration": checkpoint.configuration,
        "history": checkpoint.history,
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
        with npz.NpzFile(path) as file:
            arrays = dict(file)
        head = json.loads(str(arrays["head"]))
        if head["layout"] != _LAYOUT:
            raise ValueError("another version of scperformer made it")
        return Checkpoint(
            head["configuration"],
            tuple(head["history"]),
            _numbered(arrays, "variable"),
            _numbered(arrays, "best"),
        )
    except npz.DAMAGED as error:
        raise InputError(
            f"{path}: not a checkpoint that can be resumed: {error}; train without --resume"
        ) from error


def _numbered(arrays: dict[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{i}"] for i in range(count)]
