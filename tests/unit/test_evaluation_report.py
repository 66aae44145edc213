"""A report declared once, written as text, Markdown and JSON."""

import json
import math

import numpy as np
import pytest

from scperformer.evaluation.report import (
    Column,
    Picture,
    Report,
    Section,
    Table,
    plain,
    to_json,
    to_markdown,
    to_text,
)
from scperformer.evaluation.statistics import Residuals, residual_statistics

ROW = {
    "who": "a",
    "best": {"f1": 0.5, "n": 3, "intervals_95": {"f1": [0.25, 0.75]}},
    "recommended": None,
    "F1 of b.c": 1.0,
    "ends": {"low": -1.0, "high": None},
}


@pytest.mark.parametrize(
    ("column", "written"),
    [
        (Column("", "who"), "a"),
        (Column("", "best.n", "d"), "3"),
        (Column("", "best.f1", ".2f"), "0.50"),
        (Column("", "best.f1", ".2f", has_interval=True), "0.50 (0.25 to 0.75)"),
        (Column("", "best.none", ".2f", has_interval=True), "-"),
        (Column("", "recommended.f1", ".2f"), "-"),
        (Column("", "F1 of b.c", ".1f"), "1.0"),
        (Column("", "ends", "+.1f"), "-1.0 to -"),
    ],
)
def test_cells(column, written):
    assert column.cell(ROW) == written


def report(rows, *, pictures=True):
    columns = [Column("who", "who"), Column("delay", "delay_s", ".1f", "s")]
    sections = [
        Section("", ["A note.", Picture("curve_of_all")]),
        Section("Delays", ["What they are.", Table(columns, rows)]),
    ]
    values = {"pictures": pictures, "rows": rows}
    return Report("Evaluation", values, sections, [Table(columns, rows), "The end."])


def test_the_same_in_every_form():
    own = report([{"who": "a", "delay_s": 2.5}, {"who": "longer", "delay_s": math.nan}])
    assert to_markdown(own) == (
        "# Evaluation\n\nA note.\n\n![curve of all](curve_of_all.png)\n\n## Delays\n\n"
        "What they are.\n\n"
        "| who | delay (s) |\n| --- | ---: |\n| a | 2.5 |\n| longer | - |\n"
    )
    assert to_text(own) == "who     delay (s)\na             2.5\nlonger          -\n\nThe end."


def test_a_section_without_rows_is_left_out_and_pictures_that_are_not_drawn():
    assert to_markdown(report([], pictures=False)) == "# Evaluation\n\nA note.\n"


def test_json_holds_what_is_finite():
    residuals = residual_statistics(np.array([0.1]), np.array([np.nan]), tolerance_s=0.5)
    own = Report("", plain({"r": residuals, "n": np.int64(3), "x": (np.nan, 1 / 3)}), [], [])
    values = json.loads(to_json(own))
    assert list(values["r"]) == list(Residuals.__dataclass_fields__)
    assert (values["r"]["mean_s"], values["r"]["within_uncertainty"]) == (0.1, None)
    assert (values["n"], values["x"]) == (3, [None, 0.333333])
