"""The training loop in float64: golden losses, exact resume, and what happens when the loss is lost."""

import fcntl
import json
import os
import shutil
import signal
import threading
from contextlib import chdir
from pathlib import Path

import pytest
import torch
import yaml

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import NUMERICS
from pipeline.campaign.read_declaration import validate
from pipeline.command_line import CATALOGUE
from pipeline.core.errors import UserError
from pipeline.core.record import read
from pipeline.data.datasets import shapes
from pipeline.data.prepared import prepare_from_source
from pipeline.evaluation.device import ComputeDevice
from pipeline.evaluation.evaluate_run import evaluate
from pipeline.mirror import mlflow_store
from pipeline.training import trainer
from pipeline.training.training_job import train

GOLDEN = Path(__file__).with_name("golden_losses.json")
DECLARATION = """
scale: tiny
about: a test
precision: float64
checkpoint_minutes: 0
datasets: {shapes: {train: 64, test: 20}}
networks: {small: {depth: 2, width: 16, heads: 2, timesteps: 2}}
recipes: {short: {epochs: 2, cooldown_epochs: 1, warmup_epochs: 1, batch: 16, lr: 2.0e-3}}
runs:
  static: {method: static, dataset: shapes, network: small, recipe: short, seeds: [0]}
  at_snn: {method: at_snn, options: {gamma: 5, beta: -4.0}, parent: static, recipe: short}
evaluations: {static: {run: static}}
table1: [{evaluation: static}]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, copied_store):
    monkeypatch.chdir(tmp_path)
    few_images(monkeypatch)


def few_images(monkeypatch):
    """The held-out set always has 1,000 images; a test need not look at all of them. Nor is a server told."""
    measure = trainer.Trainer.measure
    monkeypatch.setattr(trainer.Trainer, "measure", lambda self, split: measure(self, "test"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def both_trained(tmp_path_factory):
    """A folder in which both runs were trained, by nobody disturbed."""
    folder = tmp_path_factory.mktemp("trained")
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        few_images(patch)
        made = campaign()
        for label in ("static", "at_snn"):
            train(made, made.run(label, 0))
    return folder


@pytest.fixture
def trained(both_trained, tmp_path):
    """The campaign in a copy of it."""
    shutil.copytree(both_trained, tmp_path, dirs_exist_ok=True)
    return Campaign(validate(yaml.safe_load(DECLARATION), CATALOGUE), CATALOGUE)


def forgotten(made, label):
    """The weights and epochs of a run, of which nothing is left then."""
    run = made.run(label, 0)
    whole, record = (made.weights_folder(run) / "final.safetensors").read_bytes(), epochs(made, label)
    for path in (*made.weights_folder(run).iterdir(), *made.run_folder(run).iterdir()):
        path.unlink()
    return whole, record


def campaign(**change):
    content = yaml.safe_load(DECLARATION) | change
    made = Campaign(validate(content, CATALOGUE), CATALOGUE)
    prepare_from_source(shapes, made.data("shapes"), [])
    return made


def epochs(made, label):
    entries = read(made.run_folder(made.run(label, 0)) / "record.jsonl")
    times = ("images_per_second", "waiting_for_data")
    return [{k: v for k, v in e["metrics"].items() if k not in times} for e in entries if e["event"] == "epoch"]


def in_mlflow(made, run):
    client = mlflow_store.open_client()
    return client.search_runs([mlflow_store.experiment_of(client, "tiny")], f"tags.`{mlflow_store.RUN_TAG}` = '{run.id}'")


def test_losses_are_the_golden_ones(trained):
    """Another curve is another numerics: raise campaign.NUMERICS and say why in CHANGELOG (how to: CONTRIBUTING)."""
    losses = {label: [e["train_loss"] for e in epochs(trained, label) if "train_loss" in e] for label in ("static", "at_snn")}
    golden = json.loads(GOLDEN.read_text())
    assert golden["numerics"] == NUMERICS
    for label, found in losses.items():
        assert found == pytest.approx(golden["losses"].get(label, []), rel=1e-9), json.dumps(losses)


@pytest.mark.parametrize("label, stop", (("static", 1), ("static", 6), ("at_snn", 7)))
def test_a_training_that_was_cut_off_ends_with_the_same_weights_and_record(trained, monkeypatch, label, stop):
    made, run = trained, trained.run(label, 0)
    whole, record = forgotten(made, label)
    taken, step = [], trainer.Trainer.step

    def cut(self, *batch):
        if len(taken) == stop:
            taken.append("cut")
            raise KeyboardInterrupt
        taken.append("step")
        step(self, *batch)

    monkeypatch.setattr(trainer.Trainer, "step", cut)
    with pytest.raises(KeyboardInterrupt):
        train(made, run)
    assert not (made.run_folder(run) / "done.json").exists()
    train(made, run)
    assert taken.count("step") == 12, "no step is taken twice"
    assert (made.weights_folder(run) / "final.safetensors").read_bytes() == whole
    assert epochs(made, label) == record
    assert [e["event"] for e in read(made.run_folder(run) / "record.jsonl")].count("resume") == 1


@pytest.mark.parametrize("moment", (3, 6))  # within an epoch, and at its last step
def test_a_training_that_is_asked_to_stop_saves_and_goes_on_there(trained, monkeypatch, moment):
    made, run = trained, trained.run("static", 0)
    whole, record = forgotten(made, "static")
    taken, step = [], trainer.Trainer.step

    def asked(self, *batch):
        taken.append("step")
        step(self, *batch)
        if len(taken) == moment:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(trainer.Trainer, "step", asked)
    with pytest.raises(SystemExit) as ended:
        train(made, run)
    assert ended.value.code == 143 and len(taken) == moment and not (made.run_folder(run) / "done.json").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(made, run)
    assert len(taken) == 12, "no step is taken twice"
    assert (made.weights_folder(run) / "final.safetensors").read_bytes() == whole and epochs(made, "static") == record


def test_a_lost_loss_fails_once_and_is_not_tried_again(monkeypatch):
    made = campaign()
    run = made.run("static", 0)
    with monkeypatch.context() as broken:
        broken.setattr("baselines.static.loss", lambda output, target, options: output.logits.sum() * float("nan"))
        with pytest.raises(UserError, match="the loss is nan in epoch 1, step 1, the loss alone: every layer's output is finite"):
            train(made, run)
    assert json.loads((made.run_folder(run) / "failed.json").read_text())["run"] == run.id
    with pytest.raises(
        UserError, match="the loss is nan .* has failed before, and is not tried again: mend the cause, then delete"
    ):
        train(made, run)


@pytest.mark.parametrize("watch", (True, False))
@pytest.mark.parametrize(
    "weight, fault",
    (
        ("head.weight", "the loss is nan in epoch 2, step 3, first in layer head, whose weights are not finite"),
        ("blocks.0.mlp.hidden.linear.weight", "blocks.0.mlp.hidden.* is not finite after epoch 2, step 3"),
    ),
)
def test_what_is_lost_is_named_with_its_step_and_layer(monkeypatch, watch, weight, fault):
    """A neuron's NaN is no spike, so weights within the blocks are lost while the loss looks sound.

    Whether each step is looked at, as on a processor, or the steps are taken again to find it, as on a GPU.
    """
    made = campaign()
    run, seen = made.run("static", 0), []
    step, opened = trainer.Trainer.step, trainer.Trainer.__init__

    def damaged(self, *batch):
        seen.append((self.position.epoch, self.position.step))
        if seen[-1] == (1, 2):
            with torch.no_grad():
                self.backbone.get_parameter(weight)[0, 0] = float("inf")
        step(self, *batch)

    def opened_as(self, *given):
        opened(self, *given[:4], watch if given[4] is None else given[4])

    monkeypatch.setattr(trainer.Trainer, "step", damaged)
    monkeypatch.setattr(trainer.Trainer, "__init__", opened_as)
    with pytest.raises(UserError, match=fault):
        train(made, run)
    assert seen.count((1, 2)) == (1 if watch else 2) and seen.count((0, 2)) == 1
    reason = json.loads((made.run_folder(run) / "failed.json").read_text())["reason"]
    last = json.loads((made.weights_folder(run) / "record.jsonl").read_text().splitlines()[-1])
    assert "step 3" in reason and (last["event"], last["reason"]) == ("failed", reason)
    (tracked,) = in_mlflow(made, run)
    assert tracked.info.status == "FAILED" and tracked.data.tags["failed"] == reason


def test_a_lost_record_comes_back_from_the_checkpoint(trained):
    made, run = trained, trained.run("static", 0)
    before = epochs(made, "static")
    for folder in (made.run_folder(run), made.weights_folder(run)):
        (folder / "record.jsonl").unlink()
    train(made, run)
    assert epochs(made, "static") == before


def test_a_run_stays_in_one_precision(monkeypatch):
    made = campaign()
    run = made.run("static", 0)
    with monkeypatch.context() as cut:
        cut.setattr(trainer.Trainer, "finish_epoch", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(made, run)
    monkeypatch.setattr(trainer, "open_device", lambda *_: ComputeDevice(torch.device("cpu"), "float32"))
    with pytest.raises(UserError, match="was trained in float64 so far, this machine computes in float32"):
        train(made, run)


def test_a_run_stays_with_the_kernels_it_began_with(monkeypatch):
    made = campaign()
    run = made.run("static", 0)
    with monkeypatch.context() as cut:
        cut.setattr(trainer.Trainer, "finish_epoch", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        cut.setattr("models.native.describe", lambda: "compiled kernels: c++ 12")
        with pytest.raises(KeyboardInterrupt):
            train(made, run)
    monkeypatch.setattr("models.native.describe", lambda: "plain PyTorch: no C++ compiler")
    with pytest.raises(UserError, match="was trained in compiled kernels so far, this machine computes in plain PyTorch"):
        train(made, run)


def test_a_run_goes_on_with_another_instruction_set_which_its_record_names(monkeypatch, capsys):
    made = campaign()
    run = made.run("static", 0)
    wide, narrow = "compiled kernels: AVX-512, c++ 12", "compiled kernels: AVX2, c++ 12"
    with monkeypatch.context() as cut:
        cut.setattr(trainer.Trainer, "finish_epoch", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        cut.setattr("models.native.describe", lambda: wide)
        with pytest.raises(KeyboardInterrupt):
            train(made, run)
    monkeypatch.setattr("models.native.describe", lambda: narrow)
    train(made, run)
    entries = read(made.run_folder(run) / "record.jsonl")
    assert [(e["event"], e["provenance"]["kernels"]) for e in entries if "provenance" in e] == [
        ("start", wide),
        ("resume", narrow),
    ]
    said = capsys.readouterr().err
    assert f"computes in float64, {narrow}" in said and f"began with {wide}; other instructions" in said


def test_a_batch_larger_than_the_data_is_refused():
    made = campaign(recipes={"short": {"epochs": 1, "batch": 128}})
    with pytest.raises(UserError, match="a batch of 128 is larger than the 64 training images"):
        train(made, made.run("static", 0))


def test_a_missing_parent_is_named():
    made = campaign()
    with pytest.raises(UserError, match="static-s0-.* is missing: run static-s0-.* is not trained yet"):
        train(made, made.run("at_snn", 0))


def test_two_processes_never_train_the_same_run(monkeypatch, capsys):
    """The second waits for the first."""
    made = campaign()
    run, began = made.run("static", 0), []
    made.weights_folder(run).mkdir(parents=True)
    monkeypatch.setattr(trainer.Trainer, "train", lambda self: began.append(first.closed))
    monkeypatch.setattr("pipeline.training.training_job.publish", lambda *_: None)
    with (made.weights_folder(run) / ".lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        threading.Timer(2, first.close).start()
        train(made, run)
    assert began == [True] and "is being trained by another process: waits for it to end" in capsys.readouterr().err


def test_a_record_says_what_an_at_snn_run_must_say(trained):
    entries = read(trained.run_folder(trained.run("at_snn", 0)) / "record.jsonl")
    assert [e["event"] for e in entries] == ["start", "epoch", "channel_0", "epoch", "epoch", "epoch", "channel_0", "end"]
    assert [e["epoch"] for e in entries if e["event"] == "epoch"] == [0, 1, 2, 3]
    metrics = entries[3]["metrics"]
    assert set(metrics) == {
        "train_loss", "train_ponder", "learning_rate", "images_per_second", "waiting_for_data", "heldout_accuracy",
        "test_accuracy", "average_tokens", "warnings",
        "tokens_by_block", "merged_by_block", "halted_by_block",
    }  # fmt: skip
    assert metrics["merged_by_block"] == [5 / 64, 10 / 64]
    assert metrics["tokens_by_block"][1] == pytest.approx(1 - 10 / 64 - metrics["halted_by_block"][1])
    histogram = entries[2]["histogram"]["blocks"]
    assert sum(histogram[0]) == 20 * 2 * 59, "images x timesteps x tokens computed in block 1"
    made_with = entries[0]["provenance"]
    assert made_with["precision"] == "float64" and made_with["data"]["source"].startswith("shapes-")
    assert 0 <= metrics["waiting_for_data"] < 1 and made_with["kernels"]
    assert {"torch", "spikingjelly", "timm"} <= set(made_with["versions"]) and (
        made_with["git"]["commit"] or made_with["git"]["why"]
    )
    assert torch.get_num_threads() == 1


def test_what_is_dead_in_a_network_stands_in_log_record_mlflow_and_evaluations(trained, monkeypatch, capsys):
    """A layer that never spikes again after the first epoch, in a network whose tokens all halt in its first block."""
    made = campaign(
        runs={
            "static": {"method": "static", "dataset": "shapes", "network": "small", "recipe": "short", "seeds": [0]},
            "at_snn": {"method": "at_snn", "options": {"gamma": 5, "beta": 100.0}, "parent": "static", "recipe": "short"},
        },
        evaluations={"at_snn": {"run": "at_snn"}},
        table1=[{"evaluation": "at_snn"}],
    )
    run, step = made.run("at_snn", 0), trainer.Trainer.step

    def silenced(self, *batch):
        step(self, *batch)
        bn = self.backbone.blocks[0].mlp.hidden.bn
        with torch.no_grad():
            bn.weight.zero_(), bn.bias.fill_(-5)

    monkeypatch.setattr(trainer.Trainer, "step", silenced)
    train(made, run)
    silent, halted = "blocks.0.mlp.hidden never spikes", "every token halts at the first block"
    entries = [e for e in read(made.run_folder(run) / "record.jsonl") if e["event"] == "epoch"]
    assert all("sps.stages.0 never spikes" not in e["warnings"] and halted in e["warnings"] for e in entries)
    assert all({silent, halted} <= set(e["warnings"]) and e["step"] == 4 * e["epoch"] for e in entries[1:])
    assert all(e["metrics"]["warnings"] == len(e["warnings"]) for e in entries)
    assert f"{run.id}: warning: after epoch 3, step 12: {', '.join(entries[-1]['warnings'])}" in capsys.readouterr().err
    (tracked,) = in_mlflow(made, run)
    assert silent in tracked.data.tags["warnings"] and tracked.data.metrics["warnings"] == len(entries[-1]["warnings"])
    told = evaluate(made, run)["evaluations"]["at_snn"]
    assert {silent, halted} <= set(told["warnings"]) and told["metrics"]["warnings"] == len(told["warnings"])
