"""Parquet: a folder with a file for each day of picks, ``day=2019-07-04/picks.parquet``.

Columns are those of the tables, with types and in full digits; their units stand in the
fields' metadata, the models and the checksums of their weights in the schema's. The same
picks give the same bytes in whatever order and portions they come, as long as pyarrow is
the same. Others' files are read where they have columns that the tables have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scperformer.atomic import AtomicFile, Closing, remove_leftovers
from scperformer.errors import ConfigurationError, InputError, OutputError
from scperformer.picks.columns import COLUMNS, NAMES, WANTED, Others, time_from_json
from scperformer.picks.tables import picks_of_rows
from scperformer.types import Pick, PickSink, format_time

SUFFIX = ".parquet"
FILE_NAME = f"picks{SUFFIX}"
EXTRA = "scperformer[parquet]"

UNITS = MappingProxyType(
    {"time": "ns since 1970-01-01 UTC", "uncertainty_s": "s", "decision_delay_s": "s",
     "probability": "1", "snr": "1", "components": "1"}
)  # fmt: skip
"""Units of the columns that have one; it stands in the field's metadata under ``unit``."""

_FLOATS = frozenset({"probability", "uncertainty_s", "snr", "decision_delay_s"})
_PLAIN = frozenset({"public_id"})
_ORDER = ("time", "phase", "network", "station", "location", "channel", "recipe")
_DAY_FOLDER = re.compile(r"day=\d{4}-\d\d-\d\d")
_MOST_WAITING = 32_768
_ROWS_AT_A_TIME = 16_384


def arrow() -> Any:
    """Return pyarrow with what of it is used here.

    Raises:
        ConfigurationError: it is not installed; names the extra.
    """
    try:
        import pyarrow  # noqa: PLC0415 - optional, and heavy
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"Parquet needs pyarrow ({error}): pip install '{EXTRA}'"
        ) from error
    return pyarrow


class ParquetDays(Closing, PickSink):
    """A folder of Parquet files, one a day of pick times.

    A day's file is complete at every moment: a new version takes the place of the old one
    in one step. Picks wait in memory until there are `most_waiting` of them, `settle` is told
    to write or the sink is closed; a day's file is read whole when picks are added to it.

    Args:
        path: the folder; made if it does not exist.
        extend: add to the picks of a folder that has some; those that it holds, by public
            id, are not put into it again.
        anew: the days of a folder that has some go when `write` is called first.
        most_waiting: picks that are kept in memory.

    Raises:
        ConfigurationError: pyarrow is not installed.
        OutputError: the folder cannot be made, or has picks and is not to be extended.
    """

    def __init__(
        self,
        path: Path,
        *,
        extend: bool = False,
        anew: bool = False,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self.name = str(path.absolute())
        self.path = path
        self._arrow = arrow()
        self._most_waiting = most_waiting
        self._waiting: dict[str, list[Pick]] = {}
        self._n_waiting = 0
        self._closed = False
        try:
            path.mkdir(parents=True, exist_ok=True)
            days = _day_folders(path)
            for day in days:
                remove_leftovers(day, re.compile(re.escape(FILE_NAME)))
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be made ({error.strerror}); it is to be a folder of Parquet "
                "files, one a day"
            ) from error
        if days and not (extend or anew):
            raise OutputError(f"{path}: has picks already; remove it, or name another folder")
        self._old_days = days if anew else []

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks, in any order; where a later day begins, those before it are written.

        Raises:
            OutputError: the sink has been closed, or a file cannot be written.
        """
        if self._closed:
            raise OutputError(f"{self.path}: closed; nothing more can be written")
        self._clear()
        for pick in picks:
            day = format_time(pick.time_ns, "%Y-%m-%d")
            if self._waiting and day > max(self._waiting):
                self.settle(at_once=True)
            self._waiting.setdefault(day, []).append(pick)
            self._n_waiting += 1
        if self._n_waiting >= self._most_waiting:
            self.settle(at_once=True)

    def settle(self, *, at_once: bool = False) -> bool:
        """Write the files anew of the days that have new picks.

        Raises:
            OutputError: a file cannot be written; its picks still wait.
        """
        if at_once:
            for day in sorted(self._waiting):
                self._extend(day, self._waiting[day])
                self._n_waiting -= len(self._waiting.pop(day))
        return not self._waiting

    def close(self) -> None:
        """Write what waits; a second call does nothing.

        Raises:
            OutputError: a file cannot be written.
        """
        if not self._closed:
            self.settle(at_once=True)
            self._closed = True

    def _clear(self) -> None:
        days, self._old_days = self._old_days, []
        try:
            for day in days:
                (day / FILE_NAME).unlink(missing_ok=True)
                day.rmdir()
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be removed ({error.strerror})") from error

    def _extend(self, day: str, picks: Sequence[Pick]) -> None:
        path = self.path / f"day={day}" / FILE_NAME
        tables = [_table(self._arrow, picks)]
        if path.exists():
            tables.insert(0, self._old(path))
        table = _whole(self._arrow, _in_order(self._arrow.concat_tables(tables)))
        with AtomicFile(path, durable=True, parents=True) as output:
            self._arrow.parquet.write_table(
                table, output.file, compression="zstd", use_dictionary=_words(self._arrow, table)
            )

    def _old(self, path: Path) -> Any:
        """Read a file that is to be extended, its text not as dictionaries."""
        try:
            table = self._arrow.parquet.ParquetFile(path).read(use_threads=False)
            return table.cast(_plain_schema(self._arrow))
        except (self._arrow.ArrowException, OSError, ValueError, KeyError) as error:
            raise OutputError(f"{path}: no file of ours that can be extended ({error})") from error


def _day_folders(path: Path) -> list[Path]:
    found = path.iterdir()
    return sorted(day for day in found if _DAY_FOLDER.fullmatch(day.name) and day.is_dir())


def _type(pyarrow: Any, name: str, *, text: Any) -> Any:
    if name == "time":
        return pyarrow.timestamp("ns", tz="UTC")
    if name in _FLOATS:
        return pyarrow.float64()
    if name == "components":
        return pyarrow.int32()
    return pyarrow.string() if name in _PLAIN else text


def _plain_schema(pyarrow: Any) -> Any:
    return pyarrow.schema([(name, _type(pyarrow, name, text=pyarrow.string())) for name in NAMES])


def schema(models: Sequence[tuple[str, str]]) -> Any:
    """Return the schema of a file.

    Args:
        models: name and SHA-256 of the weights of each model that made picks of it.
    """
    pyarrow = arrow()
    words = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    fields = [
        pyarrow.field(
            name,
            _type(pyarrow, name, text=words),
            metadata={"unit": UNITS[name]} if name in UNITS else None,
        )
        for name in NAMES
    ]
    names, checksums = zip(*models, strict=True) if models else ((), ())
    metadata = {"model": ", ".join(names), "model_sha256": ", ".join(checksums)}
    return pyarrow.schema(fields, metadata=metadata)


def _table(pyarrow: Any, picks: Sequence[Pick]) -> Any:
    """Return picks as a table, every value exact and nan as it is."""
    values = {column.name: [_exact(column, pick) for pick in picks] for column in COLUMNS}
    return pyarrow.table(values, schema=_plain_schema(pyarrow))


def _exact(column: Any, pick: Pick) -> Any:
    return column.of(pick) if column.name == "time" else column.exact(column.of(pick))


def _in_order(table: Any) -> Any:
    """Sort picks as all tables have them; of those with one public id the first stays."""
    table = table.sort_by([(name, "ascending") for name in _ORDER])
    first: dict[str, int] = {}
    for number, public_id in enumerate(table["public_id"].to_pylist()):
        first.setdefault(public_id, number)
    return table if len(first) == len(table) else table.take(list(first.values()))


def _whole(pyarrow: Any, table: Any) -> Any:
    """Return a table as files have it, with the models that made its picks."""
    made = table.group_by(["model", "model_sha256"], use_threads=False).aggregate([]).to_pydict()
    wanted = schema(sorted(zip(made["model"], made["model_sha256"], strict=True)))
    columns = [
        table[field.name].combine_chunks().dictionary_encode().cast(field.type)
        if pyarrow.types.is_dictionary(field.type)
        else table[field.name].combine_chunks()
        for field in wanted
    ]
    return pyarrow.table(columns, schema=wanted)


def _words(pyarrow: Any, table: Any) -> list[str]:
    is_words = pyarrow.types.is_dictionary
    return [field.name for field in table.schema if is_words(field.type)]


class ParquetTables:
    """Reads Parquet, a file or a folder."""

    def read(self, path: Path, others: Others) -> Iterator[Pick]:
        """Read picks and labels; a folder called ``.parquet`` may be empty.

        Raises:
            ConfigurationError: pyarrow is not installed.
            InputError: no file of picks, or a row that is no pick.
            OSError: it cannot be read.
        """
        pyarrow = arrow()
        files = _files_in(path) if path.is_dir() else [path]
        if not files and path.suffix.lower() != SUFFIX:
            raise InputError(f"{path}: a folder without any file {SUFFIX}; {WANTED}")
        for file in files:
            yield from _picks_of_file(pyarrow, file, others)


def _files_in(folder: Path) -> list[Path]:
    """Find the files in a folder and those below it, in order; hidden ones are still written."""
    found = sorted(folder.rglob(f"*{SUFFIX}"))
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def _picks_of_file(pyarrow: Any, path: Path, others: Others) -> Iterator[Pick]:
    with path.open("rb") as handle, _told(pyarrow, path):
        file = pyarrow.parquet.ParquetFile(handle)
        columns = set(file.schema_arrow.names)
        if not {"network", "station"} <= columns or not {"time", "p_time", "s_time"} & columns:
            listed = ", ".join(sorted(columns)) or "none"
            raise InputError(f"{path}: columns found: {listed}; {WANTED}")
        number = 0
        for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, use_threads=False):
            yield from _picks_of_batch(pyarrow, path, batch, number, others)
            number += len(batch)


@contextmanager
def _told(pyarrow: Any, path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise InputError(f"{path}: no Parquet that can be read ({error}); {WANTED}") from error


def _picks_of_batch(
    pyarrow: Any, path: Path, batch: Any, number: int, others: Others
) -> Iterator[Pick]:
    """Read the picks of consecutive rows, the first of them `number` rows into its file."""
    exact: dict[str, list[int | None]] = {}
    values: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pyarrow.types.is_timestamp(column.type):
            exact[name] = _in_ns(pyarrow, column)
            values[name] = [None if t is None else format_time(t) for t in exact[name]]
        else:
            values[name] = column.to_pylist()
    rows = (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
    times = exact.get("time")
    if times is None:
        yield from picks_of_rows(path, enumerate(rows, number + 1), others)
        return
    for offset, row in enumerate(rows):
        time_ns = times[offset]
        for pick in picks_of_rows(path, [(number + offset + 1, row)], others):
            yield pick if time_ns is None else replace(pick, time_ns=time_ns)


def _in_ns(pyarrow: Any, column: Any) -> list[int | None]:
    in_ns = column.cast(pyarrow.timestamp("ns", tz=column.type.tz)).cast(pyarrow.int64())
    return [None if time is None else time_from_json(time) for time in in_ns.to_pylist()]


TABLES = ParquetTables()
