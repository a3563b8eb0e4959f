"""The plan of a campaign: its hours follow from what was measured."""

import json
import re

import pytest
from planned import DECLARATION, DEVICE, EPOCHS, campaign, entries_of, finished, line_of, measured, under_way, write

from pipeline.core.atomic_files import replace_sealed
from pipeline.core.errors import UserError
from pipeline.planning import plan as plans
from pipeline.planning.critical_path import Job, longest_chain, wall_hours
from pipeline.planning.plan_text import hours, size, text


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATSNN_DATA", raising=False)


def test_hours_follow_from_measured_throughput():
    """960 images at 96 a second and 1,200 at 120; a retraining measures once before; 200 images and energy, twice as long."""
    made = campaign()
    measured(made)
    told = plans.plan(made)
    static, at_snn = line_of(told, "static"), line_of(told, "at_snn")
    assert static["train"] == pytest.approx(2 * 4 * (10 + 10) / 3600)
    assert at_snn["train"] == pytest.approx(2 * (4 * (20 + 20) + 20) / 3600)
    assert static["evaluate"] == pytest.approx(2 * 200 * (1 + 2) / 120 / 3600)
    probe = 6 * 50  # six pairs of gamma and epsilon, 50 images
    assert at_snn["evaluate"] == pytest.approx(2 * (200 * (1 + 2) + 1000 + probe) / 60 / 3600)
    assert told["totals"]["train"] == pytest.approx(static["train"] + at_snn["train"]) == told["totals"]["train_left"]
    assert not any(told["totals"][f"{key}_unknown"] for key in ("train", "evaluate"))
    rows = told["rows"]
    assert [row["same_as"] for row in rows] == [None, 1, None, 3] and [row["starts_from"] for row in rows] == [
        None,
        None,
        "static",
        "static",
    ]
    assert rows[2]["hours"] == pytest.approx(at_snn["train"] + at_snn["evaluate"])


def test_the_longest_chain_goes_from_parent_to_evaluation_and_devices_share_the_rest():
    made = campaign()
    measured(made)
    told = plans.plan(made, devices=2)
    static, at_snn = line_of(told, "static"), line_of(told, "at_snn")
    one_seed = (static["train"] + at_snn["train"] + at_snn["evaluate"]) / 2
    assert told["whole"]["chain_hours"] == pytest.approx(one_seed)
    assert [job["job"].split("-")[0] for job in told["whole"]["chain"]] == ["static", "at_snn", "evaluation of at_snn"]
    everything = sum(line[key] for line in (static, at_snn) for key in ("train", "evaluate"))
    assert told["whole"]["one_device_hours"] == pytest.approx(everything)
    assert one_seed <= told["whole"]["wall_hours"] <= everything / 2 + static["evaluate"]


def test_jobs_on_devices_by_hand():
    jobs = [Job("a", 3), Job("b", 1), Job("c", 2, "a"), Job("d", 4, "b"), Job("e", 0.5), Job("f", 1, "gone")]
    assert [job.name for job in longest_chain(jobs)] in (["a", "c"], ["b", "d"])
    assert wall_hours(jobs, 1) == pytest.approx(11.5)
    assert wall_hours(jobs, 2) == pytest.approx(6)  # a c f | b d e
    assert wall_hours(jobs, 8) == pytest.approx(5) and wall_hours([], 3) == 0 and longest_chain([]) == []


def test_one_more_seed_and_one_more_gamma():
    made = campaign()
    measured(made)
    told = plans.plan(made)
    static, at_snn = line_of(told, "static"), line_of(told, "at_snn")
    assert told["one_more"]["seed"]["hours"] == pytest.approx(told["totals"]["train"] / 2 + told["totals"]["evaluate"] / 2)
    (gamma,) = told["one_more"]["gammas"]
    plain = 2 * (200 * 3 + 1000) / 60 / 3600  # without the map
    assert gamma["seeds"] == 2 and gamma["hours"] == pytest.approx(at_snn["train"] + plain) and static["train"] > 0


def test_disk_holds_two_checkpoints_of_each_training_weights_arrays_and_data():
    made = campaign()
    measured(made)
    told = plans.plan(made, devices=3)["disk"]
    assert told["weights"]["bytes"] == 4 * 1000 and told["checkpoints"]["bytes"] == 4 * 2 * 3100
    assert told["checkpoints_at_once"] == 3 * 2 * 3100 and told["here"] == 0
    assert told["prepared"]["bytes"] == 2200 * (32 * 32 * 3 + 8)
    labels, logits = 2, 2 * 10 * 4
    tokens = 64 * (1 + 2 + 1) + 2 * 8  # blocks, where it halted at each timestep, where it merged; shares
    assert told["arrays"]["bytes"] == 2 * (2 * 200 * (labels + logits) + 200 * tokens + 1000 * (labels + logits))


# Records


def test_records_count_before_the_file_and_what_is_done_is_not_left():
    made = campaign()
    measured(made)
    finished(made, "static", 0, entries_of(made, "static", EPOCHS, trained=192.0))  # five seconds an epoch, not ten
    under_way(made, "static", 1, entries_of(made, "static", 1, trained=192.0))
    told = plans.plan(made)
    static = line_of(told, "static")
    assert static["images_per_second"] == pytest.approx(192) and told["throughput"]["recorded"] == 1
    assert static["train_left"] == pytest.approx(3 * 15 / 3600) and static["train"] == pytest.approx(8 * 15 / 3600)
    assert static["evaluate_left"] == pytest.approx(static["evaluate"]) and static["done"] == 1
    assert told["jobs"]["train"] == {"jobs": 4, "done": 1, "left": 3, "under way": 1, "failed": 0, "not begun": 2}
    assert [(one["state"], one["epoch"], one["epochs"]) for one in told["progress"]] == [("under way", 1, 4)]
    assert "static-s1" in text(told) and "under way, 1 of 4 epochs" in text(told)
    assert told["disk"]["weights"]["bytes"] == 4 * 1000 and told["disk"]["checkpoints"]["bytes"] == 4 * 2 * 3000  # not 3,100


def test_the_time_between_a_stop_and_its_resume_is_not_training():
    made = campaign()
    finished(made, "static", 0, entries_of(made, "static", EPOCHS, stop_after=2))
    assert line_of(plans.plan(made), "static")["images_per_second"] == pytest.approx(96)
    assert plans.plan(made)["trainings"][0]["train"] == pytest.approx(8 * 20 / 3600)


def test_hours_of_several_processes_are_those_of_each_of_their_devices():
    made = campaign()
    finished(made, "static", 0, entries_of(made, "static", EPOCHS, processes=2))
    assert line_of(plans.plan(made), "static")["images_per_second"] == pytest.approx(96 / 2)
    assert plans.plan(made)["trainings"][0]["train"] == pytest.approx(2 * 2 * 4 * 20 / 3600)  # two seeds


def test_a_failed_training_is_told_with_its_reason_and_what_waits_for_it():
    made = campaign()
    measured(made)
    write(made.run_folder(made.run("static", 0)) / "failed.json", json.dumps({"run": "x", "reason": "the loss is nan"}))
    told = plans.plan(made)
    (one,) = told["progress"]
    assert one["state"] == "failed" and one["waiting"] == 1 and one["reason"] == "the loss is nan"
    assert "failed, 0 of 4 epochs; 1 trainings wait for it: the loss is nan" in text(told)


def test_a_damaged_record_is_named_and_left_out():
    made = campaign()
    measured(made)
    entries = entries_of(made, "static", EPOCHS, trained=192.0)
    finished(made, "static", 0, entries)
    path = made.run_folder(made.run("static", 0)) / "record.jsonl"
    path.write_text(path.read_text().replace('"epoch": 2,', '"epoch": two,'))
    told = plans.plan(made)
    assert any(f"{path}, line 3, is damaged" in note for note in told["notes"]) and f"{path}, line 3" in text(told)
    assert line_of(told, "static")["images_per_second"] == 96 and line_of(told, "static")["done"] == 1
    entries[2]["metrics"]["images_per_second"] = 0
    finished(made, "static", 0, entries)
    assert any("images_per_second is 0: left out" in note for note in plans.plan(made)["notes"])
    del entries[0]["provenance"]["data"]["counts"]
    finished(made, "static", 0, entries)
    assert any("does not say on what it was trained" in note for note in plans.plan(made)["notes"])


def test_weights_that_are_missing_and_damaged_evaluations_are_told():
    made = campaign()
    measured(made)
    run = made.run("static", 0)
    finished(made, "static", 0, entries_of(made, "static", EPOCHS))
    made.weights_file(run).unlink()
    replace_sealed(made.results_file(run), DEVICE | {"weights_sha256": "x", "evaluations": {"static": {}}})
    notes = plans.plan(made)["notes"]
    assert any(run.id in note and "its weights are not here" in note for note in notes)
    assert any("lacks what tells its speed" in note for note in notes)
    assert any("the arrays of 1 evaluations are not here" in note for note in notes)


def test_an_evaluation_tells_the_speed_of_its_pass_and_of_counting_energy():
    made = campaign(evaluations=DECLARATION["evaluations"] | {"at_10": {"run": "at_snn", "options": {"gamma": 10}}})
    measured(made)
    finished(made, "at_snn", 0, entries_of(made, "at_snn", EPOCHS))
    told = {
        name: {"time": clock, "metrics": {"images": 200, "images_per_second": 100}}
        for name, clock in (("at_snn", 50.0), ("map", 67.0), ("at_10", 80.0))
    }
    replace_sealed(made.results_file(made.run("at_snn", 0)), DEVICE | {"weights_sha256": "x", "evaluations": told})
    energy = (17 - 2 - 10) / 2  # of 17 seconds 2 measured, and 10 took the 1,000 held-out images
    one_seed = (200 * (1 + energy) + 1000 + 6 * 50 + 200 * (1 + energy)) / 100 / 3600
    assert line_of(plans.plan(made), "at_snn")["evaluate"] == pytest.approx(2 * one_seed)


# Devices


def test_hours_of_two_devices_are_not_mixed():
    made = campaign()
    measured(made)
    finished(made, "static", 0, entries_of(made, "static", EPOCHS, trained=9600.0, device="NVIDIA H200", precision="bf16"))
    told = plans.plan(made)
    assert told["throughput"]["device"] == "NVIDIA H200, 1 thread, bf16, compiled kernels"
    assert line_of(told, "at_snn")["train"] is None and "AT-SNN (γ = 5)" in told["throughput"]["missing"][0]
    assert any("throughput.json is not used: it is of a processor" in note for note in told["notes"])
    finished(made, "static", 1, entries_of(made, "static", EPOCHS))
    with pytest.raises(UserError, match="on 2 devices, whose hours are not the same: name one .*NVIDIA H200.*a processor"):
        plans.plan(made)
    slow, fast = (line_of(plans.plan(made, device_name=name), "static") for name in ("a processor", "h200"))
    assert (slow["images_per_second"], fast["images_per_second"]) == (pytest.approx(96), pytest.approx(9600))
    with pytest.raises(UserError, match="of the names of 0 devices"):
        plans.plan(made, device_name="H100")


def test_a_record_of_two_devices_gives_no_speed():
    made = campaign()
    entries = entries_of(made, "static", EPOCHS, stop_after=2)
    entries[3]["provenance"] = entries[3]["provenance"] | {"device": "another"}
    finished(made, "static", 0, entries)
    told = plans.plan(made)
    assert told["throughput"]["device"] is None and any("is of several devices" in note for note in told["notes"])


def test_without_any_speed_the_plan_names_the_kinds_and_the_command_and_invents_nothing():
    told = plans.plan(campaign())
    shown = text(told)
    assert told["throughput"]["missing"] == [f"shapes, Spikformer-2-16, {name}, T = 2" for name in ("STATIC", "AT-SNN (γ = 5)")]
    assert "make throughput SCALE=tiny" in shown and all(name in shown for name in told["throughput"]["missing"])
    assert all(line[key] is None for line in told["trainings"] for key in ("train", "evaluate", "images_per_second"))
    assert re.search(r"^together +\? +\?$", shown, re.M) and re.search(r"^left +\? +\?  ", shown, re.M)


def test_what_one_kind_lacks_makes_the_totals_lower_bounds():
    made = campaign()
    measured(made, labels=["static"])
    told = plans.plan(made)
    shown = text(told)
    assert told["totals"]["train_unknown"] == 2 and told["totals"]["train"] == line_of(told, "static")["train"]
    assert (
        f"at least {hours(told['totals']['train'])}" in shown
        and "of 2 kinds of training 0 from this campaign's records, 1 from" in shown
    )


def test_hours_of_a_processor_are_said_to_be_no_gpu_hours():
    made = campaign()
    measured(made)
    assert "These are no GPU hours" in text(plans.plan(made)) and "batch 8 (declared: 64)" in text(plans.plan(made))
    measured(made, gpu=True, device="NVIDIA H200")
    assert "no GPU hours" not in text(plans.plan(made)) and "one device: NVIDIA H200" in text(plans.plan(made))


@pytest.mark.parametrize("damage", ("{", '{"kinds": []}', '{"kinds": [{}]}', "rate"))
def test_a_damaged_file_of_throughput_is_one_line(damage):
    made = campaign()
    measured(made)
    path = made.folder / "throughput.json"
    content = path.read_text().replace('"trained": 96.0', '"trained": -1')
    path.write_text(content if damage == "rate" else damage)
    with pytest.raises(UserError, match="throughput.json .*delete it"):
        plans.plan(made)


def test_numbers_are_short():
    assert [hours(x) for x in (None, 0, 0.004, 9.996, 12.34, 1234.5)] == ["?", "0", "0.00", "10.00", "12.3", "1,234"]
    assert [size(x) for x in (0, 999, 1000, 123_456, 5 * 10**13)] == ["0 B", "999 B", "1 kB", "123 kB", "50 TB"]
