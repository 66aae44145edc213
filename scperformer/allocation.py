"""What the C library does with memory that is free again."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _LARGEST_BYTES = 128 << 20, 64 << 20
_OF_THE_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> None:
    """Let the process keep up to 128 MiB that it has freed instead of giving them back.

    Arrays of a megabyte come and go with every batch; the system clears their pages each
    time, which takes up to half of the picker's processor time. Nothing happens where the C
    library is not the GNU one, or where the environment sets its thresholds (see mallopt(3)).
    """
    if any(name in os.environ for name in _OF_THE_USER):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
