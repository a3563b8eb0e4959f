"""The short form of the scenarios in `make faults`: a few of them, and that they can fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import scenario
import scenarios

NAMES = (
    "file system full under a checkpoint",
    "MLflow server killed while a training runs, and back",
    "damaged: a digit of a record",
)


def test_a_campaign_that_meets_faults_ends_with_the_same_numbers(calm, tmp_path):
    words = ["--calm", str(calm), "--folder", str(tmp_path / "tried"), *NAMES]
    command = [sys.executable, str(Path(__file__).with_name("scenarios.py")), *words]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    told = [json.loads(line) for line in (tmp_path / "tried/faults.jsonl").read_text().splitlines()]
    assert run.returncode == 0, run.stdout + run.stderr
    planned, told = told[0], told[1:]
    assert set(planned["faults"]) == {entry["fault"] for entry in told} == set(NAMES)
    assert all(entry["differ"] == [] and entry["said"] for entry in told if entry["event"] == "scenario")
    if impossible := [f"{entry['fault']}: {entry['why']}" for entry in told if entry["event"] == "not tried"]:
        pytest.skip("; ".join(impossible))


class Copy:
    """A campaign that a scenario leaves as it was, or not."""

    def __init__(self, folder, like):
        self.folder = folder
        folder.mkdir()

    def outcome(self):
        return {"tables/table1.csv": (self.folder / "table").read_bytes() if (self.folder / "table").exists() else b""}


class Calm:
    folder = Path("calm")

    def outcome(self):
        return {"tables/table1.csv": b""}


@pytest.mark.parametrize(
    "does, survived, entry",
    (
        (lambda copy: "said", True, {"event": "scenario", "said": "said", "differ": []}),
        (lambda copy: (copy.folder / "table").write_text("x") and "", False, {"differ": ["tables/table1.csv"]}),
        (lambda copy: scenario.must(False, "why"), False, {"differ": ["not as it must be: why"]}),
        (lambda copy: scenario.wait_for(lambda: False, seconds=0), False, {"event": "scenario"}),
    ),
)
def test_what_a_scenario_saw_is_logged_and_counts(tmp_path, monkeypatch, does, survived, entry):
    monkeypatch.setattr(scenarios, "Campaign", Copy)
    monkeypatch.setitem(scenarios.SCENARIOS, "a fault", does)
    log = scenarios.Log(tmp_path / "log.jsonl")
    assert scenarios.attempt(Calm(), "a fault", tmp_path / "copy", log) is survived
    told = json.loads((tmp_path / "log.jsonl").read_text())
    assert told["fault"] == "a fault" and entry.items() <= told.items()


def test_a_fault_that_a_machine_does_not_allow_is_logged_as_not_tried(tmp_path, monkeypatch):
    def refuse(_):
        raise scenario.NotHere("no mount")

    monkeypatch.setattr(scenarios, "Campaign", Copy)
    monkeypatch.setitem(scenarios.SCENARIOS, "a fault", refuse)
    assert scenarios.attempt(Calm(), "a fault", tmp_path / "copy", scenarios.Log(tmp_path / "log.jsonl"))
    assert json.loads((tmp_path / "log.jsonl").read_text())["event"] == "not tried"


@pytest.mark.parametrize("told", ("Traceback (most recent call last):\n  File '/x/pipeline/train.py', line 1\n",))
def test_a_traceback_of_ours_is_no_line(told):
    with pytest.raises(scenario.NotAsItMust, match="a traceback"):
        scenario.errors(told)
