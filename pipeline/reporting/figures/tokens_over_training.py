"""Tokens of each block over a retraining: whether halting starts, ends or goes on as the weights move.

Dimensions: E epochs, L blocks.
"""

import numpy as np

from pipeline.campaign import recorded
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title, method_title
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.drawing.missing_data import MissingData

TITLE = "Tokens of each block over a retraining"
DEFINITION = (
    "Of the 1,000 held-out images' tokens, at all timesteps, those that each block computes, after each epoch of the retraining; epoch 0 is "
    "the pretrained network with the row's rules put into it. Left: computed; middle: halted in an earlier block, of those that no merge "
    "took away. Right: of the tokens that a block computes, those whose channel 0, which the halting score is made of, spikes (u_0 / n of "
    "Eq. 3 at least 1/2), and in the caption those where it is at least 2 (a score of at least 1/2 by the paper's α and β), before and "
    "after the retraining; the last block's score halts nothing at its own timestep. Means over seeds, with the standard deviation."
)
MOST_EVALUATIONS = None
KINDS = {"tokens_by_block": "computed (% of 64)", "halted_by_block": "halted (% of 64)"}
SPIKING = {"spiking_by_block": 0.5, "strong_by_block": 2.0}  # u_0 / n is at least
MOMENTS = {"before": (canvas.ORANGE, "white"), "after": (canvas.BLUE, canvas.BLUE)}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A row per network: [E, L] of each kind, [2, L] of what spikes, and spikes strongly, before and after."""
    rows, seeds = [], []
    for name, own in campaign_results.by_name(evaluations).items():
        mine = [told(campaign, e) for e in own]
        about = {
            "evaluation": name,
            "dataset": own[0].run.data.name,
            "title": method_title(campaign.catalogue, own[0].run.method, own[0].run.options),
        }
        about |= {"architecture": own[0].run.architecture, "n": len(own), "epochs": mine[0]["epochs"]}
        rows.append(about | {key: campaign_results.spread([m[key] for m in mine]) for key in (*KINDS, *SPIKING)})
        seeds += mine
    return paint(campaign, rows), {"caption": " ".join(caption(campaign, row) for row in rows), "networks": rows, "seeds": seeds}


def told(campaign: Campaign, evaluation: Evaluation) -> dict:
    """One seed's record: epochs, tokens of each [E, L], and the shares of them whose channel 0 spikes [2, L]."""
    entries = recorded.record_of(campaign, evaluation.run)
    epochs = [entry for entry in entries if entry["event"] == "epoch"]
    counted = [entry["histogram"] for entry in entries if entry["event"] == "channel_0"]
    if len(counted) != len(MOMENTS) or any(not isinstance(entry["metrics"].get(key), list) for entry in epochs for key in KINDS):
        raise MissingData(
            f"the record of {evaluation.run.id} has no tokens of each block: delete its run, and it is trained again"
        )
    found = {key: [entry["metrics"][key] for entry in epochs] for key in KINDS}
    for key, least in SPIKING.items():
        found[key] = [at_least(least, histogram) for histogram in counted]
    return {"evaluation": evaluation.id, "run": evaluation.run.id, "epochs": [entry["epoch"] for entry in epochs]} | found


def at_least(least: float, histogram: dict) -> list[float]:
    """The share of each block's tokens, [L], that a histogram has from a value on."""
    blocks = np.array(histogram["blocks"])
    return (blocks[:, round(least / histogram["bin"]) :].sum(1) / np.maximum(blocks.sum(1), 1)).tolist()


def caption(campaign: Campaign, row: dict) -> str:
    halted = 100 * np.array(row["halted_by_block"]["mean"]).mean(1)
    spiking, strong = (100 * np.array(row[key]["mean"])[:, 0] for key in SPIKING)
    name = f"{data_title(campaign.catalogue, row['dataset'])}, {row['title']}"
    return (
        f"{name} (n = {row['n']}): {halted[0]:.2f} % halted before the retraining, {halted[-1]:.2f} % after it, mean over blocks; channel 0 "
        f"of {spiking[0]:.2f} % of the first block's tokens spikes before, of {spiking[-1]:.2f} % after; at least twice of {strong[0]:.2f} % and "
        f"{strong[-1]:.2f} %."
    )


def paint(campaign: Campaign, rows: list[dict]):
    figure, axes = canvas.panels(len(rows), len(KINDS) + 1, width=11.0, height=1.95 * len(rows))
    for (*over_epochs, last), row in zip(axes, rows):
        for axis, (key, name) in zip(over_epochs, KINDS.items()):
            mean, std = percent(row[key])
            for block in range(mean.shape[1]):
                tint = canvas.block_colour(block, mean.shape[1])
                spread = None if std is None else std[:, block]
                axis.errorbar(
                    row["epochs"], mean[:, block], spread, color=tint, marker="o", ms=3.5, capsize=2, label=f"block {block + 1}"
                )
            axis.set(xlabel="epoch of the retraining", ylabel=name, ylim=(0, None))
            axis.xaxis.get_major_locator().set_params(integer=True)
        mean, std = percent(row["spiking_by_block"])
        blocks = range(1, mean.shape[1] + 1)
        for moment, (name, (colour, face)) in enumerate(MOMENTS.items()):
            spread = None if std is None else std[moment]
            last.errorbar(blocks, mean[moment], spread, color=colour, mfc=face, marker="o", ms=4.5, capsize=2, label=name)
        last.set(xlabel="block", ylabel="channel 0 spikes (%)", xticks=blocks, ylim=(0, None))
        over_epochs[0].set_title(
            f"{data_title(campaign.catalogue, row['dataset'])}, {row['architecture']}, {row['title']}", loc="left", fontsize=9
        )
        over_epochs[-1].legend()
        last.legend()
    return figure


def percent(spread: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean and deviation of shares, in percent."""
    return 100 * np.array(spread["mean"]), None if spread["std"] is None else 100 * np.array(spread["std"])
