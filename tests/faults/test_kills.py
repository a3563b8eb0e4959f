"""The short form of `make faults`: a few kills of the tiny campaign, and what comes of it."""

import json
import subprocess
import sys
from pathlib import Path

from kills import CYCLE
from tiny import differences, timeless

KILLS = 8


def test_a_campaign_that_is_killed_at_random_ends_with_the_same_numbers(calm, tmp_path):
    command = [
        sys.executable,
        str(Path(__file__).with_name("kills.py")),
        "--seed",
        "3",
        "--kills",
        str(KILLS),
        "--calm",
        str(calm),
    ]
    run = subprocess.run([*command, "--folder", str(tmp_path / "kills")], capture_output=True, text=True, timeout=900)
    told = [json.loads(line) for line in (tmp_path / "kills/faults.jsonl").read_text().splitlines()]
    assert run.returncode == 0, run.stdout + run.stderr
    faults = [entry for entry in told if entry["event"] == "fault"]
    assert [entry["stage"] for entry in faults] == list(CYCLE[:KILLS]) and all(
        entry["stage"] in entry["struck"] for entry in faults
    )
    assert told[-1]["event"] == "compared" and told[-1]["files"] > 20
    assert told[-1]["differ"] == [] and told[-1]["logged_twice"] == ""


def test_every_stage_has_its_turn_and_every_second_one_is_training():
    """Of any number of whole turns: 40 are three, and a bit."""
    assert CYCLE.count("train") * 2 == len(CYCLE)
    assert set(CYCLE) == {"prepare", "train", "evaluate", "aggregate", "figure", "report", "snakemake"}


def test_what_differs_is_named():
    """The comparison can fail."""
    calm = {"a.csv": b"1", "b.json": timeless({"time": 1, "metrics": {"accuracy": 50.0, "images_per_second": 9}})}
    other = {"a.csv": b"2", "b.json": timeless({"time": 2, "metrics": {"accuracy": 50.0, "images_per_second": 7}}), "c": 0}
    assert differences(calm, other) == ["a.csv", "c"] and differences(calm, calm) == []
