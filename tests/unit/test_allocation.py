"""Memory that is freed and taken again."""

import os
import platform
import subprocess
import sys

import pytest

COUNTING = """
import resource, sys
import numpy as np
from scperformer.allocation import keep_freed_memory
keep_freed_memory()
def work():
    for _ in range(50):
        np.ones(2_000_000, np.float32)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNTING],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return int(done.stdout)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the thresholds are the GNU C library's"
)
def test_freed_memory_is_kept_unless_the_user_says_otherwise():
    assert page_faults() < 500
    assert page_faults(MALLOC_MMAP_THRESHOLD_="131072") > 5000
