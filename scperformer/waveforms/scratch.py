"""What was fetched from far away, on the disk as long as it is read.

Files lie below the system's folder for temporary files (``TMPDIR`` names another), in a folder
of the process, with one for each piece. Day objects that several sensors or days need stay in a
cache of the process until newer ones need the room. What a process that was killed has left
there goes when the next one begins.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.util import Finalize
from pathlib import Path

from scperformer.errors import ConfigurationError, InputError
from scperformer.types import SeedId, SensorId
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.contents import ChannelFile, Span, look_into
from scperformer.waveforms.problems import InputProblem, Report

CACHE_VARIABLE = "SCPERFORMER_CACHE_MIB"
"""Environment variable: MiB that a process's cache of day objects may have."""

CACHE_MIB = 2048
EDGES_MIB = 256

_PREFIX = "scperformer-scratch-"
_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a new folder that is removed with what is in it.

    Raises:
        InputError: it cannot be made.
    """
    try:
        where = _process_folder()
        folder = tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(
            f"no scratch folder can be made ({error}); TMPDIR names a place"
        ) from error
    with folder as name:
        yield Path(name)


def _process_folder() -> Path:
    """Return this process's folder; a process that was forked has one of its own."""
    global _folder  # noqa: PLW0603 - one for the process, made where it is used first
    with _lock:
        if _folder is None or _folder[0] != os.getpid():
            _sweep()
            path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            # Held as long as the process lives; it has its name only when it is locked.
            handle = os.open(path / "new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            with suppress(OSError):  # a file system without locks is not swept either
                fcntl.flock(handle, fcntl.LOCK_SH)
            (path / "new").rename(path / _LOCK)
            _folder = os.getpid(), path
            Finalize(None, shutil.rmtree, args=(path, True), exitpriority=0)
        return _folder[1]


def _sweep() -> None:
    """Remove the folders of processes that are no more."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


_folder: tuple[int, Path] | None = None
_lock = threading.RLock()


def _renew_lock() -> None:
    """Another thread may have held the lock when this process was forked."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched.

    Attributes:
        path: where it lies.
        address: what it is called where it comes from.
        is_shared: it may hold other sensors, and nothing of the one that is looked for.
    """

    path: Path
    address: str
    is_shared: bool = False


def group_of(
    fetched: Sequence[Fetched],
    sensor_id: SensorId,
    *,
    span: Span,
    report: Report,
    channels: Collection[SeedId] = (),
) -> ArchiveGroup:
    """Look into files that were fetched; take one sensor's channels, which may be none.

    Args:
        fetched: the files.
        sensor_id: the sensor.
        span: what is asked for.
        report: hears what is wrong with the files.
        channels: take only these; all if empty.
    """
    taken: list[ChannelFile] = []
    for file in fetched:
        contents = look_into(file.path, named=False)
        for problem in contents.problems:
            report(replace(problem, path=Path(file.address)))
        own = [one for one in contents.channels if one.seed_id.sensor_id == sensor_id]
        if channels:
            own = [one for one in own if one.seed_id in channels]
        if contents.channels and not own and not file.is_shared:
            others = ", ".join(str(one.seed_id) for one in contents.channels[:3])
            what = f"holds {others} and nothing of {sensor_id}: not used"
            report(InputProblem(Path(file.address), what, f"waveforms of {sensor_id}"))
        taken += [one for one in own if span.touches(one.start_ns, one.end_ns)]
    taken.sort(key=lambda one: (one.seed_id, one.start_ns, one.path))
    return ArchiveGroup(sensor_id, tuple(taken), span)


class Cache:
    """Files of this process that are fetched once and removed when room is needed.

    A file is lent as a link, which stays where it is when the cache has given it up.

    Args:
        most_bytes: size of all files together; the one that was lent last is kept anyway.

    Attributes:
        folder: where they are.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.folder = Path(tempfile.mkdtemp(dir=_process_folder()))
        self._files: OrderedDict[str, tuple[Path, int]] = OrderedDict()
        self._n_made = 0
        self._lock = threading.Lock()

    def lend(self, key: str, place: Path, fetch: Callable[[Path], None]) -> None:
        """Bring a file to a place that is not taken.

        Args:
            key: what tells the file from others.
            place: where it is wanted.
            fetch: writes it to a path, if it is not there.

        Raises:
            InputError: what `fetch` raises, or it cannot be linked there.
        """
        with self._lock:
            if key not in self._files:
                self._n_made += 1
                path = self.folder / str(self._n_made)
                try:
                    fetch(path)
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
                self._files[key] = path, path.stat().st_size
            self._files.move_to_end(key)
            try:
                os.link(self._files[key][0], place)
            except OSError as error:
                raise InputError(f"{place}: cannot be written ({error.strerror})") from error
            while len(self._files) > 1 and self._n_bytes() > self._most_bytes:
                _, (oldest, _) = self._files.popitem(last=False)
                oldest.unlink(missing_ok=True)

    def _n_bytes(self) -> int:
        return sum(size for _, size in self._files.values())


def whole_cache() -> Cache:
    """Return this process's cache of whole objects.

    Raises:
        ConfigurationError: the environment names no size.
    """
    text = os.environ.get(CACHE_VARIABLE, str(CACHE_MIB))
    if not text.isdecimal():
        raise ConfigurationError(f"{CACHE_VARIABLE}: got {text!r}; wanted a number of MiB")
    return _cache("whole", int(text), os.getpid())


def edge_cache() -> Cache:
    """Return this process's cache of what of objects the days beside them need."""
    return _cache("edges", EDGES_MIB, os.getpid())


def _cache(name: str, most_mib: int, pid: int) -> Cache:
    """Return a cache; a process that was forked has one of its own."""
    with _lock:
        known = _caches.get(name)
        if known is None or known[0] != (most_mib, pid):
            _caches[name] = known = (most_mib, pid), Cache(most_mib << 20)
        return known[1]


_caches: dict[str, tuple[tuple[int, int], Cache]] = {}
