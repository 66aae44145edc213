"""Scans in this process, by the command's own code, with a model that is ready."""

from __future__ import annotations

import functools
import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from benchmarks.timing import elapsed_s
from scperformer.cli.main import build_parser
from scperformer.cli.scan import read_request
from scperformer.cli.scan_session import Scan
from scperformer.networks.loading import LoadedModel, load_folder


class ScanError(RuntimeError):
    """A scan did not end well."""


@functools.cache
def ready_model(name: str = "performer") -> LoadedModel:
    """Load a model and compile it, so that no scan waits for that."""
    return load_folder(name, warm_up=True)


def scan_s(archive: Path, out: Path, model: LoadedModel) -> float:
    """Scan an archive into a file of picks; return the seconds that it took.

    Raises:
        ScanError: the exit status is not 0.
    """
    options = build_parser("scan").parse_args(["scan", str(archive), "-o", str(out)])
    request = read_request(options)
    told = io.StringIO()
    status: list[int] = []
    with redirect_stdout(told), redirect_stderr(told):
        seconds = elapsed_s(lambda: status.append(Scan(request, load=lambda: model).run()))
    if status != [0]:
        raise ScanError(f"scan of {archive}: exit status {status[0]}: {told.getvalue().strip()}")
    return seconds
