"""Trainings whose layers are dense in some calls and event-driven in others: one that was cut off ends with the same bits."""

from collections import Counter

import pytest
import test_trainer
import yaml
from test_trainer import epochs, few_images, forgotten

from models import native
from models.native import build, event_driven
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import validate
from pipeline.command_line import CATALOGUE
from pipeline.data.datasets import shapes
from pipeline.data.prepared import prepare_from_source
from pipeline.training import trainer
from pipeline.training.training_job import train

pytestmark = pytest.mark.skipif(build.library()[0] is None, reason=native.describe())


@pytest.fixture
def made(tmp_path, monkeypatch, copied_store):
    """A campaign in float32, of a network as wide as the smallest whose layers are event-driven, with the kernels' own thresholds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATSNN_KERNELS", raising=False)
    few_images(monkeypatch)
    content = yaml.safe_load(test_trainer.DECLARATION) | {"precision": "float32"}
    content["networks"]["small"]["width"] = 48
    campaign = Campaign(validate(content, CATALOGUE), CATALOGUE)
    prepare_from_source(shapes, campaign.data("shapes"), [])
    return campaign


@pytest.fixture
def paths(monkeypatch):
    """How often a layer, or its weights' gradient, was computed dense and event-driven."""
    taken = Counter()

    def counted(name, function):
        return lambda *arguments: taken.update([name]) or function(*arguments)

    call = event_driven.call
    monkeypatch.setattr(event_driven, "call", lambda name, *rest: taken.update([name]) or call(name, *rest))
    for name in ("dense", "dense_weight_gradient"):
        monkeypatch.setattr(event_driven, name, counted(name, getattr(event_driven, name)))
    return taken


@pytest.mark.parametrize("label, stop", (("static", 5), ("at_snn", 6)))
def test_a_training_that_was_cut_off_ends_with_the_same_bits_whichever_paths_it_takes(made, paths, monkeypatch, label, stop):
    for run in ("static", "at_snn"):
        train(made, made.run(run, 0))
    undisturbed = paths.copy()
    assert min(undisturbed[name] for name in ("event_forward", "event_weight_gradient", "dense", "dense_weight_gradient")) > 10
    run, steps, step = made.run(label, 0), [], trainer.Trainer.step
    whole, record = forgotten(made, label)

    def cut(self, *batch):
        if len(steps) == stop:
            steps.append("cut")
            raise KeyboardInterrupt
        steps.append("step")
        step(self, *batch)

    monkeypatch.setattr(trainer.Trainer, "step", cut)
    with pytest.raises(KeyboardInterrupt):
        train(made, run)
    train(made, run)
    assert steps.count("step") == 12 and "cut" in steps
    assert (made.weights_folder(run) / "final.safetensors").read_bytes() == whole and epochs(made, label) == record
