"""How alike the inputs of consecutive blocks are (Fig. 3): the paper's reason why halting may carry over to spikes.

Dimensions: T timesteps, B batch, K tokens, D channels, L blocks.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation

TITLE = "Estimation error and similarity of the inputs of consecutive blocks (Fig. 3)"
DEFINITION = (
    "x^l is the input of block l. Per token, the estimation error |x^(l+1) - x^l| / |x^(l+1)| (Euclidean norms, relative to what "
    "is estimated: a reading, the paper does not define it) and the cosine of x^l and x^(l+1), averaged over tokens and images at "
    "each timestep (thin) and over timesteps (thick). Tokens that are all zero in either input have neither and are left out."
)
MOST_EVALUATIONS = None
PANELS = (("error", "estimation error"), ("cosine", "cosine similarity"))


class Settings(BaseModel):
    """images: how many of the test images; None: all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int | None = None


def measure(subject, settings: Settings) -> dict:
    """`error` and `cosine`, [L - 1, T] each; `left_out`, the share of tokens without either."""
    import torch

    sums, kept, seen = 0, 0, 0
    for images, _ in subject.batches(images=settings.images):
        with subject.arithmetic():
            inputs = [subject.backbone.embed(images.to(subject.device, subject.dtype))]
            for block in subject.backbone.blocks[:-1]:
                inputs.append(block(inputs[-1]))
        pairs = [similarity(before.double(), after.double()) for before, after in zip(inputs[:-1], inputs[1:])]
        sums = sums + torch.stack([torch.stack((error, cosine)) for error, cosine, _ in pairs])  # [L - 1, 2, T]
        kept = kept + torch.stack([count for *_, count in pairs])  # [L - 1, T]
        seen += len(images) * inputs[0].shape[2]
    error, cosine = (sums / kept[:, None]).unbind(1)
    return {"error": error.tolist(), "cosine": cosine.tolist(), "left_out": 1 - (kept / seen).mean().item()}


def similarity(before, after):
    """Sums over tokens and images of estimation error and cosine, and how many tokens have them: [T] each, of [T, B, K, D]."""
    import torch

    norms = before.norm(dim=-1), after.norm(dim=-1)
    known = (norms[0] > 0) & (norms[1] > 0)
    error = (after - before).norm(dim=-1) / norms[1]
    cosine = (after * before).sum(-1) / (norms[0] * norms[1])
    sums = [torch.where(known, x, 0).sum(dim=(1, 2)) for x in (error, cosine)]
    return *sums, known.sum(dim=(1, 2))


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A column per network, the paper's (a) and (b)."""
    seeds = [
        {"evaluation": e.id, "run": e.run.id, "architecture": e.run.architecture}
        | shown.metrics_of(campaign, e, "error", "cosine", "left_out")
        for e in evaluations
    ]
    names = list(dict.fromkeys(seed["architecture"] for seed in seeds))
    figure, axes = canvas.panels(2, len(names), width=max(4.8, 3.6 * len(names)), height=4.6, sharey="row")
    lines = []
    for column, name in enumerate(names):
        mine = [seed for seed in seeds if seed["architecture"] == name]
        for axis, (key, label) in zip(axes[:, column], PANELS):
            mean = np.mean([seed[key] for seed in mine], axis=0)  # [L - 1, T]
            at = np.arange(1, len(mean) + 1)
            if mean.shape[1] > 1:
                axis.plot(at, mean, marker=".", color=canvas.SKY, lw=1)
            over_time = np.array([np.mean(seed[key], axis=1) for seed in mine])
            std = over_time.std(0, ddof=1) if len(mine) > 1 else None
            axis.errorbar(at, over_time.mean(0), std, marker="o", lw=2, capsize=2, color=canvas.BLUE)
            axis.set_xticks(at, [f"{l}→{l + 1}" for l in at])
            lines.append({"architecture": name, "of": key, "by_timestep": mean.tolist(), "mean": over_time.mean(0).tolist()})
            if column == 0:
                axis.set_ylabel(label)
        axes[0, column].set_title(name)
        axes[1, column].set(xlabel="from input of block to the next", ylim=(0, 1.02))
        axes[0, column].set_ylim(0, None)
    left_out = max(seed["left_out"] for seed in seeds)
    counts = ", ".join(f"n = {sum(seed['architecture'] == name for seed in seeds)} ({name})" for name in names)
    caption = f"Thick: mean over timesteps and seeds, {counts}; thin: each timestep. "
    caption += f"At most {100 * left_out:.1f} % of a network's tokens are all zero and left out."
    return figure, {"caption": caption, "lines": lines, "seeds": seeds}
