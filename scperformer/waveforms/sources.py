"""Where the waveforms of a scan are: paths, SDS roots, FDSN servers, buckets of S3.

    PATH, sds:///PATH                   files, folders, an SDS root, a list file
    fdsnws://NAME                       an FDSN server by ObsPy's name: EARTHSCOPE, GEOFON, ...
    https://HOST, http://HOST:PORT      an FDSN server by its base address
    s3://NAME                           a public archive: scedc, ncedc, earthscope, geonet
    s3://BUCKET[/PREFIX]                its bucket, or another one with its layout

Options follow behind a question mark: ``parallel=N`` and ``timeout=SECONDS`` for FDSN servers,
``layout=NAME``, ``endpoint=URL``, ``region=NAME``, ``signed=yes`` and ``timeout=SECONDS`` for S3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from scperformer.errors import ConfigurationError
from scperformer.waveforms import fdsn, s3
from scperformer.waveforms.archive import ArchiveIndex, index_inputs
from scperformer.waveforms.epochs import Epochs, read_stations
from scperformer.waveforms.fdsn_client import MOST_PARALLEL, Server
from scperformer.waveforms.layouts import LAYOUTS, Layout
from scperformer.waveforms.patience import Patience
from scperformer.waveforms.pieces import Piece, cut_into_pieces
from scperformer.waveforms.problems import Report, log_problem
from scperformer.waveforms.s3_client import Bucket
from scperformer.waveforms.selection import EVERYTHING, Selection
from scperformer.waveforms.times import Times

WANTED = (
    "a path, sds:///PATH, fdsnws://NAME, the base address of an FDSN server, s3://NAME or "
    "s3://BUCKET/PREFIX?layout=NAME"
)
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Environment variables that name another server than Amazon's, the first one that is set."""

_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_SERVICE = re.compile(r"/fdsnws(/.*)?$|/+$")
_FDSN_OPTIONS = frozenset({"parallel", "timeout"})
_S3_OPTIONS = frozenset({"layout", "endpoint", "region", "signed", "timeout"})
_MOST_PARALLEL = 20
_LONGEST_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """Objects of a layout in a bucket.

    Attributes:
        bucket: the bucket.
        layout: how they are named.
        prefix: what all names begin with.
    """

    bucket: Bucket
    layout: Layout
    prefix: str


Place = Path | Server | BucketPlace
"""What a source names."""


def parse_source(text: str) -> Place:
    """Read what a source is; see this module's head.

    Raises:
        ConfigurationError: not of that form.
    """
    match = _SCHEME.fullmatch(text)
    if match is None:
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    if scheme in ("sds", "file"):
        if not rest.startswith("/"):
            _refuse(text, f"{scheme}:///PATH with an absolute path")
        return Path(unquote(rest))
    if scheme in ("fdsnws", "http", "https"):
        return _server(text, scheme, rest)
    if scheme == "s3":
        return _bucket(text)
    _refuse(text, WANTED)


def _refuse(text: str, wanted: str) -> NoReturn:
    raise ConfigurationError(f"--source: got {text!r}; wanted {wanted}")


def _options(text: str, query: str, known: frozenset[str]) -> Mapping[str, str]:
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    if strangers := sorted(set(pairs) - known):
        _refuse(text, f"none of {', '.join(strangers)}, but {', '.join(sorted(known))}")
    return pairs


def _patience(text: str, options: Mapping[str, str]) -> Patience:
    if "timeout" not in options:
        return Patience()
    try:
        silence_s = float(options["timeout"])
    except ValueError:
        silence_s = 0.0
    if not 0.0 < silence_s <= _LONGEST_TIMEOUT_S:
        _refuse(text, f"timeout=SECONDS up to {_LONGEST_TIMEOUT_S:.0f}")
    return Patience(silence_s=silence_s, answer_s=10.0 * silence_s)


def _server(text: str, scheme: str, rest: str) -> Server:
    where, _, query = rest.partition("?")
    options = _options(text, query, _FDSN_OPTIONS)
    parallel = options.get("parallel", str(MOST_PARALLEL))
    if not parallel.isdecimal() or not 1 <= int(parallel) <= _MOST_PARALLEL:
        _refuse(text, f"parallel=N, 1 to {_MOST_PARALLEL}")
    if scheme != "fdsnws":
        address = f"{scheme}://{_SERVICE.sub('', where)}"
    elif re.fullmatch(r"[A-Za-z0-9+]+", where):
        address = where.upper()
    else:
        _refuse(text, "a name such as fdsnws://EARTHSCOPE, or https:// before an address")
    return Server(address, _patience(text, options), int(parallel))


def _bucket(text: str) -> BucketPlace:
    parts = urlsplit(text)
    options = _options(text, parts.query, _S3_OPTIONS)
    by_bucket = {layout.bucket: layout for layout in LAYOUTS.values()}
    known = LAYOUTS.get(parts.netloc) or by_bucket.get(parts.netloc)
    layout = LAYOUTS.get(options["layout"]) if "layout" in options else known
    if not parts.netloc or layout is None:
        names = ", ".join(LAYOUTS)
        _refuse(text, f"s3://NAME or s3://BUCKET/PREFIX?layout=NAME; names are {names}")
    if options.get("signed", "no") not in ("yes", "no"):
        _refuse(text, "signed=yes or signed=no")
    endpoint = options.get("endpoint") or _endpoint()
    if endpoint and not re.match(r"https?://[^/]", endpoint):
        _refuse(text, f"an endpoint such as https://HOST, not {endpoint!r}")
    region = options.get("region", known.region if known else "")
    name = LAYOUTS[parts.netloc].bucket if parts.netloc in LAYOUTS else parts.netloc
    folder = unquote(parts.path).strip("/")
    prefix = f"{folder}/" if folder else (known.prefix if known else "")
    is_signed = options.get("signed") == "yes"
    bucket = Bucket(name, region, endpoint, is_signed, _patience(text, options))
    return BucketPlace(bucket, layout, prefix)


def _endpoint() -> str:
    return next((found for name in ENDPOINT_VARIABLES if (found := os.environ.get(name))), "")


def find_pieces(
    source: str,
    *,
    selection: Selection = EVERYTHING,
    start_ns: int | None = None,
    end_ns: int | None = None,
    stations: Sequence[Path] = (),
    report: Report = log_problem,
) -> Iterator[Piece]:
    """Yield the pieces of a source, by day and sensor, as they are found.

    Args:
        source: what the module's head tells.
        selection: what is asked for; of this, seismometers are taken.
        start_ns: first time of interest; None for all, which only paths can have.
        end_ns: end of the time of interest, not included; likewise.
        stations: StationXML files: channels are taken in their epochs only.
        report: hears what of a path cannot be used.

    Raises:
        ConfigurationError: the source is not of a known form, or needs what is not given.
        InputError: a server or a bucket does not tell what it has.
    """
    place = parse_source(source)
    epochs = read_stations(stations)
    if isinstance(place, Path):
        index = index_inputs([place], start_ns=start_ns, end_ns=end_ns, selection=selection)
        return _of_index(index, epochs, report)
    if start_ns is None or end_ns is None:
        raise ConfigurationError(f"--source: {source}: wanted --start and --end beside it")
    asked = Times(start_ns, end_ns)
    if isinstance(place, Server):
        return fdsn.find_pieces(place, selection=selection, asked=asked, epochs=epochs)
    return s3.find_pieces(
        place.bucket, place.layout, place.prefix, selection=selection, asked=asked, epochs=epochs
    )


def _of_index(index: ArchiveIndex, epochs: Epochs | None, report: Report) -> Iterator[Piece]:
    for problem in index.problems:
        report(problem)
    own = map(cut_into_pieces, index.groups)
    for piece in merge(*own, key=lambda piece: piece.order):
        if epochs is None or epochs.sensor_lives(piece.sensor_id, piece.start_ns, piece.end_ns):
            yield piece
