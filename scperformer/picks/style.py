"""How picks are written: what all formats can be told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from scperformer.errors import ConfigurationError
from scperformer.types import ALL_PHASES, Phase

SCML_VERSIONS = ("0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14")
DEFAULT_PRECISION = 4
_MOST_DIGITS = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How picks are written.

    Attributes:
        precision: digits of probabilities; CSV and JSONL have at least 6, documents 4.
        agency: agency of SCML and QuakeML documents, may be empty.
        author: author of SCML and QuakeML documents.
        created_ns: creation time of SCML and QuakeML documents, by default now.
        scml_version: schema version of SCML documents.
        amplitude_phases: phases whose picks come with an amplitude in SCML documents.

    Raises:
        ConfigurationError: an unknown schema version or precision.
    """

    precision: int = DEFAULT_PRECISION
    agency: str = ""
    author: str = "scperformer"
    created_ns: int = field(default_factory=time.time_ns)
    scml_version: str = "0.12"
    amplitude_phases: frozenset[Phase] = ALL_PHASES

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.precision <= _MOST_DIGITS:
            faults.append(f"precision: got {self.precision}; wanted 0 to {_MOST_DIGITS} digits")
        if self.scml_version not in SCML_VERSIONS:
            known = ", ".join(SCML_VERSIONS)
            faults.append(f"SCML schema version: got {self.scml_version!r}; wanted one of {known}")
        if faults:
            raise ConfigurationError(*faults)
