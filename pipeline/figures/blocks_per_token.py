"""The map of blocks per token over images (Fig. 5), and its number: how much earlier background halts than the object.

Dimensions: N images, T timesteps, K0 = 64 tokens, 8 x 8 over the image.
"""

from pathlib import Path

import numpy as np

from pipeline.arrays import read_arrays
from pipeline.campaign import Campaign
from pipeline.identity import Evaluation
from pipeline.prepared import Prepared, Split

TITLE = "Blocks that computed each token, summed over timesteps"
MOST_EVALUATIONS = 1
SIDE = 8  # tokens per side of an image
OBJECT_SHARE = 0.5  # of its pixels on the object make a token an object token; one without any is background
COLUMNS, ROWS = 6, 2  # images shown


def draw(campaign: Campaign, evaluations: list[Evaluation], path: Path) -> dict:
    """The map of the first seed's evaluation as a PNG, and the number over all seeds."""
    seeds = [measure(campaign, evaluation) for evaluation in evaluations]
    known = [n["background_halts_earlier_by_blocks"] for n in seeds if "undefined" not in n]
    numbers = {"mean": float(np.mean(known)) if known else None, "std": float(np.std(known, ddof=1)) if len(known) > 1 else None}
    numbers |= {"n": len(known), "seeds": seeds}
    text = caption(numbers)
    paint(campaign, evaluations[0], path, text)
    return {"title": TITLE, "caption": text} | numbers


def caption(numbers: dict) -> str:
    mean, std = numbers["mean"], numbers["std"]
    if mean is None:
        return (
            f"How much earlier unmerged background tokens halt than object tokens: undefined, {numbers['seeds'][0]['undefined']}"
        )
    spread, order = "" if std is None else f" ± {std:.3f}", "earlier" if mean >= 0 else "later"
    means = f"mean over timesteps and images, n = {numbers['n']}"
    return f"Unmerged background tokens halt {abs(mean):.3f}{spread} blocks {order} than object tokens ({means})"


def measure(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Mean halting block of object and background tokens that no merge removed, and their difference; or why there is none."""
    arrays, split = arrays_of(campaign, evaluation)
    if "halt_block" not in arrays:
        return {"evaluation": evaluation.id, "undefined": "this method halts no tokens"}
    if split.masks is None:
        return {"evaluation": evaluation.id, "undefined": "these images have no object masks"}
    survived, halt_block = arrays["survived"], arrays["halt_block"].astype(float)
    if not (halt_block[:, survived] < evaluation.run.network["depth"]).any():
        return {"evaluation": evaluation.id, "undefined": "none halts before the last block"}
    of_object, of_background = (halt_block[:, kind & survived] for kind in classify(split.masks))
    if not of_object.size or not of_background.size:
        return {"evaluation": evaluation.id, "undefined": "merging left no object or no background token"}
    means = {"object_halt_block": float(of_object.mean()), "background_halt_block": float(of_background.mean())}
    earlier = means["object_halt_block"] - means["background_halt_block"]
    return {"evaluation": evaluation.id} | means | {"background_halts_earlier_by_blocks": earlier}


def classify(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are object and which are background, bool [N, K0] each; tokens on the rim are neither."""
    patch = masks.shape[1] // SIDE
    share = masks.reshape(-1, SIDE, patch, SIDE, patch).mean(axis=(2, 4)).reshape(len(masks), -1)
    return share >= OBJECT_SHARE, share == 0


def arrays_of(campaign: Campaign, evaluation: Evaluation) -> tuple[dict, Split]:
    arrays = read_arrays(campaign.arrays_file(evaluation.run), evaluation.name, "blocks", "halt_block", "survived")
    return arrays, Prepared(evaluation.run.data.folder).split("test")


def paint(campaign: Campaign, evaluation: Evaluation, path: Path, text: str) -> None:
    """Images beside their maps, brighter where more blocks computed the token, the object's outline in both."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    arrays, split = arrays_of(campaign, evaluation)
    most = evaluation.run.network["depth"] * evaluation.timesteps
    figure, axes = plt.subplots(ROWS, 2 * COLUMNS, figsize=(12, 2.75), layout="constrained")
    for index, (left, right) in enumerate(axes.reshape(-1, 2)[: len(split)]):
        blocks = arrays["blocks"][index] if "blocks" in arrays else np.full(SIDE * SIDE, most)
        size = split.images.shape[1]
        left.imshow(split.images[index])
        heat = right.imshow(
            blocks.reshape(SIDE, SIDE), vmin=0, vmax=most, cmap="magma", extent=(-0.5, size - 0.5, size - 0.5, -0.5)
        )
        if split.masks is not None:
            for axis, colour in ((left, "white"), (right, "cyan")):
                axis.contour(split.masks[index], [0.5], colors=colour, linewidths=0.8)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.colorbar(heat, ax=axes, label=f"blocks (of {most})", fraction=0.02, pad=0.01)
    data = Prepared(evaluation.run.data.folder).meta["origin"]
    figure.suptitle(f"{text}\n{evaluation.id} on {data}; scale {campaign.experiment.scale}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)
