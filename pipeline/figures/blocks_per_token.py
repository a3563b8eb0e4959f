"""The map of blocks per token over images (Fig. 5), and its number: how much earlier background halts than the object.

Dimensions: N images, T timesteps, K0 = 64 tokens, 8 x 8 over the image.
"""

from pathlib import Path

import numpy as np

from pipeline.campaign import Campaign, Evaluation
from pipeline.prepared import Prepared, Split

TITLE = "Blocks that computed each token, summed over timesteps"
SIDE = 8  # tokens per side of an image
OBJECT_SHARE = 0.5  # of its pixels on the object make a token an object token; one without any is background
COLUMNS, ROWS = 6, 2  # images shown


def draw(campaign: Campaign, evaluations: list[Evaluation], path: Path) -> dict:
    """The map of the first seed's evaluation as a PNG, and the number over all seeds."""
    numbers = [measure(campaign, evaluation) for evaluation in evaluations]
    known = [n["background_halts_earlier_by_blocks"] for n in numbers if n["background_halts_earlier_by_blocks"] is not None]
    mean = float(np.mean(known)) if known else None
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    paint(campaign, evaluations[0], path, caption(mean, std, len(numbers)))
    return {
        "title": TITLE,
        "caption": caption(mean, std, len(numbers)),
        "mean": mean,
        "std": std,
        "n": len(known),
        "seeds": numbers,
    }


def caption(mean: float | None, std: float | None, seeds: int) -> str:
    if mean is None:
        return "How much earlier unmerged background tokens halt than object tokens: undefined (none halts before the last block, or no mask)"
    spread = "" if std is None else f" ± {std:.3f}"
    order = "earlier" if mean >= 0 else "later"
    return f"Unmerged background tokens halt {abs(mean):.3f}{spread} blocks {order} than object tokens (mean over timesteps and images, n = {seeds})"


def measure(campaign: Campaign, evaluation: Evaluation) -> dict:
    """Mean halting block of object and background tokens that no merge removed, and their difference."""
    arrays, split = arrays_of(campaign, evaluation)
    content = {
        "evaluation": evaluation.id,
        "object_halt_block": None,
        "background_halt_block": None,
        "background_halts_earlier_by_blocks": None,
    }
    if "halt_block" not in arrays or split.masks is None:
        return content
    survived, halt_block = arrays["survived"], arrays["halt_block"].astype(float)
    is_object, is_background = classify(split.masks)
    if not (halt_block[:, survived] < evaluation.run.network["depth"]).any():
        return content
    of_object, of_background = (halt_block[:, kind & survived] for kind in (is_object, is_background))
    if not of_object.size or not of_background.size:
        return content
    content |= {"object_halt_block": float(of_object.mean()), "background_halt_block": float(of_background.mean())}
    return content | {"background_halts_earlier_by_blocks": content["object_halt_block"] - content["background_halt_block"]}


def classify(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which tokens are object and which are background, bool [N, K0] each; tokens on the rim are neither."""
    patch = masks.shape[1] // SIDE
    share = masks.reshape(-1, SIDE, patch, SIDE, patch).mean(axis=(2, 4)).reshape(len(masks), -1)
    return share >= OBJECT_SHARE, share == 0


def arrays_of(campaign: Campaign, evaluation: Evaluation) -> tuple[dict, Split]:
    with np.load(campaign.evaluation_folder(evaluation) / "tokens.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, Prepared(evaluation.run.data.folder).split(evaluation.split)


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
