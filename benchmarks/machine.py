"""What the figures were taken on, and how busy it was."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED_VARIABLE = "SCPERFORMER_SHARED"
_PACKAGES = ("numpy", "scipy", "tensorflow", "keras", "obspy")
_WIDE_INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


def describe() -> dict[str, object]:
    """Return processor, memory, system, versions and the revision of the tree."""
    fields = _processor()
    flags = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name", platform.processor() or "unknown"),
        "instructions": [flag for flag in _WIDE_INSTRUCTIONS if flag in flags],
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "revision": _revision(),
    }


def load_average() -> float:
    """Return how many processes wanted a processor in the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def shared_folder() -> Path | None:
    """Return the folder of real records and weights beside the tree, None if it is absent."""
    folder = Path(os.environ.get(SHARED_VARIABLE, ROOT.parent / "shared"))
    return folder if folder.is_dir() else None


def _processor() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
