"""The page: sections in order, in one file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scperformer.reporting.example_figures import example_figure, unread
from scperformer.reporting.figures import (
    by_sensor,
    distributions,
    over_time,
    residuals,
    s_minus_p,
)
from scperformer.reporting.labelling import TOLERANCE_S
from scperformer.reporting.look import STYLE
from scperformer.reporting.markup import Element, tag, to_bytes
from scperformer.reporting.pairing import LONGEST_S_MINUS_P_S
from scperformer.reporting.ranking import Judged, most_to_say, worst_first
from scperformer.reporting.scan_report import ScanReport
from scperformer.reporting.summary import found, left_out, scanned, totals, wrong
from scperformer.reporting.tables import label_table, sensor_table, table
from scperformer.reporting.tallies import WEAK
from scperformer.reporting.words import counted, duration

_SECRET = re.compile(r"//[^/@\s]+@")


def render(report: ScanReport, *, ended_by: str = "") -> bytes:
    """Return the page as UTF-8."""
    judged = worst_first(report)
    n_picks = sum(tally.n_picks for tally in report.tallies.values())
    title = f"Scan report: {counted(n_picks, 'pick')}, {counted(len(judged), 'sensor')}"
    main = tag("main", tag("h1", title), *_summary(report, judged, ended_by))
    for section in _sections(report, judged) if judged else ():
        main.append(section)
    main.append(_made(report))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", STYLE),
    )
    return to_bytes(tag("html", head, tag("body", main), lang="en"))


def _summary(report: ScanReport, judged: Sequence[Judged], ended_by: str) -> list[Element]:
    faults = wrong(report, judged, ended_by=ended_by)
    if faults:
        items = (tag("li", _without_secrets(fault)) for fault in faults)
        what = tag("div", tag("h3", "What is wrong"), tag("ul", *items), class_="wrong")
    else:
        what = tag("p", "Nothing was found to be wrong.")
    numbers = tag("dl", class_="totals")
    for number, name in totals(report):
        numbers.append(tag("div", tag("dt", name), tag("dd", number)))
    texts = (scanned(report), " ".join(found(report)))
    return [tag("h2", "Summary"), what, *(tag("p", text) for text in texts), numbers]


def _sections(report: ScanReport, judged: Sequence[Judged]) -> list[Element]:
    shown = most_to_say(list(judged))
    all_picks = any(one.tally.n_picks for one in judged)
    sections = [
        _section("Picks over time", "", *over_time(report)),
        _section(
            "Availability and picks by sensor", _who(shown, judged), *by_sensor(report, shown)
        ),
    ]
    if all_picks:
        sections.append(_charts("Probabilities and uncertainties", "", distributions(report)))
    if report.pairs.n:
        note = (
            f"Each S is put with the last P at the same sensor, at most {LONGEST_S_MINUS_P_S:g} s "
            "before it. Nothing is associated: most pairs are one earthquake's, some are not."
        )
        sections.append(_charts("S minus P", note, s_minus_p(report)))
    sections.append(_sensors(report, judged))
    if report.labels is not None:
        note = (
            f"A label counts as found if a pick of its phase lies within {TOLERANCE_S:g} s, one "
            "to one. A label that names no channel counts for every sensor of its station."
        )
        section = _charts("Beside the labels", note, residuals(report))
        section.append(label_table(report.labels))
        sections.append(section)
    if examples := _examples(report):
        sections.append(_charts("Examples", _EXAMPLES_NOTE, examples))
    return sections


_EXAMPLES_NOTE = (
    "Filtered waveforms at 100 Hz, each component to its own scale; below, the probabilities: P "
    "whole, S dashed. Upright lines are picks."
)


def _who(shown: Sequence[Judged], judged: Sequence[Judged]) -> str:
    if len(shown) == len(judged):
        return ""
    return (
        f"{len(shown)} of {len(judged):,} sensors: half of them for the most trouble, the others "
        "for the most picks."
    )


def _sensors(report: ScanReport, judged: Sequence[Judged]) -> Element:
    note = (
        f"A pick is suspect if its probability is below {WEAK:g} and it has no counterpart: a P "
        "without an S, or an S without a P."
    )
    parts = [sensor_table(judged)]
    reasons = left_out(report)
    if reasons:
        rows = ((reason, f"{n_samples:,}") for reason, n_samples in reasons.most_common())
        parts.append(table("Samples left out, by reason", ("reason", "samples"), rows))
    return _section("Sensors to look at first", note, *parts)


def _examples(report: ScanReport) -> list[Element]:
    drawn = {example.wanted: example for example in report.examples}
    elements: list[Element] = []
    missing = []
    for wanted in report.wanted_examples():
        if wanted in drawn:
            labels = report.labels.within(*wanted[:3]) if report.labels else ()
            elements.append(example_figure(drawn[wanted], labels))
        else:
            missing.append(tag("li", unread(wanted)))
    if missing:
        elements.append(tag("ul", *missing, class_="faint"))
    return elements


def _made(report: ScanReport) -> Element:
    run = report.run
    facts = [
        ("scperformer", run.version),
        ("command", tag("code", _without_secrets(run.command))),
        ("model", run.model),
        ("model SHA-256", tag("code", run.model_sha256)),
        *((name, value) for name, value in run.settings.items()),
    ]
    if report.tallies:
        facts.append(("bins of time", duration(report.timeline.width_ns)))
    made = tag("dl", class_="made")
    for name, value in facts:
        made.append(tag("dt", name))
        made.append(tag("dd", value))
    note = "All times are UTC. docs/report.md says what each figure means."
    return _section("How it was made", note, made)


def _section(title: str, note: str, *content: Element) -> Element:
    heading = tag("h2", title)
    said = tag("p", note, class_="faint") if note else None
    return tag("section", heading, said, *content)


def _charts(title: str, note: str, figures: Sequence[Element]) -> Element:
    """Put figures side by side where there is room: three of three, else two."""
    kind = "charts" if len(figures) == 3 else "charts two"
    return _section(title, note, tag("div", *figures, class_=kind))


def _without_secrets(text: str) -> str:
    """Leave user names and passwords out of addresses: a page is passed on."""
    return _SECRET.sub("//...@", text)
