"""How good is the streaming network where it has learned nothing?

Trains by ``models/streaming/train.toml`` once for each region, without any record of it, and
scores that region's labelled records beside PhaseNet and EQCCT, as `benchmarks.regions` does.

    python -m benchmarks.left_out [--regions california,bolivia] [--steps 8000] --out FOLDER

Each training is shorter than the shipped one, so that the table says less than that model can.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.harness import ROOT, write_json
from benchmarks.regions import LABELLED, score
from scperformer.cli import main as scperformer

CONFIG = ROOT / "models" / "streaming" / "train.toml"
REGIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "california": ("socal", "ridgecrest", "ridgecrest-july7"),
        "bolivia": ("uturuncu",),
        "iceland": ("iceland", "iceland-hengill"),
        "ocean": ("ocean-bottom", "mayotte-obs", "obs-noise-and-taiwan"),
        "korea": ("korea", "korea-buan"),
    }
)
"""Folders of records that a region is left out with; those with labels score it."""

_STEPS = 8000


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--regions", default=",".join(REGIONS), metavar="REGION,...")
    parser.add_argument("--steps", type=int, default=_STEPS)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    figures: dict[str, Any] = {}
    for region in options.regions.split(","):
        folder = options.out / region
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "train.toml"
        config.write_text(without(options.config, REGIONS[region], options.steps))
        if scperformer.main(["train", "--config", str(config), "--out", str(folder)]):
            raise RuntimeError(f"{config}: could not be trained")
        with tempfile.TemporaryDirectory(prefix="scperformer-left-out-") as scratch:
            for name in REGIONS[region]:
                if (LABELLED / name).is_dir():
                    figures[name] = score(LABELLED / name, [f"left out={folder}"], Path(scratch))
                    print(name, figures[name], flush=True)
    write_json(figures, options.json)
    return 0


def without(config: Path, folders: Sequence[str], steps: int) -> str:
    """Return a configuration's text without some folders, with absolute paths and other steps."""
    head, *sections = re.split(r"^(?=\[)", config.read_text(), flags=re.MULTILINE)
    kept = [s for s in sections if not any(re.search(rf'/{name}"', s) for name in folders)]
    text = head + "".join(kept)
    text = re.sub(r"^steps = .*$", f"steps = {steps}", text, flags=re.MULTILINE)
    return text.replace('"../', f'"{config.resolve().parent}/../')


if __name__ == "__main__":
    raise SystemExit(main())
