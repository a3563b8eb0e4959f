"""The plan beside a campaign that was run: laptop's, whose records are in git."""

import json
import os
import statistics
from collections import defaultdict

import pytest
from planned import write

from pipeline.command_line import open_campaign
from pipeline.core.paths import ROOT
from pipeline.core.record import read
from pipeline.planning import plan as plans


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATSNN_DATA", raising=False)


@pytest.fixture(scope="module")
def laptop():
    """Its records by run, and the images that it was trained on."""
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        made, _ = plans.open_plan(open_campaign("laptop"))
        done = [run for run in made.runs if (made.run_folder(run) / "done.json").exists()]
        return made, {run.id: read(made.run_folder(run) / "record.jsonl") for run in done}
    finally:
        os.chdir(before)


def seconds_of(entries, images):
    """Each epoch's seconds of wall time, in their order; one with a stop in it: those of its steps, and a usual end."""
    steps, ends, stopped, before = {}, {}, False, entries[0]["time"]
    for entry in entries[1:]:
        stopped = stopped or entry["event"] == "resume"
        if entry["event"] == "epoch":
            epoch = entry["epoch"]
            steps[epoch] = images / entry["metrics"]["images_per_second"] if epoch else 0.0
            if not stopped:
                ends[epoch] = entry["time"] - before - steps[epoch]
            stopped = False
        before = entry["time"]
    usual = statistics.median(ends.values())
    return {epoch: seconds + ends.get(epoch, usual) for epoch, seconds in steps.items()}


def began(made, records, keep, epochs):
    """The records of some trainings as they were after so many epochs, as if the campaign were under way here."""
    for run in made.runs:
        if run.id in keep:
            last = next(i for i, e in enumerate(records[run.id]) if e["event"] == "epoch" and e["epoch"] == epochs)
            write(made.weights_folder(run) / "record.jsonl", "".join(json.dumps(e) + "\n" for e in records[run.id][: last + 1]))
            write(made.weights_folder(run) / "checkpoint.pt", "")


def by_kind(made, records, hours_of):
    found = defaultdict(float)
    for run in made.runs:
        if run.id in records:
            found[run.label] += hours_of(run)
    return found


def near(predicted, took):
    """Within 25 % together, and by kind too but for one kind, which is within 40 %."""
    assert sum(predicted[label] for label in took) == pytest.approx(sum(took.values()), rel=0.25)
    off = sorted(abs(predicted[label] / hours - 1) for label, hours in took.items())
    assert len(off) >= 28 and off[-2] <= 0.25 and off[-1] <= 0.40, off


def test_what_was_run_is_done_in_the_plan(laptop, monkeypatch):
    made, records = laptop
    monkeypatch.chdir(ROOT)
    told = plans.plan(made)
    assert told["jobs"]["train"]["done"] == len(records) >= 40
    assert all(line["train_left"] == 0 == line["evaluate_left"] for line in told["trainings"] if line["done"] == line["seeds"])
    images = {run.id: 10_000 // 64 * 64 for run in made.runs}
    spent = sum(sum(seconds_of(entries, images[key]).values()) for key, entries in records.items()) / 3600
    assert sum(line["train"] for line in told["trainings"] if line["done"] == line["seeds"]) == pytest.approx(spent, rel=0.01)


def test_a_plan_made_after_two_epochs_of_each_training_tells_the_hours_that_the_rest_took(laptop):
    """What is left by the plan, 8 epochs that it knows nothing of, beside what they took. They ran two at a time beside other work."""
    made, records = laptop
    began(made, records, records, 2)
    told = plans.plan(made)
    predicted = {line["label"]: line["train_left"] for line in told["trainings"]}
    took = by_kind(made, records, lambda run: sum(s for e, s in seconds_of(records[run.id], 9984).items() if e > 2) / 3600)
    near(predicted, took)


def test_two_epochs_of_one_training_of_each_kind_tell_the_hours_of_the_campaign(laptop):
    """All epochs of all seeds; some ran beside other work and at half the speed of others of their kind."""
    made, records = laptop
    first = {}
    for run in sorted((run for run in made.runs if run.id in records), key=lambda run: records[run.id][0]["time"]):
        first.setdefault(run.label, run.id)
    began(made, records, set(first.values()), 2)
    told = plans.plan(made)
    predicted = {line["label"]: line["train"] for line in told["trainings"]}
    took = by_kind(made, records, lambda run: sum(seconds_of(records[run.id], 9984).values()) / 3600)
    near(predicted, took)
