"""Make timm's optimizer and schedule of METHOD's recipe: AdamW; a cosine learning rate with warm-up, then a cooldown."""

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2


def optimizer_for(model: torch.nn.Module, recipe: dict) -> torch.optim.Optimizer:
    """Make AdamW, fused, with weight decay on matrices and kernels only, not on biases and batch norm."""
    return create_optimizer_v2(model, opt="adamw", lr=recipe["lr"], weight_decay=recipe["weight_decay"], fused=True)


def learning_rate_schedule(optimizer: torch.optim.Optimizer, recipe: dict):
    """Make the schedule, and return it with its number of epochs, cooldown included; `schedule.step(epoch)` sets an epoch's rate.

    Epoch e counts from 0: linear from warmup_lr to lr in the first `warmup_epochs`, then the cosine over all `epochs`
    (warm-up is no prefix) down to min_lr, which the cooldown keeps. 300 + 10 epochs as published.
    """
    return create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=recipe["epochs"],
        cooldown_epochs=recipe["cooldown_epochs"],
        min_lr=recipe["min_lr"],
        warmup_lr=recipe["warmup_lr"],
        warmup_epochs=recipe["warmup_epochs"],
        warmup_prefix=False,
    )
