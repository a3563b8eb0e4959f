"""Accuracy and tokens over gamma and epsilon, on the same weights: what the two knobs do without retraining."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation

TITLE = "Accuracy and tokens over γ and ε, same weights"
DEFINITION = (
    "One trained AT-SNN, evaluated with every pair of γ (tokens merged per block) and ε (a token halts once its scores sum to "
    "1 - ε). Left: accuracy; middle: average tokens, of the 64 per block; right: tokens halted, the share that merging does not "
    "explain. Framed: nearest to what the network was trained with."
)
MOST_EVALUATIONS = 1
MAPS = (
    ("accuracy", "accuracy (%)", "{:.1f}"),
    ("tokens", "average tokens (share)", "{:.2f}"),
    ("halted", "halted (share)", "{:.2f}"),
)


class Settings(BaseModel):
    """images: how many of the test images; None: all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gammas: tuple[int, ...] = Field(default=(0, 5, 10, 20), min_length=1)
    epsilons: tuple[float, ...] = Field(default=(0.01, 0.1, 0.3), min_length=1)
    images: int | None = None


def measure(subject, settings: Settings) -> dict:
    """Each [gammas, epsilons]: accuracy in percent, and shares of the tokens computed, merged away and halted, mean over blocks."""
    grids: dict[str, list] = {key: [] for key in ("accuracy", "tokens", "merged", "halted")}
    for gamma in settings.gammas:
        told = [
            subject.measure(subject.network(gamma=gamma, epsilon=epsilon), images=settings.images).summary()
            for epsilon in settings.epsilons
        ]
        grids["accuracy"].append([x["accuracy"] for x in told])
        grids["tokens"].append([x["average_tokens"] for x in told])
        for key in ("merged", "halted"):
            grids[key].append([float(np.mean(x[f"{key}_by_block"])) for x in told])
    return grids


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A map each, mean over seeds."""
    gammas, epsilons = (evaluations[0].settings[key] for key in ("gammas", "epsilons"))
    seeds = [
        {"evaluation": e.id, "run": e.run.id} | shown.metrics_of(campaign, e, "accuracy", "tokens", "merged", "halted")
        for e in evaluations
    ]
    means = {key: np.mean([seed[key] for seed in seeds], axis=0) for key in ("accuracy", "tokens", "merged", "halted")}
    trained = [
        int(np.argmin(np.abs(np.array(grid) - evaluations[0].run.options[key])))
        for key, grid in (("epsilon", epsilons), ("gamma", gammas))
    ]
    size = 1.2 + 0.55 * len(epsilons)
    figure, axes = canvas.panels(1, len(MAPS), width=3 * max(size, 3.2), height=1.2 + 0.36 * len(gammas))
    for axis, (key, title, pattern) in zip(axes[0], MAPS):
        paint(axis, means[key], pattern, trained)
        axis.set(title=title, xlabel="ε", xticks=range(len(epsilons)), xticklabels=[f"{x:g}" for x in epsilons])
        axis.set(yticks=range(len(gammas)), yticklabels=gammas)
    axes[0, 0].set_ylabel("γ")
    at = {"gammas": gammas, "epsilons": epsilons}
    at |= {"trained": {key: evaluations[0].run.options[key] for key in ("gamma", "epsilon")}}
    caption = f"Mean over n = {len(seeds)} seeds; trained with γ = {at['trained']['gamma']}, ε = {at['trained']['epsilon']:g}."
    if not means["halted"].any():
        caption += " Nothing halts anywhere on this map."
    return figure, {"caption": caption} | at | {"mean": {key: x.tolist() for key, x in means.items()}, "seeds": seeds}


def paint(axis, values: np.ndarray, pattern: str, trained: list[int]) -> None:
    """A map with its numbers written in, readable on its own colours."""
    image = axis.imshow(values, cmap=canvas.HEAT, aspect="auto", origin="lower")
    middle = (image.norm.vmin + image.norm.vmax) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < middle or image.norm.vmin == image.norm.vmax else "black"
        axis.text(column, row, pattern.format(value), ha="center", va="center", fontsize=8, color=colour)
    frame = {"fill": False, "edgecolor": canvas.RED, "linewidth": 2}
    axis.add_patch(canvas.pyplot().Rectangle((trained[0] - 0.5, trained[1] - 0.5), 1, 1, **frame))
    axis.grid(False)
