"""The short form of `make faults`: a few kills of the tiny campaign, and what comes of it."""

import json
import subprocess
import sys
from pathlib import Path

from tiny import differences, timeless

KILLS = 5


def test_a_campaign_that_is_killed_at_random_ends_with_the_same_numbers(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), "--seed", "3", "--kills", str(KILLS)]
    run = subprocess.run([*command, "--folder", str(tmp_path / "kills")], capture_output=True, text=True, timeout=900)
    told = [json.loads(line) for line in (tmp_path / "kills/faults.jsonl").read_text().splitlines()]
    assert run.returncode == 0, run.stdout + run.stderr
    assert [entry["number"] for entry in told if entry["event"] == "fault"] == list(range(1, KILLS + 1))
    assert told[-1]["event"] == "compared" and told[-1]["files"] > 20
    assert told[-1]["differ"] == [] and told[-1]["logged_twice"] == ""


def test_what_differs_is_named():
    """The comparison can fail."""
    calm = {"a.csv": b"1", "b.json": timeless({"time": 1, "metrics": {"accuracy": 50.0, "images_per_second": 9}})}
    other = {"a.csv": b"2", "b.json": timeless({"time": 2, "metrics": {"accuracy": 50.0, "images_per_second": 7}}), "c": 0}
    assert differences(calm, other) == ["a.csv", "c"] and differences(calm, calm) == []
