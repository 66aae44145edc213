"""Tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scperformer.reporting.labelling import LabelMatching
from scperformer.reporting.markup import Element, tag
from scperformer.reporting.ranking import MOST_SHOWN, Judged
from scperformer.reporting.words import decimals, percent, rate
from scperformer.types import Phase, SensorId

_SENSOR_HEADS = (
    *("what is the matter", "P", "S", "picks per hour", "mean probability", "P with an S"),
    *("suspect picks", "availability", "components", "gaps", "samples left out"),
)
_LABEL_HEADS = (
    "P labels",
    "P found",
    "P recall",
    "S labels",
    "S found",
    "S recall",
    "without data",
)


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Element:
    """Make a table whose rows begin with a name; it scrolls inside its own box."""
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    body = tag("tbody")
    for name, *cells in rows:
        body.append(tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells)))
    inner = tag("table", tag("thead", head), body, aria_label=caption)
    scroll = tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
    return tag("div", tag("p", caption), scroll, class_="box")


def sensor_table(judged: Sequence[Judged]) -> Element:
    """Make the table of sensors, the worst first."""
    shown = judged[:MOST_SHOWN]
    caption = "Sensors, the worst first"
    if len(judged) > len(shown):
        caption += f": {len(shown)} of {len(judged):,}"
    made = table(caption, ("sensor", *_SENSOR_HEADS), (_sensor_row(one) for one in shown))
    made.set("class", "box wide worded")
    return made


def label_table(labels: LabelMatching) -> Element:
    """Make the table of recall by sensor, those that missed the most first."""
    ordered = sorted(
        labels.by_sensor.items(),
        key=lambda item: (item[1].found.total() - item[1].labels.total(), item[0]),
    )
    caption = "Labels found by sensor, those that missed the most first"
    if len(ordered) > MOST_SHOWN:
        caption += f": {MOST_SHOWN} of {len(ordered):,}"
    rows = (_label_row(labels, sensor_id) for sensor_id, _ in ordered[:MOST_SHOWN])
    made = table(caption, ("sensor", *_LABEL_HEADS), rows)
    made.set("class", "box wide")
    return made


def _sensor_row(one: Judged) -> tuple[str, ...]:
    tally = one.tally
    few, most = tally.fewest_components, tally.most_components
    return (
        str(one.sensor_id),
        "; ".join(one.matters) or "nothing",
        f"{tally.picks[Phase.P]:,}",
        f"{tally.picks[Phase.S]:,}",
        rate(tally.per_hour(tally.n_picks)),
        decimals(tally.mean_probability, 2),
        percent(tally.p_with_s),
        f"{tally.suspects:,}",
        percent(tally.availability),
        str(most) if few >= most else f"{few} to {most}",
        f"{tally.gaps:,}",
        f"{tally.n_left_out:,}",
    )


def _label_row(labels: LabelMatching, sensor_id: SensorId) -> tuple[str, ...]:
    tally = labels.by_sensor[sensor_id]
    cells = [
        cell
        for phase in Phase
        for cell in (
            f"{tally.labels[phase]:,}",
            f"{tally.found[phase]:,}",
            percent(tally.recall(phase)),
        )
    ]
    return str(sensor_id), *cells, f"{tally.without_data:,}"
