"""Several processes train one run: they take its batches, see its rows and end with its weights"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from noise import prepared_noise

from pipeline.campaign.declaration import Recipe
from pipeline.core.errors import UserError
from pipeline.data.augmentation import TrainingBatches
from pipeline.data.evaluation_batches import evaluation_batches
from pipeline.training.processes import Team

METHODS = ("static", "dt_snn", "at_snn", "halt_only")
SPIKES_APART = 1e-2  # of a loss in float32: another order of sums moves a membrane over its threshold now and then


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_noise(tmp_path_factory.mktemp("prepared"), 1032, 32, 70)


@pytest.mark.parametrize("processes", (2, 4))
def test_the_shares_of_a_batch_are_its_images_mixed_and_erased_as_in_one(data, processes):
    recipe = Recipe(batch=16, erasing=0.7).model_dump()
    images, target = TrainingBatches(data, recipe, 0)[(3, 1)]
    shares = [TrainingBatches(data, recipe, 0, number, processes) for number in range(processes)]
    order = np.concatenate([share.share for share in shares])
    assert sorted(order) == list(range(16))
    own_images, own_target = (torch.cat(parts) for parts in zip(*(share[(3, 1)] for share in shares)))
    assert torch.equal(own_images, images[order]) and torch.equal(own_target, target[order])
    assert (images == 0).flatten(1).sum(1).max() > 100, "something was erased"


def test_each_image_is_seen_once_an_epoch(data):
    recipe = Recipe(batch=8, mixup=0, rand_augment=None, erasing=0, flip=0).model_dump()
    seen = [images.flatten(1) for number in (0, 1) for images, _ in TrainingBatches(data, recipe, 0, number, 2).epoch(5, 0, 0)]
    assert len(torch.cat(seen)) == len(torch.cat(seen).unique(dim=0)) == 32


def test_a_batch_that_cannot_be_shared_is_refused(data):
    with pytest.raises(UserError, match="a batch of 16 can't be shared by 3 processes.*divides 8"):
        TrainingBatches(data, Recipe(batch=16).model_dump(), 0, 0, 3)


def test_evaluation_batches_are_dealt_out_in_turn(data):
    whole = list(evaluation_batches(data, "test", 20))
    dealt = [list(evaluation_batches(data, "test", 20, number, 3)) for number in range(3)]
    assert [len(part) for part in dealt] == [2, 1, 1]
    for number, part in enumerate(dealt):
        assert all(torch.equal(a[0], b[0]) for a, b in zip(part, whole[number::3]))


def test_alone_a_team_changes_nothing():
    team, network = Team(), torch.nn.BatchNorm1d(3)
    assert (team.count, team.number, team.writes) == (1, 0, True)
    assert team.parallel(network, torch.device("cpu")) is network and type(network) is torch.nn.BatchNorm1d
    assert team.any(True, False) == (True, False) and team.gather([1, 2]) == [1, 2]


@pytest.fixture(scope="module")
def one_and_two(data, tmp_path_factory):
    """What some steps of one process gave, and of two: by precision and method."""
    script, folder = [str(Path(__file__).with_name("some_steps.py")), str(data.folder)], tmp_path_factory.mktemp("steps")
    alone, both = folder / "one.pt", folder / "two.pt"
    subprocess.run([sys.executable, *script, str(alone), *METHODS], check=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*launcher, *script, str(both), *METHODS], check=True, timeout=300, capture_output=True)
    return torch.load(alone), torch.load(both)


@pytest.mark.parametrize("dtype, bound", (("float64", 1e-10), ("float32", SPIKES_APART)))
def test_two_processes_take_the_steps_of_one(one_and_two, dtype, bound):
    """In float64 up to rounding; in float32, with the compiled kernels, up to the spikes that rounding moves."""
    one, two = (told[dtype] for told in one_and_two)
    for name in METHODS:
        losses = one[name]["losses"]
        assert len(losses) == 4 and losses.std() > 0
        torch.testing.assert_close(two[name]["losses"], losses, rtol=bound, atol=0)
        assert list(two[name]["weights"]) == list(one[name]["weights"])
        moving = {key: x for key, x in one[name]["weights"].items() if "running" in key}
        for key, expected in moving.items():
            torch.testing.assert_close(two[name]["weights"][key], expected, rtol=10 * bound, atol=10 * bound)
        assert all(gradient.abs().max() > 0 for gradient in one[name]["gradients"][:6]), "the network is alive"
