"""Measure and plot accuracy by the number of blocks and of timesteps computed (Fig. 1c), on networks as they were trained.

Dimensions: T timesteps, B batch, K tokens, D channels, C classes, L blocks.
"""
# Tested in tests/pipeline/reporting/figures/test_probes.py

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.figures import ProbeSettings

TITLE = "Accuracy by block and by timestep (Fig. 1c)"
DEFINITION = (
    "All tokens in all blocks. Left: the head reads the mean over tokens after patch splitting (block 0) and after each block, "
    "at all timesteps. Reading: the paper does not say how it reads out a block that is not the last; here it is the network's "
    "own head, which was trained for the last block only. Right: all blocks, the mean of the logits of timesteps 1 to t."
)
MOST_EVALUATIONS = None
NEEDS_TOKENS = True
# Of each panel the label of its x axis, and the first value on it
PANELS = {"accuracy_by_block": ("blocks computed", 0), "accuracy_by_timestep": ("timesteps computed", 1)}


Settings = ProbeSettings


def measure(subject, settings: Settings) -> dict:
    """Measure accuracy (%) of the mean logits: after each block from 0 [L + 1], and after each timestep [T]."""
    import torch

    backbone, correct, image_count = subject.backbone, 0, 0
    for images, labels in subject.batches(images=settings.images):
        with subject.arithmetic():
            u = backbone.embed(images.to(subject.device, subject.dtype))
            features = [u.mean(dim=2)]
            for block in backbone.blocks:
                u = block(u)
                features.append(u.mean(dim=2))
            logits = torch.stack([backbone.classify(feature) for feature in features])  # [L + 1, T, B, C]
        steps = torch.arange(1, logits.shape[1] + 1, device=logits.device)[:, None, None]
        means = logits.double().cumsum(1) / steps
        correct = correct + (means.argmax(-1).cpu() == labels).sum(-1)  # [L + 1, T]
        image_count += len(labels)
    accuracy = correct.double() / image_count * 100
    return {"images": image_count, "accuracy_by_block": accuracy[:, -1].tolist(), "accuracy_by_timestep": accuracy[-1].tolist()}


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a line per network, over blocks and over timesteps."""
    lines, seeds = [], []
    for seed_evaluations in campaign_results.by_name(evaluations).values():
        metrics = [campaign_results.metrics_of(campaign, e, *PANELS) for e in seed_evaluations]
        network = {
            "dataset": seed_evaluations[0].run.data.name,
            "architecture": seed_evaluations[0].run.architecture,
            "n": len(seed_evaluations),
        }
        lines.append(network | {key: campaign_results.spread([m[key] for m in metrics]) for key in PANELS})
        seeds += [
            {"evaluation": e.id, "run": e.run.id} | {key: m[key] for key in PANELS} for e, m in zip(seed_evaluations, metrics)
        ]
    counts = sorted({line["n"] for line in lines})
    caption = f"Mean and standard deviation over n = {counts[-1]} seeds." if counts[-1] > 1 else "One seed."
    return paint(campaign, lines), {"caption": caption, "lines": lines, "seeds": seeds}


def paint(campaign: Campaign, lines: list[dict]):
    """Draw accuracy (%) over blocks on the left and over timesteps on the right."""
    figure, axes = canvas.panels(1, 2, width=8, height=3.6)
    for axis, (key, (label, first)) in zip(axes[0], PANELS.items()):
        for line, colour, marker in zip(lines, canvas.COLOURS, "osD^vPX<"):
            x = first + np.arange(len(line[key]["mean"]))
            look = {
                "color": colour,
                "marker": marker,
                "capsize": 2,
                "lw": 1.5,
                "label": f"{data_title(campaign.catalogue, line['dataset'])}, {line['architecture']}",
            }
            axis.errorbar(x, line[key]["mean"], line[key]["std"], **look)
        axis.set(xlabel=label, ylim=(0, None))
        axis.set_xticks(range(first, first + max(len(line[key]["mean"]) for line in lines)))
        axis.margins(x=0.08)
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[0, 1].sharey(axes[0, 0])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
