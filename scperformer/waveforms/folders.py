"""The files of folders and SDS trees that may hold waveforms."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from scperformer.waveforms.packed import PACKED_SUFFIXES
from scperformer.waveforms.problems import Report, problem_from_os
from scperformer.waveforms.sds import DayFile, Days, is_sds_root

_NO_WAVEFORMS = re.compile(
    r"\.(cfg|csv|gif|h5|hdf5|html?|ini|ipynb|jpe?g|jsonl?|log|md|np[yz]|pdf|png|ps|py|qml|quakeml"
    r"|rst|sc3ml|scml|sh|svg|toml|tsv|txt|xml|ya?ml)",
    re.IGNORECASE,
)


def files_below(
    folder: Path, *, days: Days, report: Report
) -> Iterator[tuple[Path, DayFile | None]]:
    """Yield the files of a folder and all its subfolders that may be waveforms, in order.

    Hidden ones, and those whose suffix says otherwise, are passed over. In an SDS root
    names are believed: years outside are not entered, and what a day file's name says
    comes with it.

    Args:
        folder: any folder, an SDS root or not.
        days: days of interest; only an SDS root knows them beforehand.
        report: hears of folders that cannot be read; the others are searched.
    """
    is_sds = is_sds_root(folder)
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        report(problem_from_os(Path(error.filename or folder), error))

    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_sds and Path(root) == folder:
            folders[:] = [name for name in folders if days.has_year(name)]
        for name in sorted(names):
            if not name.startswith(".") and not _NO_WAVEFORMS.fullmatch(_suffix(name)):
                yield Path(root, name), DayFile.parse(name) if is_sds else None


def _suffix(name: str) -> str:
    """The suffix of what is in a file, were it unpacked."""
    path = Path(name)
    return Path(path.stem).suffix if path.suffix.lower() in PACKED_SUFFIXES else path.suffix
