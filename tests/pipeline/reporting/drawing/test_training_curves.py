"""Curves of trainings, drawn the same every time, a retraining after its parent."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.command_line import CATALOGUE
from pipeline.reporting.drawing import training_curves
from pipeline.reporting.page import report


@pytest.fixture
def trained():
    """Two seeds of STATIC and a retraining of the first, two epochs each."""
    common = {"options": {}, "data": SimpleNamespace(name="shapes"), "architecture": "Spikformer-2-16", "method": "static"}
    runs = [SimpleNamespace(id=f"static-s{seed}", label="static", parent=None, **common) for seed in (0, 1)]
    runs += [SimpleNamespace(**common | {"id": "c-s0", "label": "c", "method": "static_control", "parent": runs[0]})]
    curves = pd.DataFrame(
        {"run": run.id, "epoch": epoch, "train_loss": 1 / epoch, "heldout_accuracy": 9.0, "average_tokens": 1.0}
        for run in runs
        for epoch in (1, 2)
    )
    return SimpleNamespace(runs=runs, catalogue=CATALOGUE), curves


def test_training_curves_are_the_same_bytes_every_time(trained):
    first, again = (training_curves.draw(*trained) for _ in range(2))
    assert first == again and b"<dc:date>" not in first and report.picture(first)["width"] > 800


def test_a_retraining_is_drawn_after_its_parent(trained):
    campaign, curves = trained
    assert [training_curves.begin(run, curves) for run in campaign.runs] == [0, 0, 2]
