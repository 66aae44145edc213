"""Files of picks, in the format that their suffix names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from scperformer.atomic import AtomicFile
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks import tables
from scperformer.types import ALL_PHASES, Phase, Pick

Writer = Callable[[BinaryIO, Sequence[Pick]], None]

_TABLE_SUFFIXES = (".txt", ".csv", ".jsonl")
_SCML_SUFFIXES = (".scml", ".xml")
SUFFIXES = (*_TABLE_SUFFIXES, *_SCML_SUFFIXES, ".qml", ".quakeml")
DEFAULT_PRECISION = 4
DEFAULT_SCML_VERSION = "0.12"


class FileSink:
    """Collects picks and writes them, sorted by time, when closed.

    The file appears complete at `close`, or not at all. Picks with the same public id
    are one pick. As a context manager it discards what it has if an exception came.

    Args:
        path: the file to be.
        writer: writes sorted picks.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self._writer = writer
        self._picks: list[Pick] = []
        self._output: AtomicFile | None = AtomicFile(path, durable=True)

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks, in any order.

        Raises:
            OutputError: the sink has been closed.
        """
        if self._output is None:
            raise OutputError(f"{self.path}: closed; nothing more can be written")
        self._picks.extend(picks)

    def close(self) -> None:
        """Write the file; a second call does nothing.

        Raises:
            OutputError: the file cannot be written.
        """
        output, self._output = self._output, None
        if output is None:
            return
        with output:
            self._writer(output.file, in_order(self._picks))

    def discard(self) -> None:
        """Close without writing anything."""
        output, self._output = self._output, None
        if output is not None:
            output.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def open_sink(
    path: Path,
    *,
    precision: int = DEFAULT_PRECISION,
    agency: str = "",
    author: str = "scperformer",
    scml_version: str = DEFAULT_SCML_VERSION,
    created_ns: int | None = None,
    amplitude_phases: frozenset[Phase] = ALL_PHASES,
) -> FileSink:
    """Open a file of picks: ``.txt .csv .jsonl .scml .xml .qml .quakeml``.

    Args:
        path: the file to be.
        precision: digits of probabilities; CSV and JSONL have at least 6, documents 4.
        agency: agency of SCML and QuakeML documents.
        author: author of SCML and QuakeML documents.
        scml_version: schema version of SCML documents.
        created_ns: creation time of SCML and QuakeML documents, by default now.
        amplitude_phases: phases whose picks come with an amplitude in SCML documents.

    Raises:
        ConfigurationError: an unknown suffix, schema version or precision.
        OutputError: the folder cannot be written to.
    """
    if not 0 <= precision <= 17:
        raise ConfigurationError(f"precision: got {precision}; wanted 0 to 17 digits")
    suffix = path.suffix.lower()
    if suffix in _TABLE_SUFFIXES:
        return FileSink(path, _table_writer(suffix, precision))
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ConfigurationError(f"{path}: unknown suffix {suffix!r}; wanted one of {known}")
    from scperformer.picks import documents, quakeml, scml  # noqa: PLC0415 - lxml

    created_ns = time.time_ns() if created_ns is None else created_ns
    provenance = documents.Provenance(agency=agency, author=author, created_ns=created_ns)
    write: Callable[..., None] = quakeml.write_document
    if suffix in _SCML_SUFFIXES:
        scml.namespace(scml_version)
        write = partial(
            scml.write_document, version=scml_version, amplitude_phases=amplitude_phases
        )
    return FileSink(path, partial(write, provenance=provenance, precision=precision))


def in_order(picks: Iterable[Pick]) -> list[Pick]:
    """Sort picks by time and leave out repetitions."""
    ordered = sorted(picks, key=lambda pick: (pick.time_ns, pick.phase, pick.seed_id, pick.recipe))
    unique: dict[str, Pick] = {}
    for pick in ordered:
        unique.setdefault(pick.public_id, pick)
    return list(unique.values())


def _table_writer(suffix: str, precision: int) -> Writer:
    writers = {".txt": tables.write_text, ".csv": tables.write_csv, ".jsonl": tables.write_jsonl}
    return partial(writers[suffix], precision=precision)
