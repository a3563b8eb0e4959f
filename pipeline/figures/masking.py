"""Temporally-aware against random masking (Fig. 10c): the paper's reason to take the same tokens away at every timestep.

Dimensions: T timesteps, N images, B batch, K = 64 tokens, D channels, M numbers of masked tokens.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation
from pipeline.randomness import generator

TITLE = "Temporally-aware minus random masking (Fig. 10c)"
DEFINITION = (
    "A static network as it was trained; m of the 64 tokens of each image are masked after patch splitting and in all blocks: "
    "they receive no current, emit nothing and are 0. Random masking (RM) draws positions anew at each timestep, temporally-aware "
    "masking (TAM) keeps those of t = 1, so that both mask the same ones at first. Reading: the head takes the mean over all 64 "
    "tokens, masked ones included, as zeros."
)
MOST_EVALUATIONS = None
KINDS = {"tam": ("temporally-aware", canvas.BLUE, "o"), "rm": ("random", canvas.ORANGE, "s")}


class Settings(BaseModel):
    """masked: how many tokens; draws: of positions; images: how many of the test images, None: all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    masked: tuple[int, ...] = Field(default=(8, 16, 24, 32, 40, 48, 56), min_length=1)
    draws: int = Field(default=5, ge=5)
    images: int | None = None


def measure(subject, settings: Settings) -> dict:
    """Accuracy in percent, `unmasked`, and by kind of masking [M, draws]."""
    import torch

    right = {kind: np.zeros((len(settings.masked), settings.draws)) for kind in KINDS}
    unmasked, seen = 0, 0
    for images, labels in subject.batches(images=settings.images):
        with subject.arithmetic():
            u = subject.backbone.embed(images.to(subject.device, subject.dtype))
        unmasked += hits(subject, u, None, labels)
        for draw in range(settings.draws):
            order = torch.from_numpy(orders(subject.evaluation.run.seed, draw, seen, u.shape[:3])).to(u.device)
            for place, count in enumerate(settings.masked):
                right["rm"][place, draw] += hits(subject, u, order >= count, labels)
                right["tam"][place, draw] += hits(subject, u, (order[:1] >= count).expand_as(order), labels)
        seen += len(labels)
    accuracy = {kind: (100 * values / seen).tolist() for kind, values in right.items()}
    return accuracy | {"unmasked": 100 * unmasked / seen}


def orders(seed: int, draw: int, first: int, shape: tuple[int, ...]) -> np.ndarray:
    """In which order tokens would be masked, int64 [T, B, K]: a function of run's seed, draw, timestep and image alone."""
    timesteps, images, tokens = shape
    found = np.empty(shape, np.int64)
    for image in range(images):
        random = generator(seed, "masking", draw, first + image)
        found[:, image] = [random.permutation(tokens) for _ in range(timesteps)]
    return found


def hits(subject, u, live, labels) -> int:
    """How many of a batch are classified right, from tokens u [T, B, K, D] of which those that are not live are masked."""
    if live is not None:
        u = u * live[..., None]
    with subject.arithmetic():
        for block in subject.backbone.blocks:
            u = block(u, live)
        logits = subject.backbone.classify(u.mean(dim=2))
    return int((logits.double().mean(0).argmax(-1).cpu() == labels).sum())


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """The difference over the tokens masked, seed by seed and draw by draw, and both accuracies."""
    masked, seeds = evaluations[0].settings["masked"], []
    for e in evaluations:
        told = shown.metrics_of(campaign, e, *KINDS, "unmasked")
        difference = np.array(told["tam"]) - np.array(told["rm"])
        seeds.append({"evaluation": e.id, "run": e.run.id, "masked": masked, "difference": difference.mean(1).tolist()} | told)
    figure, axes = canvas.panels(1, 2, width=8.4, gridspec_kw={"width_ratios": (3, 2)})
    left, right = axes[0]
    every = np.concatenate([np.array(seed["tam"]) - np.array(seed["rm"]) for seed in seeds], axis=1)  # [M, seeds x draws]
    left.axhline(0, color=canvas.BLACK, lw=0.8)
    left.plot(masked, every, ".", color=canvas.SKY, ms=4)
    left.plot(masked, every.mean(1), "o-", color=canvas.BLUE, lw=2)
    left.set(xlabel="tokens masked (of 64)", ylabel="TAM - RM (points of accuracy)", xticks=masked)
    for kind, (name, colour, marker) in KINDS.items():
        values = np.concatenate([np.array(seed[kind]) for seed in seeds], axis=1)
        right.errorbar(masked, values.mean(1), values.std(1, ddof=1), color=colour, marker=marker, capsize=2, label=name)
    right.axhline(np.mean([seed["unmasked"] for seed in seeds]), color=canvas.GREY, ls="--", lw=1, label="nothing masked")
    right.set(xlabel="tokens masked (of 64)", ylabel="accuracy (%)", ylim=(0, None))
    right.legend()
    draws = evaluations[0].settings["draws"]
    caption = f"Left: line, the mean; dots, each of {draws} draws of n = {len(seeds)} seeds. Right: mean and standard deviation over both."
    return figure, {"caption": caption, "mean_difference": every.mean(1).tolist(), "seeds": seeds}
