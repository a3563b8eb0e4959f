"""How alike the inputs of consecutive blocks are (Fig. 3): the paper's reason why halting may carry over to spikes.

Dimensions: T timesteps, B batch, K tokens, D channels, L blocks.
"""

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
PARTS = {"error": "estimation error", "cosine": "cosine similarity"}
ABOUT = ("left_out", "accuracy")

Settings = ProbeSettings


def measure(subject, settings: Settings) -> dict:
    """`error` and `cosine` from block l to l + 1 at t, [L - 1, T] each (None where no token has them); `left_out`: the share of
    tokens that have neither; `accuracy` of the network in percent.
    """
    import torch

    backbone, sums, seen, right, counted = subject.backbone, 0, 0, 0, 0
    for images, labels in subject.batches(images=settings.images):
        with subject.arithmetic():
            inputs = [backbone.embed(images.to(subject.device, subject.dtype))]
            for block in backbone.blocks[:-1]:
                inputs.append(block(inputs[-1]))
            logits = backbone.classify(backbone.blocks[-1](inputs[-1]).mean(dim=2))
        pairs = [compared(before.double(), after.double()) for before, after in zip(inputs[:-1], inputs[1:])]
        sums = sums + torch.stack(pairs, dim=1) if pairs else torch.zeros(3, 0, len(inputs[0]))
        seen += inputs[0].shape[1:3].numel()
        right += int((logits.double().mean(0).argmax(-1).cpu() == labels).sum())
        counted += len(labels)
    *parts, kept = sums.cpu().numpy()
    means = [[[s / k if k else None for s, k in zip(*row)] for row in zip(part.tolist(), kept.tolist())] for part in parts]
    return dict(zip(PARTS, means)) | {"left_out": (1 - kept / seen).tolist(), "accuracy": 100 * right / counted}


def compared(before, after):
    """Of token vectors [T, B, K, D], summed over images and tokens: estimation error, cosine, and how many have them, [3, T]."""
    import torch

    old, new = before.norm(dim=-1), after.norm(dim=-1)
    known = (old > 0) & (new > 0)
    error = (after - before).norm(dim=-1) / new
    cosine = (before * after).sum(-1) / (old * new)
    return torch.stack([torch.where(known, x, 0).sum((1, 2)) for x in (error, cosine, known.double())])


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """A column per network: the paper's (a) and (b)."""
    columns, seeds = [], []
    for own in campaign_results.by_name(evaluations).values():
        if own[0].run.network["depth"] < 2:
            raise MissingData(f"{own[0].run.label} has one block: name networks of two or more")
        told = [campaign_results.metrics_of(campaign, e, *PARTS, *ABOUT) for e in own]
        seeds += [{"evaluation": e.id, "run": e.run.id} | {k: t[k] for k in (*PARTS, *ABOUT)} for e, t in zip(own, told)]
        columns.append({"dataset": own[0].run.data.name, "architecture": own[0].run.architecture, "n": len(own)} | summary(told))
    return paint(campaign, columns), {"caption": caption(columns), "networks": columns, "seeds": seeds}


def summary(told: list[dict]) -> dict:
    """Over seeds: the mean at each timestep [L - 1, T], then mean and standard deviation of the mean over timesteps [L - 1]."""
    found = {}
    for key in PARTS:
        values = np.array([t[key] for t in told], float)  # [seeds, L - 1, T]
        over_time = np.nanmean(values, axis=2)
        std = plain(over_time.std(0, ddof=1)) if len(told) > 1 else None
        found[key] = {"by_timestep": plain(values.mean(0)), "mean": plain(over_time.mean(0)), "std": std}
    return found | {key: float(np.mean([t[key] for t in told])) for key in ABOUT}


def plain(values: np.ndarray) -> list:
    """As lists, None where there is no number."""
    return np.where(np.isnan(values), None, values).tolist()


def caption(columns: list[dict]) -> str:
    said = [
        f"{c['architecture']} (n = {c['n']}): test accuracy {c['accuracy']:.1f} %, {100 * c['left_out']:.2g} % of tokens left out as zero."
        for c in columns
    ]
    return " ".join(["Thick: mean over timesteps, with the standard deviation over seeds; thin: each timestep.", *said])


def paint(campaign: Campaign, columns: list[dict]):
    wide = [max(3, len(column["error"]["mean"])) for column in columns]
    options = {"width": max(4.8, 1.6 + 0.42 * sum(wide) + 0.9 * len(wide)), "height": 5.2, "sharey": "row", "sharex": "col"}
    figure, axes = canvas.panels(2, len(columns), gridspec_kw={"width_ratios": wide}, **options)
    for top, bottom, column in zip(*axes, columns):
        for axis, key in ((top, "error"), (bottom, "cosine")):
            lines(axis, column[key])
        top.set_title(f"{column['architecture']}\n{data_title(campaign.catalogue, column['dataset'])}")
        at = range(1, len(column["error"]["mean"]) + 1)
        bottom.set_xticks(at, [f"{l}→{l + 1}" for l in at])
        bottom.set_xlabel("block l → l + 1")
    for axis, label in zip(axes[:, 0], PARTS.values()):
        axis.set_ylabel(label)
        axis.set_ylim(min(0, axis.get_ylim()[0]), max(1, axis.get_ylim()[1]))
    named = max(axes[0], key=lambda axis: len(axis.get_legend_handles_labels()[1]))
    figure.legend(*named.get_legend_handles_labels(), loc="outside lower center", ncols=9)
    return figure


def lines(axis, part: dict) -> None:
    """Thin, one for each timestep, darker the later; thick, their mean."""
    by_timestep = np.array(part["by_timestep"], float).T  # [T, L - 1]
    x, mean = np.arange(1, by_timestep.shape[1] + 1), np.array(part["mean"], float)
    std = None if part["std"] is None else np.array(part["std"], float)
    if len(by_timestep) > 1:
        shades = canvas.pyplot().get_cmap("Blues")(np.linspace(0.4, 0.9, len(by_timestep)))
        for t, (values, shade) in enumerate(zip(by_timestep, shades), start=1):
            axis.plot(x, values, color=shade, marker=".", ms=4, lw=1, label=f"t = {t}")
    axis.errorbar(x, mean, std, color=canvas.BLACK, marker="o", ms=5, lw=2.2, capsize=3, label="mean")
    axis.set_xlim(0.5, len(x) + 0.5)
