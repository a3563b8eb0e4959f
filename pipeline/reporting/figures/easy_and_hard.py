"""Show images that need few tokens and images that need many (Fig. 7b).

Dimensions: T timesteps, N images, K0 = 64 tokens, 8 x 8 over the image.
"""
# Tested in tests/pipeline/reporting/figures/test_figures.py

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.reporting.drawing import campaign_results, canvas

TITLE = "Easy and hard images by the tokens they use (Fig. 7b)"
DEFINITION = (
    "Of the test images that the mean of all logits classifies correctly: those that use the fewest and the most tokens (share "
    "of the 64 tokens that a block computes, mean over blocks and timesteps) beside maps of the blocks that computed each token, "
    "and how many images use which share, all of the first seed. Reading: the paper's easy images use 45 % or fewer, its hard ones 69 % or "
    "more, and it does not say where it splits; here easy and hard are the tenths that use the fewest and the most."
)
MOST_EVALUATIONS = 1
COLUMNS = 4  # images shown of either kind
BINS = 50  # of the histogram, from 0 to 100 %
KEYS = ("easy_share", "hard_share", "mean_share")  # summarised over seeds
EASY, HARD = canvas.BLUE, canvas.RED


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw the images, maps and histogram of the first seed; the numbers, of all seeds, are shares of 1."""
    seeds = [{"evaluation": e.id, "run": e.run.id} | shares_of_seed(campaign, e) for e in evaluations]
    values = {key: np.array([seed[key] for seed in seeds]) for key in KEYS}
    mean = {key: float(value.mean()) for key, value in values.items()}
    std = {key: float(value.std(ddof=1)) if len(seeds) > 1 else None for key, value in values.items()}
    numbers = {"mean": mean, "std": std, "n": len(seeds), "seeds": seeds}
    return paint(campaign, evaluations[0], numbers), {
        "caption": caption(numbers) + campaign_results.about_images(campaign)
    } | numbers


def shares_of_seed(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Summarise one seed's token shares, and the share of tokens that merging leaves, mean over blocks, timesteps and images."""
    share = campaign_results.arrays_of(campaign, evaluation, "image_tokens")["image_tokens"].mean(0, dtype=float)
    merging_leaves = (campaign_results.fates(campaign, evaluation) != 1).mean()
    correct = np.flatnonzero(campaign_results.correct(campaign, evaluation))
    return summarise(share, correct) | {"merging_leaves": float(merging_leaves)}


def summarise(share: np.ndarray, correct: np.ndarray) -> dict:
    """Summarise token shares [N] of the images with indices `correct`: means of the tenths and of all, histogram, extremes.

    Ties are in the images' order.
    """
    easiest = correct[np.argsort(share[correct], kind="stable")]
    hardest = correct[np.argsort(-share[correct], kind="stable")]
    tenth = max(1, round(len(correct) / 10))
    shares = {"easy_share": share[easiest[:tenth]].mean(), "hard_share": share[hardest[:tenth]].mean()}
    shares |= {"mean_share": share[correct].mean(), "fewest": share[easiest[0]], "most": share[hardest[0]]}
    shares |= {"use_most": (share[correct] == share[hardest[0]]).mean()}
    counts, edges = np.histogram(share[correct], BINS, (0, 1))
    histogram = {"edges": edges.tolist(), "images": (counts / len(correct)).tolist()}
    kinds = {
        kind: [{"index": int(i), "share": float(share[i])} for i in indices[:COLUMNS]]
        for kind, indices in (("easiest", easiest), ("hardest", hardest))
    }
    return {key: float(value) for key, value in shares.items()} | {"correct": len(correct), "histogram": histogram} | kinds


def caption(numbers: dict) -> str:
    """Write the caption: the shares (%) that the tenths and all images use, and what merging leaves."""
    if all(seed["fewest"] == seed["most"] for seed in numbers["seeds"]):
        share = 100 * numbers["mean"]["mean_share"]
        return f"All correctly classified images use the same share of tokens, {share:.1f} %: none is easy or hard; the first are shown."

    def mean(key):
        spread = "" if numbers["std"][key] is None else f" ± {100 * numbers['std'][key]:.1f}"
        return f"{100 * numbers['mean'][key]:.1f}{spread} %"

    text = (
        f"The easiest tenth uses {mean('easy_share')} of the tokens, the hardest {mean('hard_share')}, all {mean('mean_share')}"
    )
    left, most, users = (100 * numbers["seeds"][0][key] for key in ("merging_leaves", "most", "use_most"))
    text = f"{text} (n = {numbers['n']} seeds). Shown is the first seed: merging leaves {left:.1f} % to each image"
    return f"{text}, and {users:.1f} % of the images use the most that any uses, {most:.1f} %."


def paint(campaign: Campaign, evaluation: Evaluation, numbers: dict):
    """Draw the images and their maps on the left, the histogram on the right."""
    plt = canvas.pyplot()
    figure = plt.figure(figsize=(12, 3.0), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2.2, 1))
    axes = left.subplots(2, 2 * COLUMNS, squeeze=False)
    images = campaign_results.test_images(campaign, evaluation).images
    blocks = campaign_results.arrays_of(campaign, evaluation, "blocks")["blocks"]
    most_blocks = evaluation.run.network["depth"] * evaluation.timesteps
    for axis in axes.flat:
        axis.set_axis_off()
    for row, kind, colour in zip(axes, ("easiest", "hardest"), (EASY, HARD)):
        row[0].set_title(kind, fontsize=10, color=colour, fontweight="bold")
        for entry, image_axis, map_axis in zip(numbers["seeds"][0][kind], row[::2], row[1::2]):
            index = entry["index"]
            image_axis.imshow(images[index], interpolation="none")
            tokens = blocks[index].reshape(campaign_results.SIDE, campaign_results.SIDE)
            blocks_map = map_axis.imshow(tokens, vmin=0, vmax=most_blocks, cmap=canvas.HEAT, interpolation="none")
            map_axis.set_title(f"{100 * entry['share']:.1f} %", fontsize=9)
    left.colorbar(
        blocks_map,
        ax=axes,
        label=f"blocks (of {most_blocks})",
        ticks=range(0, most_blocks + 1, max(1, most_blocks // 8)),
        fraction=0.025,
        pad=0.01,
    )
    histogram(right.subplots(), numbers["seeds"][0])
    return figure


def histogram(axis, seed: dict) -> None:
    """Draw how many images (%) use which share of tokens (%), with the means of both tenths."""
    edges, images = (100 * np.array(seed["histogram"][key]) for key in ("edges", "images"))
    axis.stairs(images, edges, fill=True, color="#B0B0B0")
    filled = np.flatnonzero(images)
    axis.set(xlim=(edges[max(filled[0] - 2, 0)], edges[min(filled[-1] + 3, BINS)]), ylim=(0, 1.3 * images.max()))
    axis.set_yticks([tick for tick in axis.get_yticks() if tick <= 100])
    for key, name, colour, side in (("easy_share", "easiest", EASY, "left"), ("hard_share", "hardest", HARD, "right")):
        mean = 100 * seed[key]
        axis.axvline(mean, color=colour, lw=1.5)
        height = 1.28 if key == "easy_share" else 1.14
        axis.annotate(
            f"{name} tenth {mean:.1f} %",
            (mean, height * images.max()),
            ha=side,
            va="top",
            fontsize=8,
            color=colour,
            textcoords="offset points",
            xytext=(4 if side == "left" else -4, 0),
        )
    axis.set(xlabel="tokens used (%)", ylabel="correctly classified images (%)")
