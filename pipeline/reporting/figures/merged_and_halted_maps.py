"""Map what becomes of an image's tokens, by block and timestep (Fig. 6).

Dimensions: L blocks, T timesteps, N images, K0 = 64 tokens, 8 x 8 over the image; S pixels a side.
"""
# Tested in tests/pipeline/reporting/figures/test_figures.py

import numpy as np

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation
from pipeline.data.prepared import Split
from pipeline.reporting.drawing import campaign_results, canvas

TITLE = "Tokens merged away and halted, over images (Fig. 6)"
DEFINITION = (
    "Test images of the first seed; in each block and timestep those of the 64 tokens are shaded that a merge took away by then, "
    "and those of the others that halted in an earlier block of the timestep. Clear tokens are computed. Reading: the paper does "
    "not say how it chose its images; these are, of the correctly classified ones, those in which the most tokens halt, one of a "
    "class."
)
MOST_EVALUATIONS = 1
MAPS_ACROSS, MOST_IMAGES_ACROSS, ROWS = 20, 3, 2  # maps that fit beside each other; images beside each other; rows of images
IMAGE_WIDTH = 2  # of an image, in maps
SHADE = 0.8  # opacity of a token's colour over the image
GAP = 0.12  # between maps, in maps


def draw(campaign: Campaign, evaluations: list[Evaluation]):
    """Draw a block of maps per image; the numbers have each token's fate: 0 computed, 1 merged away, 2 halted."""
    evaluation = evaluations[0]
    fates, split = campaign_results.fates(campaign, evaluation), campaign_results.test_images(campaign, evaluation)
    across, down = layout(evaluation.run.network["depth"])
    halted, correct = (fates == 2).mean(axis=(0, 1, 3)), campaign_results.correct(campaign, evaluation)
    chosen = choose(halted, correct, split.labels, across * down)
    numbers = {
        "evaluation": evaluation.id,
        "run": evaluation.run.id,
        "images": [numbers_of_image(fates, split.labels, i) for i in chosen],
    }
    return paint(fates, split, chosen, (across, down)), {
        "caption": caption(fates, numbers["images"]) + campaign_results.about_images(campaign)
    } | numbers


def layout(depth: int) -> tuple[int, int]:
    """Compute how many images fit beside each other and below each other."""
    return min(MOST_IMAGES_ACROSS, max(1, MAPS_ACROSS // (depth + IMAGE_WIDTH))), ROWS


def choose(halted: np.ndarray, correct: np.ndarray, labels: np.ndarray, most: int) -> list[int]:
    """Choose the images with the largest halted share [N] among the correct ones, one per class; ties go to the first."""
    order = [int(i) for i in np.argsort(-halted, kind="stable") if correct[i]]
    first_of_class: dict[int, int] = {}
    for index in order:
        first_of_class.setdefault(int(labels[index]), index)
    return list(first_of_class.values())[:most]


def numbers_of_image(fates: np.ndarray, labels: np.ndarray, index: int) -> dict:
    """Collect one image's class, shares of tokens merged and halted, and fates [L, T, K0]."""
    image_fates = fates[:, :, index]
    shares = {"merged_share": float((image_fates == 1).mean()), "halted_share": float((image_fates == 2).mean())}
    return {"index": index, "class": int(labels[index])} | shares | {"fates": image_fates.tolist()}


def caption(fates: np.ndarray, images: list[dict]) -> str:
    """Write the caption: tokens merged and halted (%) over all test images, and halted in those shown."""
    merged, halted = (float((fates == fate).mean() * 100) for fate in (1, 2))
    text = f"Over all test images, blocks and timesteps {merged:.1f} % of the tokens are merged away and {halted:.1f} % halted"
    if halted:
        shares = [100 * image["halted_share"] for image in images]
        text += f"; in these images {min(shares):.1f} to {max(shares):.1f} % are halted"
    absent = [word for share, word in ((merged, "is merged away"), (halted, "halts")) if not share]
    return f"{text}." + "".join(f" Nothing {word}." for word in absent)


def paint(fates: np.ndarray, split: Split, chosen: list[int], places: tuple[int, int]):
    """Draw the maps of the chosen images; places: how many images fit across and down."""
    from matplotlib.patches import Patch

    depth, timesteps = fates.shape[:2]
    across, down = min(places[0], len(chosen)), -(-len(chosen) // places[0])
    width = max(6.4, 0.62 * across * (depth + IMAGE_WIDTH + 0.6))
    figure, axes = canvas.panels(down, across, width=width, height=down * (0.62 * timesteps + 0.6) + 0.3)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, index in zip(axes.flat, chosen):
        draw_maps(axis, split.images[index], fates[:, :, index])
        axis.set_title(f"image {index}, class {split.labels[index]}", fontsize=9)
    names = ((canvas.COMPUTED, "computed (clear)"), (canvas.MERGED, "merged away"), (canvas.HALTED, "halted"))
    patches = [Patch(facecolor=colour, edgecolor="#555555", label=name) for colour, name in names]
    figure.legend(handles=patches, loc="outside lower center", ncol=3)
    return figure


def draw_maps(axis, image: np.ndarray, fates: np.ndarray) -> None:
    """Draw the image and, to its right, a map per block (columns) and timestep (rows), of fates [L, T, K0]."""
    depth, timesteps = fates.shape[:2]
    side = min(IMAGE_WIDTH, timesteps)
    left, top = -side - 0.5, (timesteps - side) / 2
    axis.imshow(image, extent=(left, left + side, top + side, top), interpolation="none")
    for l in range(depth):
        axis.text(l + 0.5, -0.05, l + 1, ha="center", va="bottom", fontsize=7)
        for t in range(timesteps):
            extent = (l + GAP / 2, l + 1 - GAP / 2, t + 1 - GAP / 2, t + GAP / 2)
            axis.imshow(shade(image, fates[l, t]), extent=extent, interpolation="none")
    for t in range(timesteps):
        axis.text(-0.05, t + 0.5, f"t={t + 1}", ha="right", va="center", fontsize=7)
    axis.text(-0.05, -0.05, "block", ha="right", va="bottom", fontsize=7)
    axis.set(xlim=(left, depth), ylim=(timesteps, -0.3), aspect="equal")


def shade(image: np.ndarray, fates: np.ndarray) -> np.ndarray:
    """Convert the image [S, S, 3] to grey, from 0 to 1, and cover those of its tokens [K0] that are not computed."""
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(colour) for colour in (canvas.COMPUTED, canvas.MERGED, canvas.HALTED)])
    patch = len(image) // campaign_results.SIDE
    fate_of_pixel = fates.reshape(campaign_results.SIDE, campaign_results.SIDE).repeat(patch, 0).repeat(patch, 1)
    opacity = (fate_of_pixel > 0)[..., None] * SHADE
    grey = np.repeat(image.mean(axis=-1, keepdims=True) / 255, 3, axis=-1)
    return (1 - opacity) * grey + opacity * colours[fate_of_pixel]
