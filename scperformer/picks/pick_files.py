"""Picks and labels of any origin: CSV, JSON lines, QuakeML and SCML.

CSV in three layouts, told by the columns: this program's own, one row a pick
(``network, station, phase, time``) and one row a record (``p_time, s_time``). ``file``
names the record of a pick, ``event`` or ``event_time`` its earthquake. Times are UTC.

Crustal phases count by their first letter: P, Pg, Pn, Pb, P*, P1 and PmP as P, the same
of S, also in lower case or behind the i, e or q of an onset. All others (PKP, pP, ScS, Lg)
are left out and counted in the log.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scperformer.atomic import write_bytes
from scperformer.errors import InputError
from scperformer.naming import split
from scperformer.picks.columns import NAMES, read_number
from scperformer.picks.columns import row as row_of
from scperformer.types import Phase, Pick, Polarity, SensorId, parse_time

SUFFIXES = (".csv", ".jsonl", ".scml", ".xml", ".qml", ".quakeml")
_log = logging.getLogger(__name__)

_WANTED = (
    "wanted CSV or JSON lines with network, station and either phase, time or p_time, s_time; "
    "QuakeML; or SCML"
)
_PHASE_HINT = re.compile(r"[iIeEqQ]?([PpSs])(?:[gnb*1]|mP|mS)?")
_ANALYSTS_POLARITIES = {
    **dict.fromkeys(("up", "u", "c", "+", "compression"), Polarity.POSITIVE),
    **dict.fromkeys(("down", "d", "-", "dilatation"), Polarity.NEGATIVE),
}
_MOST_NAMED = 8
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class StatedPick:
    """A pick that stands in a file.

    Attributes:
        network, station: where.
        phase: P or S.
        time_ns: arrival time.
        probability: 1 where none is given.
        band_instrument: location and first two letters of the channel, ``LOC.HH``; empty
            if the file does not say.
        file: name of the record file that it was made on, empty if not given.
        event: the earthquake, empty if not given.
        uncertainty_s, decision_delay_s: nan if not given.
        polarity: None if not given.
    """

    network: str
    station: str
    phase: Phase
    time_ns: int
    probability: float = 1.0
    band_instrument: str = ""
    file: str = ""
    event: str = ""
    uncertainty_s: float = math.nan
    decision_delay_s: float = math.nan
    polarity: Polarity | None = None

    def belongs_to(self, sensor_id: SensorId) -> bool:
        """Tell whether it may have been made on that sensor."""
        if (self.network, self.station) != (sensor_id.network, sensor_id.station):
            return False
        own = f"{sensor_id.location}.{sensor_id.band_instrument}"
        return not self.band_instrument or self.band_instrument == own


_Others = Counter[str]
_Reader = Callable[[Path, _Others], Iterator[StatedPick]]


def read_pick_file(path: Path) -> list[StatedPick]:
    """Read picks or labels; other phases than P and S are left out and counted in the log.

    Of QuakeML and SCML, rejected picks are left out; a pick's event is known where an
    origin names it.

    Raises:
        InputError: no such file, no known layout, or a row that cannot be read.
    """
    readers: dict[str, _Reader] = {".csv": _read_csv, ".jsonl": _read_jsonl}
    others: _Others = Counter()
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = " ".join(SUFFIXES)
        raise InputError(f"{path}: unknown suffix {path.suffix!r}; wanted one of {known}")
    try:
        picks = list(readers.get(suffix, _read_xml)(path, others))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {_WANTED}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if others:
        named = ", ".join(f"{name or 'unnamed'} {n}" for name, n in others.most_common(_MOST_NAMED))
        _log.warning(
            "%s: %d picks of other phases than P and S left out: %s%s",
            path,
            others.total(),
            named,
            ", ..." if len(others) > _MOST_NAMED else "",
        )
    return picks


def record_files(path: Path) -> list[str]:
    """Return the record files that a label file lists, also those without any label.

    Empty if the file has no column ``file``.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() != ".csv":
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [(row.get("file") or "").strip() for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return list(dict.fromkeys(name for name in names if name))


def write_picks(path: Path, files: Sequence[str], picks: Sequence[Pick]) -> None:
    """Write picks as this program's CSV with the record file of each in front.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ("file", *NAMES), lineterminator="\n")
    writer.writeheader()
    for file, pick in zip(files, picks, strict=True):
        writer.writerow({"file": file, **row_of(pick)})
    write_bytes(path, text.getvalue().encode())


def _read_csv(path: Path, others: _Others) -> Iterator[StatedPick]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        times = {"p_time", "s_time"} & columns or {"phase", "time"} <= columns
        if not {"network", "station"} <= columns or not times:
            listed = ", ".join(sorted(columns)) or "none"
            raise InputError(f"{path}: columns found: {listed}; {_WANTED}")
        yield from _rows(path, ((reader.line_num, row) for row in reader), others)


def _read_jsonl(path: Path, others: _Others) -> Iterator[StatedPick]:
    def rows() -> Iterator[tuple[int, Mapping[str, Any]]]:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise InputError(f"{path}, line {number}: {error}; {_WANTED}") from error

    yield from _rows(path, rows(), others)


def _rows(
    path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], others: _Others
) -> Iterator[StatedPick]:
    for number, row in rows:
        try:
            yield from _picks_of_row(row, others)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"{path}, line {number}: {error!r}; {_WANTED}") from error


def _picks_of_row(row: Mapping[str, Any], others: _Others) -> Iterator[StatedPick]:
    shared: dict[str, Any] = {
        "network": row["network"],
        "station": row["station"],
        "file": _text(row.get("file")),
        "event": _text(row.get("event") or row.get("event_id") or row.get("event_time")),
    }
    if "time" not in row:
        for phase in Phase:
            time = _text(row.get(f"{phase.lower()}_time"))
            if time:
                polarity = _polarity(row.get(f"{phase.lower()}_polarity"))
                at_ns = parse_time(time)
                yield StatedPick(phase=phase, time_ns=at_ns, polarity=polarity, **shared)
        return
    named = _phase(row["phase"], others)
    if named is None:
        return
    channel = _text(row.get("channel"))
    probability = read_number(row.get("probability"))
    yield StatedPick(
        phase=named,
        time_ns=parse_time(row["time"]),
        probability=1.0 if math.isnan(probability) else probability,
        band_instrument=_band(_text(row.get("location")), channel),
        uncertainty_s=read_number(row.get("uncertainty_s")),
        decision_delay_s=read_number(row.get("decision_delay_s")),
        polarity=_polarity(row.get("polarity")),
        **shared,
    )


def _read_xml(path: Path, others: _Others) -> Iterator[StatedPick]:
    from scperformer.picks.xml import read_xml  # noqa: PLC0415 - CSV needs no lxml

    try:
        root = read_xml(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: no XML that can be read ({error}); {_WANTED}") from error
    for element in root.iter("{*}*"):
        element.tag = element.tag.rpartition("}")[2]
    if root.tag not in ("quakeml", "seiscomp"):
        raise InputError(f"{path}: root element {root.tag!r}; {_WANTED}")
    arrivals = _arrivals(root)
    for number, pick in enumerate(root.iter("pick"), 1):
        try:
            stated = _pick_of_element(pick, arrivals, others)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{path}, pick {number}: {error!r}; {_WANTED}") from error
        if stated is not None:
            yield stated


def _arrivals(root: Any) -> dict[str, tuple[str, str]]:
    """Return (phase, event) by pick id, as origins name them."""
    events = {
        reference.text: event.get("publicID", "")
        for event in root.iter("event")
        for reference in event.iter("originReference", "preferredOriginID")
    }
    found: dict[str, tuple[str, str]] = {}
    for origin in root.iter("origin"):
        origin_id = origin.get("publicID", "")
        parent = origin.getparent()
        inside = parent.get("publicID", "") if parent.tag == "event" else ""
        event = inside or events.get(origin_id) or origin_id
        for arrival in origin.iter("arrival"):
            pick_id = arrival.findtext("pickID")
            if pick_id:
                found.setdefault(pick_id, (arrival.findtext("phase") or "", event))
    return found


def _pick_of_element(
    pick: Any, arrivals: Mapping[str, tuple[str, str]], others: _Others
) -> StatedPick | None:
    if pick.findtext("evaluationStatus") == "rejected":
        return None
    named, event = arrivals.get(pick.get("publicID", ""), ("", ""))
    phase = _phase(pick.findtext("phaseHint") or named, others)
    if phase is None:
        return None
    stream = pick.find("waveformID")
    if stream is None:
        raise ValueError("a pick without waveformID")
    said = {
        (comment.findtext("id") or comment.get("id") or ""): comment.findtext("text") or ""
        for comment in pick.iter("comment")
    }
    probability = _commented(said, "probability")
    return StatedPick(
        network=stream.get("networkCode", ""),
        station=stream.get("stationCode", ""),
        phase=phase,
        time_ns=parse_time(pick.findtext("time/value") or ""),
        probability=1.0 if math.isnan(probability) else probability,
        band_instrument=_band(stream.get("locationCode", ""), stream.get("channelCode", "")),
        event=event,
        uncertainty_s=read_number(pick.findtext("time/uncertainty")),
        decision_delay_s=_commented(said, "decision_delay"),
        polarity=_polarity(pick.findtext("polarity")),
    )


def _commented(said: Mapping[str, str], name: str) -> float:
    """Find a number in the comment of that id, or in a text ``name: number``."""
    for key, text in said.items():
        if key == name or key.endswith(f"/{name}") or text.startswith(f"{name}:"):
            found = _NUMBER.search(text)
            if found:
                return float(found.group())
    return math.nan


def _phase(hint: object, others: _Others) -> Phase | None:
    found = _PHASE_HINT.fullmatch(_text(hint))
    if found is None:
        others[_text(hint)] += 1
        return None
    return Phase(found.group(1).upper())


def _polarity(value: object) -> Polarity | None:
    text = _text(value).lower()
    return Polarity(text) if text in list(Polarity) else _ANALYSTS_POLARITIES.get(text)


def _band(location: str, channel: str) -> str:
    return f"{location}.{split(channel)[0]}" if len(channel) >= 3 else ""


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
