"""Measure whether halting starts at all: the values of channel 0, and the tokens halted and the accuracy as beta is raised.

Dimensions: L blocks, V values of channel 0.
"""
# Tested in tests/pipeline/reporting/figures/test_probes.py

import numpy as np
from pydantic import Field

from baselines import halt_only
from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.campaign.titles import data_title, method_title
from pipeline.reporting.drawing import campaign_results, canvas
from pipeline.reporting.figures import ProbeSettings

TITLE = "Does halting start: channel 0, and tokens halted over β"
DEFINITION = (
    "A trained network, its weights as they are, all 64 tokens. Left: the values of channel 0 of the tokens after each block, which the "
    "halting score is made of (Eq. 3), where nothing halts; shaded, from the least count on whose score alone reaches 1 - ε with "
    "the paper's α = 5 and β = -10, so that a token halts at once. Middle: share of the tokens that halted in an earlier block, mean over "
    "blocks, timesteps and images, at other β, scores summed over blocks and timesteps (2D) or over blocks (1D). Right: accuracy "
    "there. Dotted: the paper's β; dashed: nothing halts."
)
MOST_EVALUATIONS = None
NEEDS_TOKENS = True
AXES = {"2d": ("2D", canvas.BLUE, "D"), "1d": ("1D", canvas.ORANGE, "s")}
BETA_WITHOUT_HALTING = -200.0  # a beta at which no score is ever above 1e-70
KEYS = ("accuracy", "halted")
SMALLEST_SHOWN = 1e-6  # share of the tokens


class Settings(ProbeSettings):
    """Settings of the measurement: the betas that are tried."""

    betas: tuple[float, ...] = Field(default=(-10, -8, -6, -5, -4, -3, -2, -1), min_length=1)


def passes(settings: Settings) -> int:
    """Count the passes over the images: one in which nothing halts, and one for each beta and each of 2D and 1D."""
    return 1 + len(AXES) * len(settings.betas)


def measure(subject, settings: Settings) -> dict:
    """Measure `channel_0`, the share of tokens by value [L, V]; by axes, accuracy (%) and share halted over betas.

    `plain` is the accuracy where nothing halts.
    """
    unhalted = measure_halting(subject, settings, beta=BETA_WITHOUT_HALTING)
    # Bins of half a count are added up to bins of whole counts
    counts = unhalted.channel_0[:, ::2] + np.pad(unhalted.channel_0[:, 1::2], ((0, 0), (0, 1)))
    metrics: dict = {"channel_0": (counts / counts.sum(1, keepdims=True)).tolist(), "plain": unhalted.summary()["accuracy"]}
    for axes in AXES:
        summaries = [measure_halting(subject, settings, beta=beta, axes=axes).summary() for beta in settings.betas]
        metrics |= {f"accuracy_{axes}": [summary["accuracy"] for summary in summaries]}
        metrics |= {f"halted_{axes}": [float(np.mean(summary["halted_by_block"])) for summary in summaries]}
    return metrics


def measure_halting(subject, settings: Settings, **options):
    """Measure the backbone with halting, whatever method it was trained with."""
    network = halt_only.build(subject.backbone, halt_only.Options(**options))
    return subject.measure(network.eval(), images=settings.images)


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a row of panels per evaluation, means over its seeds."""
    keys = ("channel_0", "plain", *(f"{key}_{axes}" for key in KEYS for axes in AXES))
    rows, seeds = [], []
    for name, seed_evaluations in campaign_results.by_name(evaluations).items():
        metrics = [campaign_results.metrics_of(campaign, e, *keys) for e in seed_evaluations]
        network = {
            "evaluation": name,
            "dataset": seed_evaluations[0].run.data.name,
            "architecture": seed_evaluations[0].run.architecture,
            "n": len(seed_evaluations),
        }
        network |= {
            "trained": method_title(campaign.catalogue, seed_evaluations[0].run.method, seed_evaluations[0].run.options),
            "betas": list(seed_evaluations[0].settings["betas"]),
        }
        rows.append(network | {key: campaign_results.spread([m[key] for m in metrics]) for key in keys})
        seeds += [{"evaluation": e.id, "run": e.run.id} | m for e, m in zip(seed_evaluations, metrics)]
    return paint(campaign, rows), {"caption": " ".join(caption(campaign, row) for row in rows), "networks": rows, "seeds": seeds}


def paper_options():
    """Return the paper's alpha, beta and epsilon, which are the defaults of halting."""
    return halt_only.Options()


def least_halting_count() -> int:
    """Find the least count whose score alone reaches 1 - epsilon with the paper's options (Eq. 3)."""
    options = paper_options()
    return next(x for x in range(100) if 1 / (1 + np.exp(-options.alpha * x - options.beta)) >= 1 - options.epsilon)


def caption(campaign: Campaign, row: dict) -> str:
    """Write a network's part of the caption: shares (%) of tokens by channel 0, and of those halted at the paper's beta."""
    channel, paper_beta = np.array(row["channel_0"]["mean"]), paper_options().beta
    text = f"{network_label(campaign, row)}, n = {row['n']}: channel 0 is 0 in {100 * channel[:, 0].mean():.1f} % of the tokens, "
    text += (
        f"at least {least_halting_count()} in {percent(channel[:, least_halting_count() :].sum(1).mean())} % (mean over blocks)"
    )
    if paper_beta in row["betas"]:
        place = row["betas"].index(paper_beta)
        halted = [f"{name}: {percent(row[f'halted_{axes}']['mean'][place])} %" for axes, (name, *_) in AXES.items()]
        text += f"; at the paper's β halted {', '.join(halted)}"
    return f"{text}."


def percent(share: float) -> str:
    """Write a share as a percentage of three digits, "< 0.01" below that."""
    return "0" if share == 0 else f"{100 * share:.3g}" if share >= 1e-4 else "< 0.01"


def network_label(campaign: Campaign, row: dict) -> str:
    """Name a network by its data set, its architecture and the method that it was trained with."""
    return f"{data_title(campaign.catalogue, row['dataset'])}, {row['architecture']}, {row['trained']}"


def paint(campaign: Campaign, rows: list[dict]):
    """Draw, per network, channel 0 by block, tokens halted (%) over beta, and accuracy (%) over beta."""
    figure, axes = canvas.panels(len(rows), 3, width=11.0)
    for (left, middle, right), row in zip(axes, rows):
        channel = np.array(row["channel_0"]["mean"])
        values = np.arange(channel.shape[1])
        for block, shares in enumerate(channel):
            tint = canvas.block_colour(block, len(channel))
            percentages = np.where(shares > SMALLEST_SHOWN, 100 * shares, np.nan)
            left.plot(values, percentages, marker="o", ms=4, lw=1.2, color=tint, label=f"block {block + 1}")
        left.axvspan(least_halting_count() - 0.5, values[-1] + 0.5, color=canvas.RED, alpha=0.08, lw=0)
        left.set(xlabel="channel 0 of a token (spikes)", ylabel="tokens (%)", yscale="log", xticks=values)
        left.set_title(network_label(campaign, row), loc="left", fontsize=9, fontweight="bold")
        left.legend()
        for kind, (name, colour, marker) in AXES.items():
            look = {"color": colour, "marker": marker, "capsize": 2, "label": name}
            halted, accuracy = row[f"halted_{kind}"], row[f"accuracy_{kind}"]
            middle.errorbar(row["betas"], 100 * np.array(halted["mean"]), times(halted["std"], 100), **look)
            right.errorbar(row["betas"], accuracy["mean"], accuracy["std"], **look)
        right.axhline(row["plain"]["mean"], color=canvas.GREY, ls="--", lw=1)
        for axis, name in ((middle, "tokens halted (%)"), (right, "accuracy (%)")):
            axis.axvline(paper_options().beta, color=canvas.GREY, ls=":", lw=1.2)
            axis.set(xlabel="β of Eq. 3", ylabel=name, ylim=(0, None))
        middle.legend()
    return figure


def times(values: list[float] | None, factor: float) -> np.ndarray | None:
    """Multiply values by a factor; None stays None."""
    return None if values is None else factor * np.array(values)
