"""Map accuracy and tokens over gamma and epsilon with the same weights: what the two options do without retraining."""
# Tested in tests/pipeline/reporting/figures/test_probes.py

from typing import Annotated

import numpy as np
from pydantic import Field

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.figures import ProbeSettings

TITLE = "Accuracy and average tokens over γ and ε, same weights"
DEFINITION = (
    "One trained network, evaluated with every pair of γ (tokens merged per block) and ε (a token halts once its scores sum up to "
    "1 - ε), nothing retrained. Average tokens: share of the 64 tokens that is computed, mean over blocks, timesteps and images; "
    "the rest is merged away or halted, and both shares are among the numbers. Framed: what the network was trained with."
)
MOST_EVALUATIONS = None
NEEDS_TOKENS = True
MAPS = {"accuracy": ("accuracy (%)", "{:.1f}"), "tokens": ("average tokens", "{:.2f}")}
SHARES = ("merged", "halted")


class Settings(ProbeSettings):
    """Settings of the map: the values on its two sides."""

    gammas: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 5, 10, 20), min_length=1)
    epsilons: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(default=(0.01, 0.1, 0.3), min_length=1)


def changes(settings: Settings) -> list[dict]:
    """List the options of every cell of the map."""
    return [{"gamma": gamma, "epsilon": epsilon} for gamma in settings.gammas for epsilon in settings.epsilons]


def passes(settings: Settings) -> int:
    """Count the passes over the images: one per cell of the map."""
    return len(changes(settings))


def measure(subject, settings: Settings) -> dict:
    """Measure accuracy (%) and the shares of tokens computed, merged away and halted, mean over blocks: [gammas, epsilons]."""
    grids: dict = {key: [] for key in (*MAPS, *SHARES)}
    for gamma in settings.gammas:
        row = [measure_pair(subject, settings.images, gamma, epsilon) for epsilon in settings.epsilons]
        for key, grid in grids.items():
            grid.append([numbers[key] for numbers in row])
    return grids


def measure_pair(subject, images: int | None, gamma: int, epsilon: float) -> dict:
    """Measure accuracy in percent and shares of the tokens for one pair of gamma and epsilon."""
    summary = subject.measure(subject.network(gamma=gamma, epsilon=epsilon), images=images).summary()
    shares = {key: float(np.mean(summary[f"{key}_by_block"])) for key in SHARES}
    return {"accuracy": summary["accuracy"], "tokens": summary["average_tokens"]} | shares


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row of maps per network, means over seeds."""
    rows, seeds = [], []
    for seed_evaluations in campaign_results.by_name(evaluations).values():
        metrics = [campaign_results.metrics_of(campaign, e, *MAPS, *SHARES) for e in seed_evaluations]
        network = {
            "dataset": seed_evaluations[0].run.data.name,
            "architecture": seed_evaluations[0].run.architecture,
            "n": len(seed_evaluations),
        }
        sides = {key: list(seed_evaluations[0].settings[key]) for key in ("gammas", "epsilons")}
        trained = {key: seed_evaluations[0].run.options[key] for key in ("gamma", "epsilon")}
        as_trained = (
            seed_evaluations[0].options | trained == seed_evaluations[0].run.options
            and seed_evaluations[0].timesteps == seed_evaluations[0].run.network["timesteps"]
        )
        network |= {"on_map": as_trained}
        rows.append(
            network
            | sides
            | {"trained": trained}
            | {key: campaign_results.spread([m[key] for m in metrics]) for key in (*MAPS, *SHARES)}
        )
        seeds += [
            {"evaluation": e.id, "run": e.run.id} | {k: m[k] for k in (*MAPS, *SHARES)} for e, m in zip(seed_evaluations, metrics)
        ]
    return paint(campaign, rows), {"caption": " ".join(caption(campaign, row) for row in rows), "networks": rows, "seeds": seeds}


def caption(campaign: Campaign, row: dict) -> str:
    """Write a network's part of the caption: the options of its training, and the most tokens that halt and merge."""
    gamma, epsilon = row["trained"]["gamma"], row["trained"]["epsilon"]
    trained = f"{data_title(campaign.catalogue, row['dataset'])}, {row['architecture']}: mean over n = {row['n']} seeds; trained with γ = {gamma}, ε = {epsilon:g}"
    trained += "." if place(row) else ", which is not on the map."
    largest = {key: np.max(row[key]["mean"]) for key in SHARES}
    halted = (
        f"At most {100 * largest['halted']:.1f} % of the tokens halt." if largest["halted"] else "Nothing halts anywhere on it."
    )
    return f"{trained} {halted} At most {100 * largest['merged']:.1f} % are merged away."


def place(row: dict) -> tuple[int, int] | None:
    """Find the row and column of the options that the network was trained with; None where the map lacks them."""
    gamma, epsilon = row["trained"]["gamma"], row["trained"]["epsilon"]
    if not row["on_map"] or gamma not in row["gammas"] or epsilon not in row["epsilons"]:
        return None
    return row["gammas"].index(gamma), row["epsilons"].index(epsilon)


def paint(campaign: Campaign, rows: list[dict]):
    """Draw a network's maps beside each other: accuracy and average tokens."""
    longest = max(len(row["epsilons"]) for row in rows), max(len(row["gammas"]) for row in rows)
    size = {"width": 2 * max(3.2, 1.7 + 0.5 * longest[0]), "height": len(rows) * (1 + 0.38 * longest[1])}
    figure, axes = canvas.panels(len(rows), 2, **size)
    for pair, row in zip(axes, rows):
        for axis, (key, (label, pattern)) in zip(pair, MAPS.items()):
            draw_map(axis, row, key, pattern)
            axis.set_title(label if len(rows) == 1 else f"{data_title(campaign.catalogue, row['dataset'])}: {label}")
    return figure


def draw_map(axis, row: dict, key: str, pattern: str) -> None:
    """Draw one map with its numbers, and a frame around what the network was trained with."""
    values = np.array(row[key]["mean"])
    image = axis.imshow(values, cmap=canvas.HEAT, aspect="auto", origin="lower")
    for (y, x), value in np.ndenumerate(values):
        colour = "black" if image.norm(value) > 0.55 else "white"
        axis.text(x, y, pattern.format(value), ha="center", va="center", fontsize=9, color=colour)
    if trained_cell := place(row):
        look = {"fill": False, "edgecolor": canvas.RED, "linewidth": 2.5, "clip_on": False}
        axis.add_patch(canvas.pyplot().Rectangle((trained_cell[1] - 0.5, trained_cell[0] - 0.5), 1, 1, **look))
    axis.set(xlabel="ε", xticks=range(len(row["epsilons"])), xticklabels=[f"{x:g}" for x in row["epsilons"]])
    axis.set(ylabel="γ", yticks=range(len(row["gammas"])), yticklabels=row["gammas"])
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
