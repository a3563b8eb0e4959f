"""Measure how alike the inputs of consecutive blocks are (Fig. 3), the paper's reason why halting may carry over to spikes.

Dimensions: T timesteps, B batch, K tokens, D channels, L blocks.
"""
# Tested in tests/pipeline/reporting/figures/test_probes.py

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.drawing.missing_data import MissingData
from pipeline.reporting.figures import ProbeSettings

TITLE = "Estimation error and similarity of the inputs of consecutive blocks (Fig. 3)"
DEFINITION = (
    "x^l: the input of block l, x^1 the tokens after patch splitting. Per token, the estimation error |x^(l+1) - x^l| / |x^(l+1)| "
    "(Euclidean norms) and the cosine of x^l and x^(l+1), averaged over tokens and images at each timestep. Tokens that are zero in "
    "x^l or x^(l+1) are left out. Reading: the paper does not define the error; here it is relative to what is estimated."
)
MOST_EVALUATIONS = None
NEEDS_TOKENS = True
MEASURES = {"error": "estimation error", "cosine": "cosine similarity"}
SCALARS = ("left_out", "accuracy")

Settings = ProbeSettings


def measure(subject, settings: Settings) -> dict:
    """Measure `error` and `cosine` from block l to l + 1 at t, [L - 1, T] each (None where no token has them).

    `left_out` is the share of tokens that have neither [L - 1, T], `accuracy` that of the network in percent.
    """
    import torch

    backbone, sums, token_count, correct, image_count = subject.backbone, 0, 0, 0, 0
    for images, labels in subject.batches(images=settings.images):
        with subject.arithmetic():
            inputs = [backbone.embed(images.to(subject.device, subject.dtype))]
            for block in backbone.blocks[:-1]:
                inputs.append(block(inputs[-1]))
            logits = backbone.classify(backbone.blocks[-1](inputs[-1]).mean(dim=2))
        sums_of_pairs = [similarity_sums(before.double(), after.double()) for before, after in zip(inputs[:-1], inputs[1:])]
        sums = sums + torch.stack(sums_of_pairs, dim=1) if sums_of_pairs else torch.zeros(3, 0, len(inputs[0]))
        token_count += inputs[0].shape[1:3].numel()
        correct += int((logits.double().mean(0).argmax(-1).cpu() == labels).sum())
        image_count += len(labels)
    *measures, kept = sums.cpu().numpy()
    means = [
        [[s / k if k else None for s, k in zip(*row)] for row in zip(measure_sums.tolist(), kept.tolist())]
        for measure_sums in measures
    ]
    return dict(zip(MEASURES, means)) | {"left_out": (1 - kept / token_count).tolist(), "accuracy": 100 * correct / image_count}


def similarity_sums(before, after):
    """Sum estimation error, cosine, and tokens that have them over images and tokens [T, B, K, D]: [3, T]."""
    import torch

    norm_before, norm_after = before.norm(dim=-1), after.norm(dim=-1)
    nonzero = (norm_before > 0) & (norm_after > 0)
    error = (after - before).norm(dim=-1) / norm_after
    cosine = (before * after).sum(-1) / (norm_before * norm_after)
    return torch.stack([torch.where(nonzero, x, 0).sum((1, 2)) for x in (error, cosine, nonzero.double())])


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a column per network: errors above cosines, as the paper's (a) and (b)."""
    columns, seeds = [], []
    for seed_evaluations in campaign_results.by_name(evaluations).values():
        if seed_evaluations[0].run.network["depth"] < 2:
            raise MissingData(f"{seed_evaluations[0].run.label} has one block: name networks of two or more")
        metrics = [campaign_results.metrics_of(campaign, e, *MEASURES, *SCALARS) for e in seed_evaluations]
        seeds += [
            {"evaluation": e.id, "run": e.run.id} | {k: m[k] for k in (*MEASURES, *SCALARS)}
            for e, m in zip(seed_evaluations, metrics)
        ]
        columns.append(
            {
                "dataset": seed_evaluations[0].run.data.name,
                "architecture": seed_evaluations[0].run.architecture,
                "n": len(seed_evaluations),
            }
            | summary(metrics)
        )
    return paint(campaign, columns), {"caption": caption(columns), "networks": columns, "seeds": seeds}


def summary(metrics: list[dict]) -> dict:
    """Summarise over seeds: mean by timestep [L - 1, T], mean and standard deviation of the mean over timesteps [L - 1]."""
    summaries = {}
    for key in MEASURES:
        values = np.array([m[key] for m in metrics], float)  # [seeds, L - 1, T]
        over_time = np.nanmean(values, axis=2)
        std = without_nan(over_time.std(0, ddof=1)) if len(metrics) > 1 else None
        summaries[key] = {"by_timestep": without_nan(values.mean(0)), "mean": without_nan(over_time.mean(0)), "std": std}
    return summaries | {key: float(np.mean([m[key] for m in metrics])) for key in SCALARS}


def without_nan(values: np.ndarray) -> list:
    """Convert an array to lists, NaN to None."""
    return np.where(np.isnan(values), None, values).tolist()


def caption(columns: list[dict]) -> str:
    """Write the caption: each network's accuracy (%) and share of tokens left out (%)."""
    sentences = [
        f"{c['architecture']} (n = {c['n']}): test accuracy {c['accuracy']:.1f} %, {100 * c['left_out']:.2g} % of tokens left out as zero."
        for c in columns
    ]
    return " ".join(["Thick: mean over timesteps, with the standard deviation over seeds; thin: each timestep.", *sentences])


def paint(campaign: Campaign, columns: list[dict]):
    """Draw estimation errors in the upper row and cosines in the lower one."""
    widths = [max(3, len(column["error"]["mean"])) for column in columns]
    options = {"width": max(4.8, 1.6 + 0.42 * sum(widths) + 0.9 * len(widths)), "height": 5.2, "sharey": "row", "sharex": "col"}
    figure, axes = canvas.panels(2, len(columns), gridspec_kw={"width_ratios": widths}, **options)
    for top, bottom, column in zip(*axes, columns):
        for axis, key in ((top, "error"), (bottom, "cosine")):
            plot_lines(axis, column[key])
        top.set_title(f"{column['architecture']}\n{data_title(campaign.catalogue, column['dataset'])}")
        blocks = range(1, len(column["error"]["mean"]) + 1)
        bottom.set_xticks(blocks, [f"{l}→{l + 1}" for l in blocks])
        bottom.set_xlabel("block l → l + 1")
    for axis, label in zip(axes[:, 0], MEASURES.values()):
        axis.set_ylabel(label)
        axis.set_ylim(min(0, axis.get_ylim()[0]), max(1, axis.get_ylim()[1]))
    labelled = max(axes[0], key=lambda axis: len(axis.get_legend_handles_labels()[1]))
    figure.legend(*labelled.get_legend_handles_labels(), loc="outside lower center", ncols=9)
    return figure


def plot_lines(axis, summary: dict) -> None:
    """Plot a thin line for each timestep, darker the later, and a thick one for their mean."""
    by_timestep = np.array(summary["by_timestep"], float).T  # [T, L - 1]
    x, mean = np.arange(1, by_timestep.shape[1] + 1), np.array(summary["mean"], float)
    std = None if summary["std"] is None else np.array(summary["std"], float)
    if len(by_timestep) > 1:
        shades = canvas.pyplot().get_cmap("Blues")(np.linspace(0.4, 0.9, len(by_timestep)))
        for t, (values, shade) in enumerate(zip(by_timestep, shades), start=1):
            axis.plot(x, values, color=shade, marker=".", ms=4, lw=1, label=f"t = {t}")
    axis.errorbar(x, mean, std, color=canvas.BLACK, marker="o", ms=5, lw=2.2, capsize=3, label="mean")
    axis.set_xlim(0.5, len(x) + 0.5)
