"""Planned windows cut out of a sensor's records and written, and the account of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scperformer.datasets.plan import NOISE, CutOptions, Cuts
from scperformer.datasets.window_file import NO_SPLIT
from scperformer.datasets.window_stream import first_samples, take_windows
from scperformer.datasets.writer import LabelledWindow
from scperformer.types import N_COMPONENTS, Record, SeedId

_MOST_FAULTS = 20

Write = Callable[[LabelledWindow], None]


@dataclass(slots=True)
class Account:
    """What became of what was wanted.

    Attributes:
        planned: windows planned, by class.
        cut: windows written, by class.
        undivided: windows left out because earthquake and station disagree on the split.
        incomplete: windows left out for a missing component.
        noise_wanted: windows of noise wanted.
        n_unusable: inputs that could not be used, or not in full.
        unusable: the first of them, in words.
    """

    planned: Counter[int] = field(default_factory=Counter)
    cut: Counter[int] = field(default_factory=Counter)
    undivided: int = 0
    incomplete: int = 0
    noise_wanted: int = 0
    n_unusable: int = 0
    unusable: list[str] = field(default_factory=list)

    def blame(self, fault: str) -> None:
        """Note an input that could not be used."""
        self.n_unusable += 1
        if len(self.unusable) < _MOST_FAULTS:
            self.unusable.append(fault)

    def lines(self) -> list[str]:
        """Say in words what was left out; nothing where all is well."""
        said = []
        lost = sum(self.planned.values()) - sum(self.cut.values()) - self.incomplete
        if lost:
            said.append(f"{lost} windows not cut: a gap, an end or silence is in them")
        if self.incomplete:
            said.append(f"{self.incomplete} windows left out: a component is missing")
        if self.undivided:
            said.append(
                f"{self.undivided} windows left out: earthquake and station are in different splits"
            )
        found = self.planned[NOISE] + self.undivided
        if found < self.noise_wanted:
            said.append(
                f"{self.noise_wanted} windows of noise were wanted, but few places lie so far "
                "from picks; see --noise-distance and --noise-near-others"
            )
        return said


def cut_windows(
    records: Iterable[Record],
    seed_ids: Sequence[SeedId],
    cuts: Cuts,
    *,
    events: Sequence[str],
    splits: Sequence[int],
    trace: str,
    options: CutOptions,
    account: Account,
    write: Write,
) -> None:
    """Cut windows out of the records of one sensor and write them.

    Args:
        records: in time order.
        seed_ids: the sensor's channels.
        cuts: the windows, (n,).
        events: name of each window's earthquake.
        splits: number of each window's split; those of none are left out.
        trace: what the windows are said to come from.
        options: how they are cut.
        account: is told what becomes of them.
        write: takes them.
    """
    kept = np.flatnonzero(np.array(splits, dtype=np.int64) != NO_SPLIT)
    account.undivided += len(cuts) - len(kept)
    account.planned.update(cuts.label[kept].tolist())
    sensor = seed_ids[0].sensor_id
    for taken in take_windows(
        records,
        seed_ids,
        first_samples(cuts.centre_ns[kept]),
        filter_text=options.filter_text,
    ):
        if options.all_components and taken.n_components < N_COMPONENTS:
            account.incomplete += 1
            continue
        number = int(kept[taken.number])
        label = int(cuts.label[number])
        account.cut[label] += 1
        write(
            LabelledWindow(
                samples=taken.samples,
                label=label,
                split=splits[number],
                event=events[number],
                station=f"{sensor.network}.{sensor.station}",
                trace=trace,
                n_components=taken.n_components,
                time_ns=int(cuts.centre_ns[number]),
                shift_samples=int(cuts.shift_samples[number]),
            )
        )
