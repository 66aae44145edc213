"""Columns of the same length, whose rows are taken and joined together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Arrays with as many rows as each other: the fields of a subclass."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, which: NDArray[np.generic] | slice) -> Self:
        """Return the rows of a mask, of indices or of a slice."""
        return type(self)(*(getattr(self, column.name)[which] for column in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of one part or more, one after another."""
        if len(parts) == 1:
            return parts[0]
        names = (column.name for column in fields(cls))
        arrays: list[Any] = [np.concatenate([getattr(p, name) for p in parts]) for name in names]
        return cls(*arrays)
