"""The results of an evaluation of picks, as Markdown and as a short table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scperformer.evaluation.pick_tables import COMPONENT_STRATA

Values = Mapping[str, Any]

PHASES = ("P", "S")
_NOTES = """\
- A pick and a label of the same phase match within {tolerance_s:g} s, one to one, the nearest \
pair first.
- A missing label is unknown, not absent. *Precision* and *F1* count picks where the phase is \
labelled: in records with a label of that phase, and in continuous data within {label_span_s:g} s \
of one. *Strict* counts every unmatched pick as false.
- *best* is the threshold with the largest F1 on these very records, which flatters; \
*recommended* is what the model's card says (a pick file: all its picks).
- Intervals hold 95 % of {draws} bootstrap draws of {groups} groups: a record, the records of one \
earthquake, or five minutes of continuous data of all stations.
- Residuals are pick minus label, in seconds."""


def markdown(report: Values) -> str:
    """Write the report of `cli.evaluate` on records; `report` is what report.json holds."""
    parts = [
        "# Evaluation of picks",
        _data_section(report),
        _NOTES.format(**report["settings"], groups=report["bootstrap_groups"]),
        picture(report, "precision_recall"),
        _score_section(report, "best", "At the best threshold"),
        _score_section(report, "recommended", "At the recommended thresholds"),
        _residual_section(report),
        _rate_section(report),
        _difference_section(report),
        _spread_section(report),
        _calibration_section(report),
        _support_section(report),
        _catalogue_section(report),
    ]
    return joined(*parts) + "\n"


def summary(report: Values) -> str:
    """Return the short table for the terminal."""
    header = ["picker", "components", "phase", "labels", "threshold"]
    header += ["precision", "recall", "F1", "median |res|", "F1 recommended"]
    rows = []
    for picker, stratum, phase, score in _component_scores(report):
        best, advised = score["best"], score["recommended"]
        if best is None:
            continue
        rows.append(
            [
                picker,
                stratum,
                phase,
                str(best["labels"]),
                number(best["threshold"], "g"),
                *(number(best[name]) for name in ("precision", "recall", "f1")),
                number(best["residuals"]["median_absolute_s"]),
                number(advised["f1"]),
            ]
        )
    return aligned(header, rows)


def joined(*parts: str) -> str:
    """Put paragraphs together; empty ones are left out."""
    return "\n\n".join(part for part in parts if part)


def picture(report: Values, name: str) -> str:
    """Return the Markdown of a picture beside the report, empty if none are drawn."""
    return f"![{name.replace('_', ' ')}]({name}.png)" if report["pictures"] else ""


def number(value: float | None, pattern: str = ".3f") -> str:
    """Write a number, or a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else format(value, pattern)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_text: int = 3) -> str:
    """Write a table in columns of equal width; the first few are text, flush left."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < n_text else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _component_scores(report: Values) -> Iterable[tuple[str, str, str, Values]]:
    for picker in report["pickers"]:
        for name in shown_strata(picker["scores"]):
            for phase in PHASES:
                yield picker["name"], name, phase, picker["scores"][name][phase]


def shown_strata(scores: Values) -> list[str]:
    """Return the numbers of components worth a line: those that divide the streams."""
    names = [name for name in COMPONENT_STRATA if name in scores]
    if "three" not in names or "fewer" not in names:
        return ["all"]
    both = "two" in names and "one" in names
    return names if both else [name for name in names if name not in ("two", "one")]


def _data_section(report: Values) -> str:
    rows = []
    for folder in report["data"]:
        counts = folder["components"]
        three = counts["3"]
        rows.append(
            [
                folder["folder"],
                folder["form"],
                str(folder["streams"]),
                str(three),
                str(folder["streams"] - three),
                number(folder["station_hours"], ".2f"),
                str(folder["labels"]["P"]),
                str(folder["labels"]["S"]),
            ]
        )
    header = ["data", "form", "streams", "three components", "fewer", "station-hours"]
    text = table([*header, "P labels", "S labels"], rows)
    lost = report["labels_outside"]
    notes = [f"{lost} labels lie in none of these waveforms."] if lost else []
    for picker in report["pickers"]:
        if picker["folders_without_picks"]:
            folders = ", ".join(picker["folders_without_picks"])
            notes.append(f"{picker['name']} has no pick at all in {folders}.")
    return "\n\n".join([text, *notes])


def _with_interval(point: Values, name: str) -> str:
    low, high = point["intervals_95"].get(name, (None, None))
    text = number(point[name])
    return text if low is None else f"{text} ({number(low)} to {number(high)})"


def _score_section(report: Values, kind: str, title: str) -> str:
    header = ["picker", "components", "phase", "threshold", "labels", "hits", "false", "unknown"]
    header += ["precision", "recall", "F1", "strict precision", "strict F1"]
    rows = []
    for picker, stratum, phase, score in _component_scores(report):
        point = score[kind]
        if point is None or (not point["labels"] and kind == "best"):
            continue
        rows.append(
            [
                picker,
                stratum,
                phase,
                number(point["threshold"], "g"),
                *(str(point[name]) for name in ("labels", "hits", "false", "unknown")),
                *(_with_interval(point, name) for name in ("precision", "recall", "f1")),
                number(point["precision_strict"]),
                number(point["f1_strict"]),
            ]
        )
    return f"## {title}\n\n{table(header, rows)}"


def _residual_section(report: Values) -> str:
    header = ["picker", "components", "phase", "matched", "mean", "median", "median absolute"]
    header += ["MAE", "RMSE", "within uncertainty", "within twice"]
    rows = []
    for picker, stratum, phase, score in _component_scores(report):
        if score["best"] is None:
            continue
        own = score["best"]["residuals"]
        names = ("mean_s", "median_s", "median_absolute_s", "mean_absolute_s")
        rows.append(
            [
                picker,
                stratum,
                phase,
                str(own["n"]),
                *(number(own[name]) for name in (*names, "root_mean_square_s")),
                number(own["within_uncertainty"], ".2f"),
                number(own["within_twice_uncertainty"], ".2f"),
            ]
        )
    head = "## Residuals at the best threshold"
    return joined(head, picture(report, "residuals"), table(header, rows))


def _rate_section(report: Values) -> str:
    header = ["picker", "phase", "false, best", "all unmatched, best"]
    header += ["false, recommended", "all unmatched, recommended"]
    rows = []
    for picker in report["pickers"]:
        for phase in PHASES:
            score = picker["scores"]["all"][phase]
            cells = [picker["name"], phase]
            for kind in ("best", "recommended"):
                point = score[kind] or {}
                cells += [
                    number(point.get("false_per_station_hour"), ".1f"),
                    number(point.get("unmatched_per_station_hour"), ".1f"),
                ]
            rows.append(cells)
    return f"## False picks per station-hour\n\n{table(header, rows)}"


def _difference_section(report: Values) -> str:
    header = ["pickers", "components", "phase", "at", "difference of F1", "95 %"]
    shown = shown_strata(report["pickers"][0]["scores"])
    rows = [
        [
            " minus ".join(item["pickers"]),
            item["stratum"],
            item["phase"],
            item["at"],
            number(item["f1"], "+.3f"),
            " to ".join(number(item["intervals_95"]["f1"][end], "+.3f") for end in ("low", "high")),
        ]
        for item in report["differences"]
        if item["stratum"] in shown
    ]
    if not rows:
        return ""
    return f"## Differences, on the same draws\n\n{table(header, rows)}"


def _spread_section(report: Values) -> str:
    folders = [folder["folder"] for folder in report["data"]]
    if len(folders) < 2:
        return ""
    rows = []
    for picker in report["pickers"]:
        for phase in PHASES:
            for kind in ("best", "recommended"):
                points = [picker["scores"][folder][phase][kind] for folder in folders]
                values = [
                    point["f1"] if point and folder not in picker["folders_without_picks"] else None
                    for folder, point in zip(folders, points, strict=True)
                ]
                known = [value for value in values if value is not None]
                spread = max(known) - min(known) if known else None
                label = "own best" if kind == "best" else kind
                cells = [picker["name"], phase, label, *map(number, values)]
                rows.append([*cells, number(min(known, default=None)), number(spread)])
    header = ["picker", "phase", "F1 at", *folders, "worst", "spread"]
    return f"## Spread between data sets\n\n{table(header, rows)}"


def _calibration_section(report: Values) -> str:
    header = ["picker", "phase", "calibration error", "delay median", "95 %", "largest"]
    header += ["up", "down", "undecidable", "no polarity"]
    header += ["polarity labelled", "decided", "right"]
    rows = []
    for picker in report["pickers"]:
        for phase in PHASES:
            score = picker["scores"]["all"][phase]
            point = score["recommended"]
            delay, polarity = point["decision_delay_s"], point["polarities"]
            motions = point["first_motions"]
            rows.append(
                [
                    picker["name"],
                    phase,
                    number(score["reliability"]["calibration_error"]),
                    *(number(delay[name], ".2f") for name in ("median", "p95", "largest")),
                    *(
                        str(polarity[name])
                        for name in ("positive", "negative", "undecidable", "none")
                    ),
                    *(str(motions[name]) for name in ("known", "decided", "right")),
                ]
            )
    head = "## Probability, delay, polarity (recommended thresholds)"
    return joined(head, picture(report, "reliability"), table(header, rows))


def _support_section(report: Values) -> str:
    rows = [
        [
            picker["name"],
            kind,
            str(own["judged"]),
            str(own["unsupported"]),
            number(own["station_hours"], ".2f"),
            number(own["unsupported_per_station_hour"], ".2f"),
        ]
        for picker in report["pickers"]
        for kind, own in picker["support"].items()
    ]
    if not rows:
        return ""
    header = ["picker", "thresholds", "picks", "unsupported", "station-hours", "per station-hour"]
    text = (
        "A pick is supported if another station within {within_km:g} km has a pick of any phase "
        "within the time that a wave of {speed_km_s:g} km/s needs between them, plus "
        "{slack_s:g} s."
    ).format(**report["settings"])
    return f"## Picks that no other station supports\n\n{text}\n\n{table(header, rows)}"


def _catalogue_section(report: Values) -> str:
    names = [picker["name"] for picker in report["pickers"]]
    counts: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(
        lambda: {name: [0, 0] for name in names}
    )
    for picker in report["pickers"]:
        for row in picker["catalogue"]:
            own = counts[row["event"], row["phase"]][picker["name"]]
            own[0] += row["residual_s"] is not None
            own[1] += 1
    if not counts:
        return ""
    rows = [
        [event, phase, *(f"{own[name][0]} of {own[name][1]}" for name in names)]
        for (event, phase), own in sorted(counts.items())
    ]
    head = "## Catalogue arrivals found (recommended thresholds)"
    return f"{head}\n\n{table(['event', 'phase', *names], rows)}"
