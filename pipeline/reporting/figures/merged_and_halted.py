"""Plot how many tokens are merged away, halted and computed, by block and timestep (Fig. 7a).

Dimensions: L blocks, T timesteps, N images, K0 = 64 tokens.
"""
# Tested in tests/pipeline/reporting/figures/test_figures.py

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas, fate_bars

TITLE = "Tokens merged away, halted and computed, by block and timestep (Fig. 7a)"
DEFINITION = (
    "Of the 64 tokens that each image starts with: those that this block's merge or an earlier one took away, those of the "
    "others that halted in an earlier block of the timestep, and those that the block computed. Means over the test images. "
    "Reading: a token that halted and is merged away later counts as merged from then on."
)
MOST_EVALUATIONS = 1
TOKENS = 64
FATES = ("merged", "halted", "computed")  # from the bottom up


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw stacked bars of the mean over seeds; the numbers are shares of the 64 tokens."""
    seeds = [
        {"evaluation": e.id, "run": e.run.id}
        | shares(campaign_results.fates(campaign, e))
        | {"halts_here": halts_here(campaign, e)}
        for e in evaluations
    ]
    values = {key: np.array([seed[key] for seed in seeds]) for key in FATES}
    mean = {key: value.mean(0) for key, value in values.items()}
    std = {key: value.std(0, ddof=1).tolist() if len(seeds) > 1 else None for key, value in values.items()}
    numbers = {"mean": {key: value.tolist() for key, value in mean.items()}, "std": std, "n": len(seeds), "seeds": seeds}
    return paint(mean, values), {"caption": caption(mean, len(seeds))} | numbers


def shares(fates: np.ndarray) -> dict:
    """Average fates [L, T, N, K0] over images: shares of an image's tokens merged [L] at every t, halted and computed [L][T]."""
    merged, halted, computed = ((fates == fate).mean(axis=(2, 3)) for fate in (1, 2, 0))
    return {"merged": merged[:, 0].tolist(), "halted": halted.tolist(), "computed": computed.tolist()}


def halts_here(campaign: Campaign, evaluation: Evaluation) -> list[list[float]]:
    """Compute the share of tokens that halt at the exit of each block, [L - 1][T], but the last, where all halt."""
    halt_block = campaign_results.arrays_of(campaign, evaluation, "halt_block")["halt_block"]  # [T, N, K0]
    return [(halt_block == block).mean(axis=(1, 2)).tolist() for block in range(1, evaluation.run.network["depth"])]


def caption(mean: dict, n: int) -> str:
    """Write the caption: mean shares (%) of each fate over all blocks and timesteps."""
    parts = [f"{100 * mean[key].mean():.1f} % {fate_bars.NAMES[key]}" for key in FATES]
    text = f"Over all blocks and timesteps, mean over images and n = {n} seeds: {', '.join(parts)}."
    absent = [word for key, word in (("merged", "is merged away"), ("halted", "halts")) if not mean[key].any()]
    return text + "".join(f" Nothing {word}." for word in absent)


def paint(mean: dict, values: dict):
    """Draw blocks side by side, timesteps apart; whiskers are the standard deviation over seeds of what is merged or halted."""
    depth, timesteps = mean["computed"].shape
    figure, axes = canvas.panels(width=max(6.4, 1.5 + 0.28 * (depth + 1) * timesteps), height=3.6)
    axis = axes[0, 0]
    x = np.arange(depth)[:, None] + (depth + 1) * np.arange(timesteps)  # [L, T]
    bottom = np.zeros(x.shape)
    for key in FATES:
        height = TOKENS * np.broadcast_to(mean[key].reshape(depth, -1), x.shape)
        style = {"color": fate_bars.COLOURS[key], "edgecolor": "#555555", "linewidth": 0.6, "width": 0.92}
        axis.bar(x.ravel(), height.ravel(), bottom=bottom.ravel(), label=fate_bars.NAMES[key], **style)
        bottom = bottom + height
    if len(values["computed"]) > 1:
        spread = TOKENS * values["computed"].std(0, ddof=1)
        varies = spread > 1e-9  # merging removes the same number of tokens for all seeds
        removed = TOKENS * (1 - mean["computed"][varies])
        axis.errorbar(x[varies], removed, spread[varies], ls="", color="black", capsize=2, lw=1)
    for t in range(timesteps):
        middle, computed = x[:, t].mean(), 100 * mean["computed"][:, t].mean()
        axis.text(middle, TOKENS + 1, f"t = {t + 1}\n{computed:.1f} % computed", ha="center", va="bottom", fontsize=8)
    ticks = {"xticks": x.T.ravel(), "xticklabels": [*range(1, depth + 1)] * timesteps, "yticks": range(0, TOKENS + 1, 16)}
    axis.set(xlabel="block", ylabel="tokens", ylim=(0, TOKENS), **ticks)
    axis.tick_params(axis="x", length=0)
    axis.grid(visible=False, axis="x")
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center")  # in the order of the stack
    return figure
