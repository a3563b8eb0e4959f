"""The published recipe, value by value: github.com/ZK-Zhou/spikformer, cifar10/cifar10.yml."""

import math

import pytest
import torch

from models.spikformer import Spikformer
from pipeline.campaign.declaration import Recipe
from pipeline.training.optimizer_and_schedule import learning_rate_schedule, optimizer_for

PUBLISHED = {
    "epochs": 300, "cooldown_epochs": 10, "batch": 128, "lr": 5e-4, "min_lr": 1e-5, "warmup_lr": 1e-5, "warmup_epochs": 20,
    "weight_decay": 0.06, "label_smoothing": 0.1, "mixup": 0.5, "mixup_off_epoch": 200, "flip": 0.5,
    "rand_augment": "rand-m9-n1-mstd0.4-inc1", "erasing": 0.25,
}  # fmt: skip


def published_rate(epoch):
    if epoch < 20:
        return 1e-5 + epoch * (5e-4 - 1e-5) / 20
    if epoch < 300:
        return 1e-5 + (5e-4 - 1e-5) * (1 + math.cos(math.pi * epoch / 300)) / 2
    return 1e-5


def test_the_defaults_are_the_published_values():
    assert Recipe().model_dump() == PUBLISHED


def test_the_learning_rate_of_all_310_epochs():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedule, epochs = learning_rate_schedule(optimizer, PUBLISHED)
    assert epochs == 310
    for epoch in range(epochs):
        schedule.step(epoch)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(published_rate(epoch), rel=1e-12), epoch


def test_the_rate_of_an_epoch_does_not_depend_on_those_before():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=5e-4)
    schedule, _ = learning_rate_schedule(optimizer, PUBLISHED)
    schedule.step(123)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(published_rate(123), rel=1e-12)


def test_weight_decay_is_on_matrices_and_kernels_only():
    model = Spikformer(depth=2, width=16, heads=2)
    optimizer = optimizer_for(model, PUBLISHED)
    assert type(optimizer) is torch.optim.AdamW
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, p in model.named_parameters():
        assert decay[id(p)] == (0.06 if p.ndim > 1 else 0), name
