"""Tokens of each block over a retraining: whether halting starts, ends or goes on as the weights move."""

import numpy as np

from pipeline import canvas, shown
from pipeline.aggregate import epochs_of
from pipeline.campaign import Campaign
from pipeline.figures import MissingData
from pipeline.identity import Evaluation

TITLE = "Tokens of each block over a retraining"
DEFINITION = (
    "Of the 1,000 held-out images' tokens, at all timesteps, those that each block computes, after each epoch of the retraining; epoch 0 is "
    "the pretrained network with AT-SNN's rules put into it. Left: computed; right: halted in an earlier block, of those that no merge "
    "took away. Means over seeds, with the standard deviation."
)
MOST_EVALUATIONS = None
KINDS = {"tokens_by_block": "computed (% of 64)", "halted_by_block": "halted (% of 64)"}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row per network: [epochs, blocks] of each kind."""
    rows, seeds = [], []
    for name, own in shown.by_name(evaluations).items():
        mine = [told(campaign, e) for e in own]
        about = {"evaluation": name, "dataset": own[0].run.data.name, "title": shown.title(own[0].run.method, own[0].run.options)}
        about |= {"architecture": own[0].run.architecture, "n": len(own), "epochs": mine[0]["epochs"]}
        rows.append(about | {key: shown.spread([m[key] for m in mine]) for key in KINDS})
        seeds += mine
    return paint(rows), {"caption": " ".join(map(caption, rows)), "networks": rows, "seeds": seeds}


def told(campaign: Campaign, evaluation: Evaluation) -> dict:
    """One seed's record: epochs, and tokens of each [epochs, blocks]."""
    epochs = epochs_of(campaign, evaluation.run)
    if any(not isinstance(entry["metrics"].get(key), list) for entry in epochs for key in KINDS):
        raise MissingData(
            f"the record of {evaluation.run.id} has no tokens of each block: delete its run, and it is trained again"
        )
    found = {key: [entry["metrics"][key] for entry in epochs] for key in KINDS}
    return {"evaluation": evaluation.id, "run": evaluation.run.id, "epochs": [entry["epoch"] for entry in epochs]} | found


def caption(row: dict) -> str:
    halted = 100 * np.array(row["halted_by_block"]["mean"]).mean(1)
    name = f"{shown.data_title(row['dataset'])}, {row['title']}"
    return (
        f"{name} (n = {row['n']}): {halted[0]:.2f} % halted before the retraining, {halted[-1]:.2f} % after it, mean over blocks."
    )


def paint(rows: list[dict]):
    figure, axes = canvas.panels(len(rows), len(KINDS), width=9.0, height=2.6 * len(rows))
    for pair, row in zip(axes, rows):
        for axis, (key, name) in zip(pair, KINDS.items()):
            mean, std = (None if v is None else 100 * np.array(v) for v in (row[key]["mean"], row[key]["std"]))
            for block in range(mean.shape[1]):
                tint = canvas.block_colour(block, mean.shape[1])
                spread = None if std is None else std[:, block]
                axis.errorbar(
                    row["epochs"], mean[:, block], spread, color=tint, marker="o", ms=3.5, capsize=2, label=f"block {block + 1}"
                )
            axis.set(xlabel="epoch of the retraining", ylabel=name, ylim=(0, None))
            axis.xaxis.get_major_locator().set_params(integer=True)
        pair[0].set_title(f"{shown.data_title(row['dataset'])}, {row['architecture']}, {row['title']}", loc="left", fontsize=9)
        pair[1].legend()
    return figure
