"""What a plan knows of passes and images without a look at them, and the command."""

import json
import re
import subprocess
import sys
import time

import pytest
import torch
from planned import campaign

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.read_declaration import load
from pipeline.command_line import CATALOGUE
from pipeline.core.paths import ROOT
from pipeline.planning.costs import counts


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATSNN_DATA", raising=False)


class Counting:
    """A subject whose passes are counted."""

    def __init__(self):
        self.passes, self.backbone = 0, torch.nn.Module()

    def network(self, **changes):
        return None

    def measure(self, network, images):
        import numpy as np

        from pipeline.evaluation.measure import Measurement

        self.passes += 1
        told = {"executed": np.ones((1, 1)), "tokens": np.ones(1), "ponder": 0.0, "channel_0": np.ones((1, 5), int)}
        return Measurement(np.zeros(1, int), np.zeros((1, 1, 2)), 1, **told)


@pytest.mark.parametrize("name", ("gamma_epsilon", "halting_onset"))
def test_a_probe_passes_as_often_as_it_says(name):
    figure, subject = CATALOGUE.figures[name], Counting()
    settings = CATALOGUE.probe_settings(name, {})
    figure.measure(subject, settings)
    assert subject.passes == figure.passes(settings) > 1


def test_masking_goes_through_the_blocks_as_often_as_it_says(monkeypatch):
    import torch

    from models.spikformer import Spikformer
    from pipeline.evaluation.subject import Subject
    from pipeline.reporting.figures import masking

    seen = []
    monkeypatch.setattr(masking, "count_correct", lambda *_: seen.append(1) or 0)
    network = Spikformer(depth=1, width=16, heads=2, timesteps=1).eval()
    subject = Subject(campaign().evaluations[0], network, None, torch.device("cpu"), torch.float32, torch.no_grad, CATALOGUE)
    monkeypatch.setattr(Subject, "batches", lambda self, images: [(torch.zeros(2, 3, 32, 32), torch.zeros(2))])
    settings = CATALOGUE.probe_settings("masking", {"masked": [8, 16]})
    masking.measure(subject, settings)
    assert len(seen) == masking.passes(settings) == 1 + 2 * 2 * 5


def test_the_images_of_a_data_set_are_counted_without_it():
    made = {name: Campaign(load("paper", CATALOGUE), CATALOGUE).data(name) for name in ("cifar10", "cifar100", "tiny_imagenet")}
    assert {name: counts(CATALOGUE, data) for name, data in made.items()} == {
        "cifar10": (49_000, 10_000),
        "cifar100": (49_000, 10_000),
        "tiny_imagenet": (99_000, 10_000),
    }
    assert counts(CATALOGUE, campaign().data("shapes")) == (1000, 200)
    whole = campaign(datasets={"shapes": {}}).data("shapes")
    raw = CATALOGUE.datasets["shapes"].COUNTS
    assert counts(CATALOGUE, whole) == raw


def command(*words):
    return subprocess.run([sys.executable, "-m", "pipeline.plan", *words], cwd=ROOT, capture_output=True, text=True)


def test_the_papers_plan_is_there_in_seconds_without_torch():
    code = "import sys; sys.argv = ['plan', '--scale', 'paper', '--gpus', '8']; from pipeline import plan; plan.main(); print('torch' in sys.modules)"
    start = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert time.monotonic() - start < 10 and run.returncode == 0, run.stderr
    assert run.stdout.endswith("False\n") and re.search(r"^train +162 +\d+ +\d+", run.stdout, re.M)


def test_json_holds_all_of_it():
    run = command("--scale", "smoke", "--json")
    assert run.returncode == 0 and json.loads(run.stdout)["jobs"]["train"]["jobs"] == 26, run.stderr


@pytest.mark.parametrize(
    "words, message",
    ((("--scale", "papper"), "did you mean 'paper'?"), (("--scale", "smoke", "--gpus", "0"), "how many devices work at once")),
)
def test_a_mistake_is_one_line(words, message):
    run = command(*words)
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and message in run.stderr and not run.stdout
