"""Folders of records and the tables of picks in them, as a configuration names them."""

from __future__ import annotations

import logging

from scperformer.datasets.labels import read_labels
from scperformer.datasets.records import StationRecord, load_folder
from scperformer.errors import InputError
from scperformer.training.config import DataFolder
from scperformer.types import Pick

LOGGER = logging.getLogger(__name__)


def load_data_folder(
    folder: DataFolder, *, source: str, threshold: float
) -> tuple[list[StationRecord], list[list[Pick]]]:
    """Load a folder's records and its tables of picks.

    What cannot be used is named in the log, and the folder left out as a whole: records
    whose picks are unknown would teach that nothing arrived.

    Args:
        folder: as configured.
        source: name of the folder in the records.
        threshold: least probability of the picks.

    Returns:
        The records, and the picks of each table; both empty if the folder is left out.
    """
    try:
        tables = [read_labels(folder.folder / name, threshold=threshold) for name in folder.picks]
        return load_folder(folder.folder, source=source), tables
    except InputError as error:
        LOGGER.warning("%s: the folder is left out: %s", source, error)
        return [], []
