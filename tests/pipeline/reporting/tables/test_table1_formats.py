"""The gap's cell: its colour and its number."""

import pandas as pd
import pytest

from pipeline.reporting.tables import table1_formats


@pytest.mark.parametrize(
    "deviations, expected",
    ((0, "within1"), (-1, "within1"), (1.01, "within2"), (-2, "within2"), (2.01, "beyond"), (-9, "beyond"), (None, ""),
     (float("nan"), "")),
)  # fmt: skip
def test_the_gaps_colour_is_its_size_in_standard_deviations(deviations, expected):
    assert table1_formats.gap_class(deviations) == expected


def test_the_gaps_cell_has_its_colour_and_its_number():
    row = dict.fromkeys(("dataset", "method", "architecture"), "x") | {"avg_tokens": 1, "timesteps": 4, "dagger": "", "n": 3}
    row |= {"accuracy_mean": 77.0, "accuracy_std": 1.0, "best_on_test_mean": None, "paper_avg_tokens": 1, "paper_timesteps": 4}
    row |= {"paper_accuracy": 78.5, "paper_architecture": "x", "paper_origin": "own", "paper_source": "y", "gap": -1.5}
    row |= {"gap_in_std": -1.5, "origin": "here", "remarks": "", "scale": "paper", "run_ids": "a-s0-1"}
    table = table1_formats.html(pd.DataFrame([row, row | {"gap_in_std": None}]), {"a-s0-1": "evals/a.json"}, "")
    assert '<td class="number gap within2">-1.50 (-1.5 σ)</td>' in table and '<td class="number gap">-1.50</td>' in table
    assert "<small>paper</small>" in table and 'rowspan="2"' in table
