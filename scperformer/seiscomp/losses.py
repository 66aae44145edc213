"""Samples lost because their records came too late, and what to do about it."""

from __future__ import annotations

import shlex
from collections import Counter

from scperformer.types import SeedId

MANY_SAMPLES = 6000
"""Of a channel; a minute at 100 Hz."""
MUCH = 0.01
"""Of all samples; telemetry that is late now and then loses less in a year's records."""

_NAMED = 3
_FILE = "file://"


class Losses:
    """Counts what was lost.

    Attributes:
        n_failed: records that an unexpected error left out.
    """

    def __init__(self) -> None:
        self.n_failed = 0
        self._late: Counter[SeedId] = Counter()
        self._most = 0

    def __bool__(self) -> bool:
        return bool(self._late or self.n_failed)

    def is_disorder(self, n_samples: int) -> bool:
        """Whether so much was lost that the records cannot be in the order of time.

        Args:
            n_samples: how many have come.
        """
        return self._most >= MANY_SAMPLES and self._late.total() >= MUCH * n_samples

    def late(self, seed_id: SeedId, n_samples: int) -> None:
        """Count samples that came after their windows had been cut."""
        self._late[seed_id] += n_samples
        self._most = max(self._most, self._late[seed_id])

    def text(self, source: str) -> str:
        """Say what was lost and how to avoid it.

        Args:
            source: the record stream's URL.
        """
        lines = []
        if self._late:
            lines.append(f"{self._late_text()}; {_remedy(source)}")
        if self.n_failed:
            lines.append(f"{self.n_failed} records left out by errors; the log names them")
        return "\n".join(lines)

    def _late_text(self) -> str:
        worst = [str(seed_id) for seed_id, _ in self._late.most_common(_NAMED)]
        more = f" and {len(self._late) - _NAMED} more" if len(self._late) > _NAMED else ""
        return (
            f"records not in the order of time: {self._late.total()} samples of "
            f"{', '.join(worst)}{more} lost, because their windows had passed"
        )


def _remedy(source: str) -> str:
    if "://" in source and not source.startswith(_FILE):
        return (
            "write the records to a file, sort it by 'scmssort -u FILE > sorted.mseed' and read "
            "that, or raise lateWait and componentWait if they come live"
        )
    path = source.removeprefix(_FILE)
    name = shlex.quote(path) if path not in ("", "-") else "FILE"
    return f"sort them by 'scmssort -u {name} > sorted.mseed' and read that"
