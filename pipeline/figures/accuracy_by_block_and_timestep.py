"""Accuracy by the number of blocks and of timesteps that are computed (Fig. 1c), on a network as it was trained.

Dimensions: T timesteps, B batch, K tokens, D channels, L blocks.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.discovery import discovered
from pipeline.identity import Evaluation

TITLE = "Accuracy by block and by timestep (Fig. 1c)"
DEFINITION = (
    "Left: the head reads the mean over tokens after patch splitting (block 0) and after each block, at all timesteps. Reading: "
    "the paper does not say how it reads out a block that is not the last; here it is the network's own head, which was trained "
    "for the last block only. Right: the mean of the logits of timesteps 1 to t."
)
MOST_EVALUATIONS = None


class Settings(BaseModel):
    """images: how many of the test images; None: all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int | None = None


def measure(subject, settings: Settings) -> dict:
    """Accuracy in percent: [L + 1] after each block, from 0, and [T] after each timestep."""
    import torch

    backbone, right, seen = subject.backbone, 0, 0
    for images, labels in subject.batches(images=settings.images):
        with subject.arithmetic():
            u = backbone.embed(images.to(subject.device, subject.dtype))
            streams = [u]
            for block in backbone.blocks:
                streams.append(block(streams[-1]))
            logits = torch.stack([backbone.classify(u.mean(dim=2)) for u in streams])  # [L + 1, T, B, C]
        steps = torch.arange(1, logits.shape[1] + 1, device=logits.device)[:, None, None]
        means = logits.double().cumsum(1) / steps
        right = right + (means.argmax(-1).cpu() == labels).sum(-1)  # [L + 1, T]
        seen += len(labels)
    accuracy = 100 * right.double() / seen
    return {"accuracy_by_block": accuracy[:, -1].tolist(), "accuracy_by_timestep": accuracy[-1].tolist()}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A line per data set over blocks and over timesteps."""
    seeds = [
        {"evaluation": e.id, "run": e.run.id, "architecture": e.run.architecture, "dataset": e.run.data.name}
        | shown.metrics_of(campaign, e, "accuracy_by_block", "accuracy_by_timestep")
        for e in evaluations
    ]
    figure, axes = canvas.panels(1, 2, width=8, sharey=True)
    lines = []
    for place, own in enumerate(shown.by_data(evaluations).values()):
        mine = [seed for seed in seeds if seed["evaluation"] in {e.id for e in own}]
        name = discovered("pipeline.datasets", own[0].run.data.name, "dataset").TITLE
        for axis, key, first in zip(axes[0], ("accuracy_by_block", "accuracy_by_timestep"), (0, 1)):
            values = np.array([seed[key] for seed in mine])
            mean, std = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else None
            label, at = f"{name}, {own[0].run.architecture}", np.arange(first, first + len(mean))
            axis.errorbar(at, mean, std, marker="o", capsize=2, color=canvas.COLOURS[place], label=label)
            spread = None if std is None else std.tolist()
            lines.append({"dataset": name, "by": key, "mean": mean.tolist(), "std": spread, "n": len(mine)})
    axes[0, 0].set(xlabel="blocks computed", ylabel="accuracy (%)", ylim=(0, None))
    axes[0, 1].set(xlabel="timesteps computed")
    for axis in axes[0]:
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 1].legend(loc="lower right")
    caption = f"Mean and standard deviation over n = {max(line['n'] for line in lines)} seeds."
    return figure, {"caption": caption, "lines": lines, "seeds": seeds}
