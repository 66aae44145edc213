"""The workers of a Dask cluster."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from scperformer.errors import ConfigurationError
from scperformer.scanning.crew import MOST_TRIES, Task, failed
from scperformer.scanning.work import PieceResult, Work, Worker
from scperformer.waveforms.pieces import Piece

LOCAL = "local"
_CONNECT_S = 30
_AHEAD = 2


class Cluster:
    """The workers of a scheduler of `dask.distributed`.

    Workers that are lost are no failure of the pieces that they had in hand, which go to
    others; a piece with which `MOST_TRIES` workers were lost, or that failed so often, is named.

    Args:
        work: what is to be done; it goes with every piece, so that no worker can lack it.
        address: of the scheduler, or "local" for one of our own with a process for each core.

    Raises:
        ConfigurationError: dask.distributed is not installed, or there is no such scheduler.
    """

    def __init__(self, work: Work, address: str) -> None:
        try:
            dask: Any = importlib.import_module("dask")
            dask.config.set({"logging.distributed": "warning"})  # read when it is imported
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise ConfigurationError(
                "--dask: dask.distributed is not installed; wanted pip install 'scperformer[dask]'"
            ) from error
        dask.config.set({"distributed.scheduler.allowed-failures": MOST_TRIES - 1})
        self._cluster = None
        if address == LOCAL:
            self._cluster = distributed.LocalCluster(threads_per_worker=1, dashboard_address=None)
        try:
            self._client = distributed.Client(self._cluster or address, timeout=_CONNECT_S)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"--dask: got {address!r}: no scheduler answers there ({error}); wanted an "
                f"address such as tcp://host:8786, or {LOCAL}"
            ) from error
        self._work = work

    @property
    def most(self) -> int:
        """Pieces that may be under way."""
        n_workers: int = sum(self._client.nthreads().values())
        return max(n_workers, 1) * (1 + _AHEAD)

    def begin(self, piece: Piece) -> Task:
        """Take a piece over."""
        future = self._client.submit(
            _scan_there, self._work, piece, retries=MOST_TRIES - 1, pure=False
        )
        return _Future(piece, future)

    def close(self) -> None:
        """Leave the cluster; end one of our own."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


class _Future:
    def __init__(self, piece: Piece, future: Any) -> None:
        self._piece = piece
        self._future = future

    def result(self) -> PieceResult | None:
        if self._future.cancelled():
            return None
        try:
            result: PieceResult = self._future.result()
        except Exception as error:  # whatever it was, it is named
            return failed(self._piece, f"{MOST_TRIES} tries failed: {error!r}")
        finally:
            self._future.release()
        return result

    def cancel(self) -> None:
        if self._future.status == "pending":
            self._future.cancel()


_own = threading.local()


def _scan_there(work: Work, piece: Piece) -> PieceResult:
    """Scan a piece on a worker; each of its threads has a model of its own."""
    if getattr(_own, "token", None) != work.token:
        from scperformer.allocation import keep_freed_memory  # noqa: PLC0415

        keep_freed_memory()
        _own.worker, _own.token = Worker(work), work.token
    result: PieceResult = _own.worker.scan(piece)
    return result
