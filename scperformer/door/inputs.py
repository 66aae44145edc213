"""What a call is given: files and folders, or traces in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from scperformer.door.asked import Asked, as_keywords
from scperformer.door.session import Feedable, StreamLike, TraceLike, is_stream, is_trace
from scperformer.errors import InputError
from scperformer.waveforms.local import LocalInputs
from scperformer.waveforms.traces import index_traces

Name = str | os.PathLike[str]

Given = StreamLike | TraceLike | Iterable[TraceLike] | Name | Iterable[Name] | Iterator[Feedable]
"""What `Picker.classify` takes: traces in memory, names of files and folders, or an iterator
of what a session takes."""

_WANTED = (
    "an obspy Stream or Trace, the name of a file, a folder or an SDS root, a list of these, or "
    "an iterator of traces or records"
)


def is_iterator(given: Any) -> TypeGuard[Iterator[Feedable]]:
    """Whether waveforms come one after the other."""
    return isinstance(given, Iterator)


def open_inputs(given: Any, asked: Asked, *, beside: tuple[int, int] = (0, 0)) -> LocalInputs:
    """Find the sensors in traces or in files and folders.

    Args:
        given: the traces or names.
        asked: what is asked for.
        beside: nanoseconds before and behind that time which are read as well.

    Raises:
        InputError: there is nothing in them, or nothing that is asked for.
    """
    times = {
        "start_ns": None if asked.start_ns is None else asked.start_ns - beside[0],
        "end_ns": None if asked.end_ns is None else asked.end_ns + beside[1],
    }
    if isinstance(given, (str, os.PathLike)):
        given = [given]
    if is_trace(given):
        given = [given]
    elif is_stream(given):
        given = given.traces
    if not isinstance(given, (list, tuple)):
        raise InputError(f"got {type(given).__name__}; wanted {_WANTED}")
    if not given:
        raise InputError(f"got no traces at all; wanted {_WANTED}")
    if all(isinstance(one, (str, os.PathLike)) for one in given):
        paths = [Path(one) for one in given]
        found = LocalInputs.of(paths, **times, selection=asked.selection)
    elif all(is_stream(one) or is_trace(one) for one in given):
        traces = (trace for one in given for trace in (one.traces if is_stream(one) else [one]))
        found = LocalInputs(index_traces(traces, **times, selection=asked.selection))
    else:
        kinds = ", ".join(sorted({type(one).__name__ for one in given}))
        raise InputError(f"got a list of {kinds}; wanted {_WANTED}")
    if found.is_empty:
        reasons = [found.why_empty(start_ns=asked.start_ns, end_ns=asked.end_ns)]
        reasons += map(str, found.index.problems)
        raise InputError("; ".join(map(as_keywords, reasons)))
    return found
