"""Plot the tokens of each block over a retraining: whether halting starts, ends or goes on as the weights move.

Dimensions: E epochs, L blocks.
"""
# Tested in tests/pipeline/reporting/figures/test_figures.py

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
SPIKING = {"spiking_by_block": 0.5, "strong_by_block": 2.0}  # the least u_0 / n of Eq. 3 that counts
MOMENTS = {"before": (canvas.ORANGE, "white"), "after": (canvas.BLUE, canvas.BLUE)}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row per network: tokens of each kind [E, L]; tokens whose channel 0 spikes, or spikes strongly [2, L]."""
    rows, seeds = [], []
    for name, seed_evaluations in campaign_results.by_name(evaluations).items():
        entries = [numbers_of_seed(campaign, e) for e in seed_evaluations]
        network = {
            "evaluation": name,
            "dataset": seed_evaluations[0].run.data.name,
            "title": method_title(campaign.catalogue, seed_evaluations[0].run.method, seed_evaluations[0].run.options),
        }
        network |= {
            "architecture": seed_evaluations[0].run.architecture,
            "n": len(seed_evaluations),
            "epochs": entries[0]["epochs"],
        }
        rows.append(network | {key: campaign_results.spread([seed[key] for seed in entries]) for key in (*KINDS, *SPIKING)})
        seeds += entries
    return paint(campaign, rows), {"caption": " ".join(caption(campaign, row) for row in rows), "networks": rows, "seeds": seeds}


def numbers_of_seed(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Read one seed's record: epochs, shares of tokens of each kind [E, L], and those whose channel 0 spikes [2, L].

    Raises MissingData where the record lacks them.
    """
    entries = recorded.record_of(campaign, evaluation.run)
    epochs = [entry for entry in entries if entry["event"] == "epoch"]
    histograms = [entry["histogram"] for entry in entries if entry["event"] == "channel_0"]
    if len(histograms) != len(MOMENTS) or any(
        not isinstance(entry["metrics"].get(key), list) for entry in epochs for key in KINDS
    ):
        raise MissingData(
            f"the record of {evaluation.run.id} has no tokens of each block: delete its run, and it is trained again"
        )
    shares = {key: [entry["metrics"][key] for entry in epochs] for key in KINDS}
    for key, least in SPIKING.items():
        shares[key] = [share_from(least, histogram) for histogram in histograms]
    return {"evaluation": evaluation.id, "run": evaluation.run.id, "epochs": [entry["epoch"] for entry in epochs]} | shares


def share_from(least: float, histogram: dict) -> list[float]:
    """Compute the share of each block's tokens [L] that a histogram has from a value on."""
    blocks = np.array(histogram["blocks"])
    return (blocks[:, round(least / histogram["bin"]) :].sum(1) / np.maximum(blocks.sum(1), 1)).tolist()


def caption(campaign: Campaign, row: dict) -> str:
    """Write a network's part of the caption: tokens halted and spiking (%) before and after the retraining."""
    halted = 100 * np.array(row["halted_by_block"]["mean"]).mean(1)
    spiking, strong = (100 * np.array(row[key]["mean"])[:, 0] for key in SPIKING)
    name = f"{data_title(campaign.catalogue, row['dataset'])}, {row['title']}"
    return (
        f"{name} (n = {row['n']}): {halted[0]:.2f} % halted before the retraining, {halted[-1]:.2f} % after it, mean over blocks; channel 0 "
        f"of {spiking[0]:.2f} % of the first block's tokens spikes before, of {spiking[-1]:.2f} % after; at least twice of {strong[0]:.2f} % and "
        f"{strong[-1]:.2f} %."
    )


def paint(campaign: Campaign, rows: list[dict]):
    """Draw, per network, tokens computed and halted (%) over epochs, and tokens whose channel 0 spikes (%) by block."""
    figure, axes = canvas.panels(len(rows), len(KINDS) + 1, width=11.0, height=1.95 * len(rows))
    for (*over_epochs, last), row in zip(axes, rows):
        for axis, (key, name) in zip(over_epochs, KINDS.items()):
            mean, std = in_percent(row[key])
            for block in range(mean.shape[1]):
                tint = canvas.block_colour(block, mean.shape[1])
                spread = None if std is None else std[:, block]
                axis.errorbar(
                    row["epochs"], mean[:, block], spread, color=tint, marker="o", ms=3.5, capsize=2, label=f"block {block + 1}"
                )
            axis.set(xlabel="epoch of the retraining", ylabel=name, ylim=(0, None))
            axis.xaxis.get_major_locator().set_params(integer=True)
        mean, std = in_percent(row["spiking_by_block"])
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


def in_percent(spread: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Convert the mean and standard deviation of shares to percent."""
    return 100 * np.array(spread["mean"]), None if spread["std"] is None else 100 * np.array(spread["std"])
