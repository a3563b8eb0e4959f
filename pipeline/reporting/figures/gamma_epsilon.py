"""Accuracy and tokens over gamma and epsilon, with the same weights: what the two knobs do without retraining."""

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
MAPS = {"accuracy": ("accuracy (%)", "{:.1f}"), "tokens": ("average tokens", "{:.2f}")}
SHARES = ("merged", "halted")


class Settings(ProbeSettings):
    """The two sides of the map."""

    gammas: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 5, 10, 20), min_length=1)
    epsilons: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(default=(0.01, 0.1, 0.3), min_length=1)


def changes(settings: Settings) -> list[dict]:
    """The options of every cell of the map."""
    return [{"gamma": gamma, "epsilon": epsilon} for gamma in settings.gammas for epsilon in settings.epsilons]


def passes(settings: Settings) -> int:
    return len(changes(settings))


def measure(subject, settings: Settings) -> dict:
    """Each [gammas, epsilons]: accuracy in percent, shares of the tokens computed, merged away and halted, mean over blocks."""
    grids: dict = {key: [] for key in (*MAPS, *SHARES)}
    for gamma in settings.gammas:
        row = [cell(subject, settings.images, gamma, epsilon) for epsilon in settings.epsilons]
        for key, grid in grids.items():
            grid.append([found[key] for found in row])
    return grids


def cell(subject, images: int | None, gamma: int, epsilon: float) -> dict:
    told = subject.measure(subject.network(gamma=gamma, epsilon=epsilon), images=images).summary()
    shares = {key: float(np.mean(told[f"{key}_by_block"])) for key in SHARES}
    return {"accuracy": told["accuracy"], "tokens": told["average_tokens"]} | shares


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row of maps per network, means over seeds."""
    rows, seeds = [], []
    for own in campaign_results.by_name(evaluations).values():
        mine = [campaign_results.metrics_of(campaign, e, *MAPS, *SHARES) for e in own]
        about = {"dataset": own[0].run.data.name, "architecture": own[0].run.architecture, "n": len(own)}
        grid = {key: list(own[0].settings[key]) for key in ("gammas", "epsilons")}
        trained = {key: own[0].run.options[key] for key in ("gamma", "epsilon")}
        plain = own[0].options | trained == own[0].run.options and own[0].timesteps == own[0].run.network["timesteps"]
        about |= {"on_map": plain}
        rows.append(
            about
            | grid
            | {"trained": trained}
            | {key: campaign_results.spread([m[key] for m in mine]) for key in (*MAPS, *SHARES)}
        )
        seeds += [{"evaluation": e.id, "run": e.run.id} | {k: m[k] for k in (*MAPS, *SHARES)} for e, m in zip(own, mine)]
    return paint(campaign, rows), {"caption": " ".join(caption(campaign, row) for row in rows), "networks": rows, "seeds": seeds}


def caption(campaign: Campaign, row: dict) -> str:
    gamma, epsilon = row["trained"]["gamma"], row["trained"]["epsilon"]
    said = f"{data_title(campaign.catalogue, row['dataset'])}, {row['architecture']}: mean over n = {row['n']} seeds; trained with γ = {gamma}, ε = {epsilon:g}"
    said += "." if place(row) else ", which is not on the map."
    most = {key: np.max(row[key]["mean"]) for key in SHARES}
    halted = f"At most {100 * most['halted']:.1f} % of the tokens halt." if most["halted"] else "Nothing halts anywhere on it."
    return f"{said} {halted} At most {100 * most['merged']:.1f} % are merged away."


def place(row: dict) -> tuple[int, int] | None:
    """Row and column of what the network was trained with, where the map has it."""
    gamma, epsilon = row["trained"]["gamma"], row["trained"]["epsilon"]
    if not row["on_map"] or gamma not in row["gammas"] or epsilon not in row["epsilons"]:
        return None
    return row["gammas"].index(gamma), row["epsilons"].index(epsilon)


def paint(campaign: Campaign, rows: list[dict]):
    most = max(len(row["epsilons"]) for row in rows), max(len(row["gammas"]) for row in rows)
    size = {"width": 2 * max(3.2, 1.7 + 0.5 * most[0]), "height": len(rows) * (1 + 0.38 * most[1])}
    figure, axes = canvas.panels(len(rows), 2, **size)
    for pair, row in zip(axes, rows):
        for axis, (key, (label, pattern)) in zip(pair, MAPS.items()):
            heat(axis, row, key, pattern)
            axis.set_title(label if len(rows) == 1 else f"{data_title(campaign.catalogue, row['dataset'])}: {label}")
    return figure


def heat(axis, row: dict, key: str, pattern: str) -> None:
    """One map with its numbers written in."""
    values = np.array(row[key]["mean"])
    image = axis.imshow(values, cmap=canvas.HEAT, aspect="auto", origin="lower")
    for (y, x), value in np.ndenumerate(values):
        colour = "black" if image.norm(value) > 0.55 else "white"
        axis.text(x, y, pattern.format(value), ha="center", va="center", fontsize=9, color=colour)
    if found := place(row):
        look = {"fill": False, "edgecolor": canvas.RED, "linewidth": 2.5, "clip_on": False}
        axis.add_patch(canvas.pyplot().Rectangle((found[1] - 0.5, found[0] - 0.5), 1, 1, **look))
    axis.set(xlabel="ε", xticks=range(len(row["epsilons"])), xticklabels=[f"{x:g}" for x in row["epsilons"]])
    axis.set(ylabel="γ", yticks=range(len(row["gammas"])), yticklabels=row["gammas"])
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
