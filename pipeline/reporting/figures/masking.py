"""Compare temporally-aware with random masking (Fig. 10c): the paper's reason to take the same tokens away at every timestep.

Dimensions: T timesteps, B batch, K tokens, D channels, M numbers of masked tokens.
"""
# Tested in tests/pipeline/reporting/figures/test_probes.py

from typing import Annotated

import numpy as np
from pydantic import Field

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title
from pipeline.core.randomness import generator
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.figures import ProbeSettings

TITLE = "Temporally-aware against random masking (Fig. 10c)"
DEFINITION = (
    "A network as it was trained; m of the 64 tokens of each image are masked after patch splitting and in all blocks: they are 0, "
    "receive no current and emit nothing. Random masking (RM) draws their positions anew at each timestep, temporally-aware masking "
    "(TAM) keeps those that RM has at t = 1; fewer masked tokens are among the more. Reading: the head takes the mean over all 64 "
    "tokens, masked ones as zeros."
)
MOST_EVALUATIONS = None
NEEDS_TOKENS = True
KINDS = {"tam": ("temporally-aware", canvas.BLUE, "o"), "rm": ("random", canvas.ORANGE, "s")}


class Settings(ProbeSettings):
    """Settings of the measurement; masked: numbers of masked tokens; draws: how often positions are drawn for each."""

    masked: tuple[Annotated[int, Field(gt=0, lt=64)], ...] = Field(default=(8, 16, 24, 32, 40, 48, 56), min_length=1)
    draws: int = Field(default=5, ge=5, le=1000)


def passes(settings: Settings) -> int:
    """Count the passes through the blocks: one unmasked, and one for every kind, number and draw. Patch splitting runs once."""
    return 1 + len(KINDS) * len(settings.masked) * settings.draws


def measure(subject, settings: Settings) -> dict:
    """Measure accuracy in percent: `unmasked`, and of each kind of masking [M, draws]."""
    import torch

    correct = {kind: np.zeros((len(settings.masked), settings.draws)) for kind in KINDS}
    unmasked, image_count = 0, 0
    for images, labels in subject.batches(images=settings.images):
        with subject.arithmetic():
            u = subject.backbone.embed(images.to(subject.device, subject.dtype))
        unmasked += count_correct(subject, u, None, labels)
        for draw in range(settings.draws):
            ranks = torch.from_numpy(rank(subject.evaluation.run.seed, draw, image_count, u.shape[:3])).to(u.device)
            for place, count in enumerate(settings.masked):
                correct["rm"][place, draw] += count_correct(subject, u, ranks >= count, labels)
                correct["tam"][place, draw] += count_correct(subject, u, (ranks[:1] >= count).expand_as(ranks), labels)
        image_count += len(labels)
    accuracy = {kind: (counts / image_count * 100).tolist() for kind, counts in correct.items()}
    return {"images": image_count, "unmasked": unmasked / image_count * 100} | accuracy


def rank(seed: int, draw: int, first: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Rank tokens in the order of masking, int64 [T, B, K]: a function of the run's seed, the draw, the image and t.

    `first`: the number of the batch's first image. The first m in order are masked.
    """
    ranks = np.empty(shape, np.int64)
    for t, b in np.ndindex(shape[:2]):
        ranks[t, b] = generator(seed, "masking", draw, first + b, t + 1).permutation(shape[2])
    return ranks


def count_correct(subject, u, live, labels) -> int:
    """Count images classified correctly from tokens u [T, B, K, D], those that are not live [T, B, K] masked (None: no mask)."""
    if live is not None:
        u = u * live[..., None]
    with subject.arithmetic():
        for block in subject.backbone.blocks:
            u = block(u, live)
        logits = subject.backbone.classify(u.mean(dim=2))
    return int((logits.double().mean(0).argmax(-1).cpu() == labels).sum())


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row per network: the difference over the tokens masked, and both accuracies."""
    rows, seeds = [], []
    for seed_evaluations in campaign_results.by_name(evaluations).values():
        entries = [numbers_of_seed(campaign, e) for e in seed_evaluations]
        network = {
            "dataset": seed_evaluations[0].run.data.name,
            "architecture": seed_evaluations[0].run.architecture,
            "n": len(seed_evaluations),
        }
        rows.append(
            network
            | {"draws": seed_evaluations[0].settings["draws"], "masked": seed_evaluations[0].settings["masked"]}
            | summary(entries)
        )
        seeds += entries
    return paint(campaign, rows, seeds), {"caption": caption(campaign, rows), "networks": rows, "seeds": seeds}


def numbers_of_seed(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Collect one seed's accuracies by draw (%), and TAM - RM in each draw and on average (points)."""
    metrics = campaign_results.metrics_of(campaign, evaluation, *KINDS, "unmasked")
    by_draw = np.array(metrics["tam"]) - np.array(metrics["rm"])
    difference = {"difference": by_draw.mean(1).tolist(), "difference_by_draw": by_draw.tolist()}
    ids = {"evaluation": evaluation.id, "run": evaluation.run.id, "name": evaluation.name}
    return ids | {"masked": evaluation.settings["masked"]} | difference | {k: metrics[k] for k in (*KINDS, "unmasked")}


def summary(seeds: list[dict]) -> dict:
    """Summarise seeds by mean and sample standard deviation (None of one seed) of each seed's mean over draws."""
    values = {kind: np.mean([seed[kind] for seed in seeds], axis=2) for kind in KINDS}
    values |= {key: np.array([seed[key] for seed in seeds]) for key in ("difference", "unmasked")}
    return {"name": seeds[0]["name"]} | {key: campaign_results.spread(value) for key, value in values.items()}


def caption(campaign: Campaign, rows: list[dict]) -> str:
    """Write the caption: TAM - RM (points) of each network at the fewest and the most masked tokens."""
    sentences = []
    for row in rows:
        mean = row["difference"]["mean"]
        ends = f"{mean[0]:+.2f} points at m = {row['masked'][0]}, {mean[-1]:+.2f} at m = {row['masked'][-1]}"
        sentences.append(
            f"{data_title(campaign.catalogue, row['dataset'])}, {row['architecture']}: TAM - RM is {ends} (n = {row['n']} seeds, {row['draws']} draws each)."
        )
    spread = "the standard deviation over seeds of each seed's mean over draws"
    return " ".join(sentences) + f" Lines: means, with {spread}; dots: each draw of each seed."


def paint(campaign: Campaign, rows: list[dict], seeds: list[dict]):
    """Draw a network's differences with all draws as dots, and beside them the accuracies."""
    figure, axes = canvas.panels(len(rows), 2, width=8.4, gridspec_kw={"width_ratios": (3, 2)})
    for (left, right), row in zip(axes, rows):
        m = np.array(row["masked"])
        left.axhline(0, color=canvas.BLACK, lw=0.8)
        for seed in (seed for seed in seeds if seed["name"] == row["name"]):
            left.plot(m, seed["difference_by_draw"], ".", color=canvas.SKY, ms=4)
        left.errorbar(m, row["difference"]["mean"], row["difference"]["std"], fmt="o-", color=canvas.BLUE, lw=2, capsize=3)
        left.set(
            ylabel="accuracy, TAM - RM (points)", title=f"{data_title(campaign.catalogue, row['dataset'])}, {row['architecture']}"
        )
        for kind, (name, colour, marker) in KINDS.items():
            look = {"color": colour, "marker": marker, "capsize": 2, "label": name}
            right.errorbar(m, row[kind]["mean"], row[kind]["std"], **look)
        right.axhline(row["unmasked"]["mean"], color=canvas.GREY, ls="--", lw=1, label="nothing masked")
        right.set(ylabel="accuracy (%)", ylim=(0, None))
        right.legend(loc="lower left")
        for axis in (left, right):
            axis.set(xlabel="tokens masked at each timestep (of 64)", xticks=m)
    return figure
