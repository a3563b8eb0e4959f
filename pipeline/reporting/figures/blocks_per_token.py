"""Map blocks per token over images (Fig. 5), and measure how much earlier background halts than the object.

Dimensions: N images, T timesteps, K0 = 64 tokens, 8 x 8 over the image.
"""

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.data.prepared import Split
from pipeline.reporting.drawing import campaign_results, canvas

TITLE = "Blocks that computed each token, summed over timesteps (Fig. 5)"
DEFINITION = (
    "Images of the first seed's network beside a map of how many blocks computed each of their 64 tokens, over all timesteps; "
    "merged and halted tokens are darker. Where the images have object masks, the number is how much earlier unmerged background tokens (no pixel on the "
    "object) halt than object tokens (at least half of their pixels), in blocks, mean over timesteps and images."
)
MOST_EVALUATIONS = 1
OBJECT_SHARE = 0.5  # an object token has at least this share of its pixels on the object, a background token none
COLUMNS, ROWS = 6, 2  # images shown


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw the map of the first seed's evaluation, and compute the number over all seeds."""
    seeds = [halting_of_seed(campaign, evaluation) for evaluation in evaluations]
    differences = [seed["background_halts_earlier_by_blocks"] for seed in seeds if "undefined" not in seed]
    numbers = {
        "mean": float(np.mean(differences)) if differences else None,
        "std": float(np.std(differences, ddof=1)) if len(differences) > 1 else None,
    }
    numbers |= {"n": len(differences), "seeds": seeds}
    return paint(campaign, evaluations[0]), {"caption": caption(numbers) + campaign_results.about_images(campaign)} | numbers


def caption(numbers: dict) -> str:
    """Write the caption: how many blocks earlier background tokens halt, or why that is undefined."""
    mean, std = numbers["mean"], numbers["std"]
    if mean is None:
        return (
            f"How much earlier unmerged background tokens halt than object tokens: undefined, {numbers['seeds'][0]['undefined']}."
        )
    spread, order = "" if std is None else f" ± {std:.3f}", "earlier" if mean >= 0 else "later"
    means = f"mean over timesteps and images, n = {numbers['n']}"
    return f"Unmerged background tokens halt {abs(mean):.3f}{spread} blocks {order} than object tokens ({means})."


def halting_of_seed(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Compute the mean halting blocks of unmerged object and background tokens and their difference; or why it is undefined."""
    arrays, split = arrays_of(campaign, evaluation)
    if split.masks is None:
        return {"evaluation": evaluation.id, "undefined": "these images have no object masks"}
    survived, halt_block = arrays["merge_block"] == 0, arrays["halt_block"].astype(float)
    if not (halt_block[:, survived] < evaluation.run.network["depth"]).any():
        return {"evaluation": evaluation.id, "undefined": "none halts before the last block"}
    object_blocks, background_blocks = (halt_block[:, tokens & survived] for tokens in classify(split.masks))
    if not object_blocks.size or not background_blocks.size:
        return {"evaluation": evaluation.id, "undefined": "merging left no object or no background token"}
    means = {"object_halt_block": float(object_blocks.mean()), "background_halt_block": float(background_blocks.mean())}
    earlier = means["object_halt_block"] - means["background_halt_block"]
    return {"evaluation": evaluation.id} | means | {"background_halts_earlier_by_blocks": earlier}


def classify(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find object and background tokens, bool [N, K0] each, by masks [N, pixels, pixels]; tokens on the rim are neither."""
    patch = masks.shape[1] // campaign_results.SIDE
    share = (
        masks.reshape(-1, campaign_results.SIDE, patch, campaign_results.SIDE, patch).mean(axis=(2, 4)).reshape(len(masks), -1)
    )
    return share >= OBJECT_SHARE, share == 0


def arrays_of(campaign: Campaign, evaluation: Evaluation) -> tuple[dict, Split]:
    """Read `blocks` and `merge_block` [N, K0] and `halt_block` [T, N, K0] of an evaluation, and its test images."""
    arrays = campaign_results.arrays_of(campaign, evaluation, "blocks", "halt_block", "merge_block")
    return arrays, campaign_results.test_images(campaign, evaluation)


def paint(campaign: Campaign, evaluation: Evaluation):
    """Draw images beside their maps, brighter where more blocks computed the token, the object's outline in both."""
    arrays, split = arrays_of(campaign, evaluation)
    most_blocks = evaluation.run.network["depth"] * evaluation.timesteps
    figure, axes = canvas.panels(ROWS, 2 * COLUMNS, width=12, height=2.4)
    for index, (left, right) in enumerate(axes.reshape(-1, 2)[: len(split)]):
        size = split.images.shape[1]
        left.imshow(split.images[index])
        blocks = arrays["blocks"][index].reshape(campaign_results.SIDE, campaign_results.SIDE)
        blocks_map = right.imshow(blocks, vmin=0, vmax=most_blocks, cmap=canvas.HEAT, extent=(-0.5, size - 0.5, size - 0.5, -0.5))
        if split.masks is not None:
            for axis in (left, right):  # white on black is visible on any colour
                axis.contour(split.masks[index], [0.5], colors="black", linewidths=2)
                axis.contour(split.masks[index], [0.5], colors="white", linewidths=0.9)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.colorbar(blocks_map, ax=axes, label=f"blocks (of {most_blocks})", fraction=0.02, pad=0.01)
    return figure
