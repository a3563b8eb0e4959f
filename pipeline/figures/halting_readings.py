"""The three readings of Eq. 4, on the same weights and, where they are declared, retrained each."""

import pandas as pd

from pipeline import canvas, shown
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation

TITLE = "Three readings of the halting condition"
DEFINITION = (
    "What a token's scores are summed over before it is compared with 1 - ε: inclusive, blocks 1 to l of timesteps 1 to t (the "
    "default; ACT's and A-ViT's); printed, blocks 1 to l - 1 (Eq. 4 as it stands); example, blocks 1 to l - 1 of timesteps 1 to t "
    "and block l of timestep t (section 3.1's example). Filled: trained with that reading; hollow: the weights of another, only evaluated."
)
MOST_EVALUATIONS = None
LOOKS = {"inclusive": (canvas.BLUE, "D"), "printed": (canvas.ORANGE, "s"), "example": (canvas.GREEN, "^")}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A panel per data set: accuracy over average tokens; methods that halt nothing are references."""
    readings = shown.table(campaign, "readings", evaluations)
    readings = readings[(readings.exit == "") & (readings.timesteps == readings.trained_timesteps)]
    groups = shown.by_data(evaluations)
    figure, axes = canvas.panels(1, len(groups), width=max(5.6, 4.2 * len(groups)), height=3.6)
    points = []
    for axis, own in zip(axes[0], groups.values()):
        for name in dict.fromkeys(e.name for e in own):
            first = next(e for e in own if e.name == name)
            points.append(point(axis, readings[readings.evaluation == name], first))
            same = [e for e in own if e.name == name]
            points[-1]["halted"] = mean_halted(campaign, same)
        axis.set(title=points[-1]["dataset"], xlabel="average tokens (share of 64)", ylabel="accuracy (%)")
        axis.margins(0.15)
        axis.legend(fontsize=7.5)
    caption = f"Mean and standard deviation over n = {max(point['n'] for point in points)} seeds."
    if not any(point["halted"] for point in points):
        caption += " Nothing halts before the last block under any reading."
    return figure, {"caption": caption, "points": points}


def mean_halted(campaign: Campaign, evaluations: list[Evaluation]) -> float:
    """Share of the tokens that had halted, over blocks, timesteps, images and seeds."""
    told = [shown.metrics_of(campaign, e, "halted_by_block")["halted_by_block"] for e in evaluations]
    return float(pd.DataFrame(told).mean().mean())


def point(axis, own: pd.DataFrame, evaluation: Evaluation) -> dict:
    """One evaluation over its seeds."""
    reading, trained = evaluation.options.get("reading"), evaluation.options == evaluation.run.options
    colour, marker = LOOKS[reading] if reading else canvas.look(own.method.iloc[0]).values()
    label = f"{reading}{'' if trained else ', same weights'}" if reading else own.title.iloc[0]
    spread = own[["avg_tokens", "accuracy"]].std().fillna(0)
    face = colour if trained else "white"
    axis.errorbar(own.avg_tokens.mean(), own.accuracy.mean(), spread.accuracy, spread.avg_tokens, color=colour, marker=marker, mfc=face, ls="", capsize=2, ms=7, label=label)  # fmt: skip
    told = {"evaluation": evaluation.name, "reading": reading, "retrained": trained, "dataset": own.dataset_title.iloc[0]}
    told |= {"n": len(own), "accuracy": own.accuracy.mean(), "accuracy_std": own.accuracy.std() if len(own) > 1 else None}
    return told | {"tokens": own.avg_tokens.mean()}
