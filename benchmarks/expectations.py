"""What a model's picks are like where it was looked at during development, for its card.

    python -m benchmarks.expectations [--model-name NAME] [--write] [--json FILE]

`scperformer drift` holds a week's picks against these figures: the share of P that an S follows
and the quartiles of the probabilities on 77 records of Northern California, none of which was
trained on, and the picks a station-day where neither PhaseNet nor EQCCT sees anything
(`benchmarks.quiet`). ``--write`` puts them into the card, under ``scores.expectations``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import quiet
from benchmarks.harness import model_parser, write_json
from benchmarks.regions import SHARED
from scperformer.cli.drift_session import EXPECTATIONS
from scperformer.cli.loading import load_model
from scperformer.evaluation.drift import pairs, picks_by_station
from scperformer.networks.loading import LoadedModel
from scperformer.networks.manifest import read_manifest, write_manifest
from scperformer.networks.registry import DEFAULT_MODEL, find_model
from scperformer.types import Phase

RECORDS = "labelled/ncedc"
TOLD = "77 records of Northern California"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to."""
    assert __doc__ is not None
    parser = model_parser(__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put them into the model's card")
    options = parser.parse_args(arguments)
    figures = measure(load_model(options))
    print(figures)
    write_json(figures, options.json)
    if options.write:
        folder = find_model(options.model_name or DEFAULT_MODEL)
        card = read_manifest(folder)
        write_manifest(replace(card, scores={**card.scores, EXPECTATIONS: figures}), folder)
    return 0


def measure(model: LoadedModel) -> dict[str, Any]:
    """Return what the card is to say."""
    picks = list(quiet.model_picks(model, SHARED / "data" / RECORDS))
    stations = picks_by_station(picks).values()
    n_p = sum(len(one.p) for one in stations)
    n_with_s = sum(len(pairs(one)[0]) for one in stations)
    quartiles = {
        str(phase): [
            round(float(value), 2)
            for value in np.percentile(
                [pick.probability for pick in picks if pick.phase is phase], (25, 50, 75)
            )
        ]
        for phase in (Phase.P, Phase.S)
    }
    return {
        "records": TOLD,
        "share_of_p_with_s": round(n_with_s / n_p, 2),
        "probability": quartiles,
        "quiet_picks_a_station_day": {
            Path(folder).name: row["ours"] for folder, row in quiet.measure(model).items()
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
