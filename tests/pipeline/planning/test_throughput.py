"""Throughput is measured by the trainer itself, kind by kind, and a plan is made from it."""

import json
import subprocess
import sys

import pytest
import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import validate
from pipeline.command_line import CATALOGUE
from pipeline.core.paths import ROOT
from pipeline.evaluation.weights import save_weights
from pipeline.planning import plan as plans
from pipeline.planning import throughput, training_kinds
from pipeline.planning.throughput import Workload, measure_all
from pipeline.training import trainer
from pipeline.training.checkpoint import Position, save_checkpoint

DECLARATION = """
scale: tiny
about: a test
precision: float32
loader_workers: 3
datasets: {shapes: {train: 64, test: 20}}
networks: {small: {depth: 2, width: 16, heads: 2, timesteps: 2}}
recipes: {short: {epochs: 2, cooldown_epochs: 1, warmup_epochs: 1, batch: 16}, long: {epochs: 9, warmup_epochs: 1, batch: 16, lr: 0.1}}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0, 1]}
  again: {method: static, dataset: shapes, network: small, recipe: long, seeds: [0]}
  at_snn: {method: at_snn, options: {gamma: 5}, parent: static, recipe: short}
evaluations:
  static: {run: static}
  at_snn: {run: at_snn}
  at_10: {run: at_snn, options: {gamma: 10}}
  onset: {run: static, probe: halting_onset}
table1: [{evaluation: static}, {evaluation: at_snn}]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def steps(monkeypatch):
    """The batches that the trainer was given, while it takes its real steps."""
    seen, real = [], trainer.Trainer.step
    monkeypatch.setattr(trainer.Trainer, "step", lambda self, x, y: (seen.append(tuple(x.shape)), real(self, x, y))[1])
    return seen


def campaign():
    return Campaign(validate(yaml.safe_load(DECLARATION), CATALOGUE), CATALOGUE)


def measured(made, again=False):
    said = []
    path = measure_all(made, 8, 2, again, said.append)
    return json.loads(path.read_text()), said


def test_each_kind_is_trained_for_its_steps_once_whatever_its_seeds_epochs_and_rate(steps):
    content, said = measured(campaign())
    titles = [entry["title"].removeprefix("shapes Spikformer-2-16 ") for entry in content["kinds"]]
    assert titles == ["STATIC, T = 2", "AT-SNN (γ = 5), T = 2", "AT-SNN (γ = 10), T = 2"]
    assert steps == 2 * 3 * [(8, 3, 32, 32)], "two kinds of training, a step before and two that count"
    trained = [entry["trained"] for entry in content["kinds"]]
    assert trained[2] is None and all(rate > 0 for rate in trained[:2])
    assert all(entry["passed"] > 0 and entry["energy"] > 0 for entry in content["kinds"]) and len(said) == 6
    assert (
        (content["gpu"], content["precision"], content["threads"]) == (False, "float32", 1)
        and content["git"]
        and content["versions"]
    )


def test_what_was_measured_is_kept_until_it_is_asked_for_again_and_another_devices_is_replaced(steps):
    made = campaign()
    first, _ = measured(made)
    path = made.folder / "throughput.json"
    steps.clear()
    assert measured(made) == (first, []) and not steps
    path.write_text(json.dumps(first | {"kinds": first["kinds"][1:]}))
    again, said = measured(made)
    assert "STATIC" in said[0] and len(said) == 2 and len(steps) == 3
    assert again["kinds"][1:] == first["kinds"][1:] and again["kinds"][0]["trained_kind"] == first["kinds"][0]["trained_kind"]
    path.write_text(json.dumps(first | {"device": "another", "kinds": [entry | {"trained": 7e6} for entry in first["kinds"]]}))
    other, said = measured(made)
    assert other["device"] == first["device"] and len(said) == 6 and other["kinds"][0]["trained"] < 7e6
    assert len(measured(made, again=True)[1]) == 6


def test_a_plan_is_made_of_it_and_lacks_nothing():
    made = campaign()
    content, _ = measured(made)
    told = plans.plan(made)
    assert told["throughput"]["device"] == str(training_kinds.Device.from_fields(content)) and not told["throughput"]["missing"]
    assert not any(told["totals"][f"{key}_unknown"] for key in ("train", "evaluate")) and told["totals"]["train"] > 0
    rates = {line["label"]: line["images_per_second"] for line in told["trainings"]}
    assert rates["static"] == rates["again"] == content["kinds"][0]["trained"]


def test_bytes_are_those_of_what_a_training_saves(tmp_path):
    made = campaign()
    run = made.run("at_snn", 0)
    trainer = throughput.trainer_on_noise(made, run, Workload(8, 2, 1, 0), 8, tmp_path / "noise")
    throughput.trained_per_second(trainer, Workload(8, 2, 1, 0))
    told = throughput.sizes(trainer)
    save_weights(tmp_path / "w", trainer.backbone.state_dict(), run.id)
    save_checkpoint(tmp_path / "c", run.id, Position(), trainer.backbone, trainer.optimizer, None)
    assert told["weights_bytes"] == pytest.approx((tmp_path / "w").stat().st_size, rel=0.02)
    assert told["checkpoint_bytes"] == pytest.approx((tmp_path / "c").stat().st_size, rel=0.02)


def test_what_changes_a_speed_changes_the_kind_and_nothing_else_does():
    made = campaign()
    static, at_snn = made.run("static", 0), made.run("at_snn", 0)
    assert (
        training_kinds.kind_of(static)
        == training_kinds.kind_of(made.run("static", 1))
        == training_kinds.kind_of(made.run("again", 0))
    )
    assert training_kinds.kind_of(static) != training_kinds.kind_of(at_snn) and training_kinds.pass_of(
        static
    ) != training_kinds.pass_of(static, timesteps=1)
    other = CATALOGUE.method_options("at_snn", {"gamma": 6}).model_dump()
    assert training_kinds.pass_of(at_snn) != training_kinds.pass_of(at_snn, options=other)
    assert (
        training_kinds.pass_of(at_snn)
        == training_kinds.pass_kind(made.named("at_snn")[0])
        != training_kinds.pass_kind(made.named("at_10")[0])
    )
    for path, value in (
        (("recipes", "short", "batch"), 8),
        (("networks", "small", "width"), 24),
        (("recipes", "short", "mixup"), 0),
    ):
        content = yaml.safe_load(DECLARATION)
        content[path[0]][path[1]][path[2]] = value
        assert training_kinds.kind_of(
            Campaign(validate(content, CATALOGUE), CATALOGUE).run("static", 0)
        ) != training_kinds.kind_of(static)


def test_a_gpu_takes_the_declared_batch_and_workers_and_waits_until_they_have_nothing_ahead():
    assert throughput.settings(3, True, None, None) == Workload(None, 40, 7, 3)
    assert throughput.settings(3, False, None, None) == Workload(8, 2, 1, 0)
    assert throughput.settings(3, True, 64, 5) == Workload(64, 5, 7, 3)


def test_images_come_from_as_many_workers_as_are_asked_for(tmp_path):
    made = campaign()
    how = Workload(8, 2, 3, 1)
    trainer = throughput.trainer_on_noise(made, made.run("static", 0), how, 8, tmp_path)
    assert throughput.trained_per_second(trainer, how) > 0 and trainer.batches.steps == 5


@pytest.mark.parametrize("words", (("--batch", "0"), ("--batch", "3"), ("--steps", "-1"), ("--scale", "papper")))
def test_a_mistake_is_one_line(words):
    run = subprocess.run([sys.executable, "-m", "pipeline.throughput", *words], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "pipeline.throughput: error: " in run.stderr
