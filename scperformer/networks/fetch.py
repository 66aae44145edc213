"""Bringing the original authors' weights here: from their address, a mirror or a folder.

Nothing is trusted: what came is compared with the known digest and read as weights of
its network before it gets its name. A model folder appears complete or not at all.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from scperformer import __version__
from scperformer.atomic import whole_folder, write_bytes
from scperformer.errors import ConfigurationError, ModelError, WeightsError
from scperformer.networks.manifest import (
    LEGACY_THRESHOLDS,
    LEGACY_VERSION,
    MANIFEST_FILE,
    Manifest,
    read_manifest,
    write_manifest,
)
from scperformer.networks.registry import ADDRESS, CITATION, COPYRIGHT, LICENCE, Original
from scperformer.networks.weights import read_weights
from scperformer.web import plain_opener

SILENCE_S = 30.0
DEADLINE_S = 900.0
_PIECE_BYTES = 64 * 1024

Progress = Callable[[int, int], None]
"""Hears how many bytes have come, and how many there will be (0 if unknown)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model folder that is there now.

    Attributes:
        folder: where it lies.
        sha256: of its weights file.
        was_there: it was there before, complete, and nothing was fetched.
    """

    folder: Path
    sha256: str
    was_there: bool


def fetch_original(
    original: Original,
    root: Path,
    *,
    mirror: str = ADDRESS,
    local: Path | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Make a model folder of one of the authors' weights files.

    Args:
        original: which one.
        root: the folder of model folders to put it into; made if it is not there.
        mirror: address of the folder that holds the file, http or https.
        local: a folder on this machine to copy it from instead.
        progress: hears how far it is.

    Raises:
        ConfigurationError: `mirror` is no address.
        ModelError: nothing can be got from there, or another model has that name.
        WeightsError: what came is not the authors' file.
        OutputError: it cannot be written.
    """
    folder = root / original.name
    known = _present(original, folder)
    if known:
        return Fetched(folder, known, was_there=True)
    url = address(mirror, original.file)
    source = str(local / original.file) if local is not None else url
    new = whole_folder(folder, what="model folder", remedy="name another with --into")
    with new as hidden:
        target = hidden / original.file
        if local is None:
            content = _download(url, original, progress)
        else:
            content = _copy(local / original.file, original)
        write_bytes(target, content, durable=True)
        sha256 = original.check(target)
        read_weights(target, original.network)
        write_manifest(_card(original, sha256, source), hidden)
    return Fetched(folder, sha256, was_there=False)


def address(mirror: str, file: str) -> str:
    """Return the address of a file in a mirror's folder.

    Raises:
        ConfigurationError: not an http or https address.
    """
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigurationError(
            f"--mirror: got {mirror!r}; wanted the http or https address of a folder "
            "(a folder on this machine is given by --from)"
        )
    return f"{mirror.rstrip('/')}/{quote(file)}"


def _present(original: Original, folder: Path) -> str:
    """Return the SHA-256 of weights that are there and good, empty where something is to do.

    A folder that holds the same model with altered weights is to be replaced.
    """
    if not folder.exists() and not folder.is_symlink():
        return ""
    stranger = ModelError(
        f"{folder}: there is something else of that name, left alone; move it away, "
        "or name another folder with --into"
    )
    if not (folder / MANIFEST_FILE).is_file():
        raise stranger
    if read_manifest(folder).weights_file != original.file:
        raise stranger
    try:
        return original.check(folder / original.file)
    except WeightsError:
        return ""


def _copy(path: Path, original: Original) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(original.most_bytes + 1)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); wanted the authors' file "
            f"{original.file} in the folder given by --from"
        ) from error
    if len(content) > original.most_bytes:
        raise WeightsError(
            f"{path}: larger than {original.most_bytes} bytes, which the authors' file is not: "
            "not used"
        )
    return content


def _download(url: str, original: Original, progress: Progress | None) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": f"scperformer/{__version__}"})
    try:
        with plain_opener().open(request, timeout=SILENCE_S) as answer:
            announced = int(answer.headers.get("Content-Length") or 0)
            total = original.size_bytes or announced
            if total and announced not in (0, total):
                raise WeightsError(
                    f"{url}: is {announced} bytes long; the authors' {original.file} has "
                    f"{total}: not fetched"
                )
            content = bytearray()
            for piece in _pieces(answer, url, original.most_bytes):
                content += piece
                if progress is not None:
                    progress(len(content), total)
    except urllib.error.HTTPError as error:
        raise _unreachable(url, original, f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _unreachable(url, original, str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, original, str(error) or type(error).__name__) from error
    if len(content) < total:
        raise _unreachable(url, original, f"cut short, {len(content)} of {total} bytes")
    return bytes(content)


def _pieces(answer: http.client.HTTPResponse, url: str, most_bytes: int) -> Iterator[bytes]:
    """Yield what comes, as long as it is not too much and not too slow."""
    begun_s = time.monotonic()
    count = 0
    while piece := answer.read(_PIECE_BYTES):
        count += len(piece)
        if count > most_bytes:
            raise WeightsError(f"{url}: sends more than {most_bytes} bytes: not the authors' file")
        if time.monotonic() - begun_s > DEADLINE_S:
            raise TimeoutError(f"{count} bytes in {DEADLINE_S:g} s, given up")
        yield piece


def _unreachable(url: str, original: Original, reason: str) -> ModelError:
    return ModelError(
        f"{url}: cannot be fetched: {reason}; nothing was written. Try again, name a mirror "
        f"with --mirror, or bring {original.file} to this machine by other means and give "
        "its folder with --from"
    )


def _card(original: Original, sha256: str, source: str) -> Manifest:
    return Manifest(
        name=original.name,
        version=LEGACY_VERSION,
        network=original.network,
        thresholds=LEGACY_THRESHOLDS,
        weights_file=original.file,
        weights_sha256=sha256,
        licence=LICENCE,
        training={
            "title": f"{original.network}, the original authors' weights",
            "data": original.trained_on,
            "source": source,
            "copyright": COPYRIGHT,
            "citation": CITATION,
        },
    )
