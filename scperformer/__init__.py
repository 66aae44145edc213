"""scperformer: a real-time seismic phase picker for SeisComP, SeedLink and archives.

From Python, ``scperformer.load()`` gives a picker; docs/python.md is the guide.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scperformer.door.loading import load
    from scperformer.door.picker import Picker
    from scperformer.door.picks import Picks
    from scperformer.door.session import Session
    from scperformer.errors import ScperformerError
    from scperformer.types import Phase, Pick, Record, SeedId

__version__ = "0.1.0"

__all__ = [
    "Phase",
    "Pick",
    "Picker",
    "Picks",
    "Record",
    "ScperformerError",
    "SeedId",
    "Session",
    "load",
]

_WHERE = {
    "Phase": "types",
    "Pick": "types",
    "Picker": "door.picker",
    "Picks": "door.picks",
    "Record": "types",
    "ScperformerError": "errors",
    "SeedId": "types",
    "Session": "door.session",
    "load": "door.loading",
}
"""Where the names of the door are: nothing is imported before it is used."""


if not TYPE_CHECKING:  # type checkers shall know what there is not

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
