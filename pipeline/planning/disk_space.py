"""Estimate what a campaign keeps on disk, in bytes. Imports no torch.

Files that are here count by their size, others by measured sizes and the shapes of their arrays.
"""
# Tested in tests/pipeline/planning/test_plan.py

from pathlib import Path

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.campaign.published_weights import FOLDER
from pipeline.core.catalogue import Catalogue
from pipeline.data.identity import Data
from pipeline.data.sources import HELD_OUT
from pipeline.planning import training_kinds
from pipeline.planning.costs import counts
from pipeline.planning.measured_rates import Rates

CHECKPOINTS_KEPT = 2  # per training: the last one and the one before
STATES = 3  # numbers per weight in a checkpoint: the weight and AdamW's two moments
TOKENS = 64  # per image, at either image size


def disk(campaign: Campaign, rates: Rates, devices: int) -> dict:
    """Sum the bytes of all that a whole campaign leaves, by kind of file; `unknown`: trainings or data sets without a known size.

    checkpoints_at_once: those of as many trainings as there are devices, the largest ones. here: all files that are here now.
    """
    network_sizes = weights_bytes(campaign, rates)
    weights, checkpoints = ([network_sizes.get(network_of(run), (None, None))[i] for run in campaign.runs] for i in (0, 1))
    sizes_of_kind = {
        "prepared": [prepared_bytes(campaign.catalogue, campaign.data(name)) for name in campaign.experiment.datasets],
        "weights": weights,
        "checkpoints": [size and CHECKPOINTS_KEPT * size for size in checkpoints],
        "arrays": [arrays_bytes(campaign, run) for run in campaign.measured_runs],
    }
    summary = {name: {"bytes": sum(filter(None, sizes)), "unknown": sizes.count(None)} for name, sizes in sizes_of_kind.items()}
    summary["checkpoints_at_once"] = CHECKPOINTS_KEPT * sum(sorted(filter(None, checkpoints))[-devices:])
    folders = [campaign.weights_folder(run) for run in campaign.runs] + [
        campaign.data(name).folder for name in campaign.experiment.datasets
    ]
    bytes_here = sum(folder_bytes(folder) for folder in folders if folder.is_dir())
    arrays = [campaign.arrays_file(run) for run in campaign.measured_runs]
    return summary | {"here": bytes_here + sum(path.stat().st_size for path in arrays if path.exists())}


def weights_bytes(campaign: Campaign, rates: Rates) -> dict[str, tuple[int, int]]:
    """Look up the bytes of a network's final weights and checkpoint, by `network_of`: of its files here, else as measured."""
    sizes_of_network: dict[str, tuple[int, int]] = {}
    for run in campaign.runs:
        if sizes := rates.sizes.get(training_kinds.kind_of(run)):
            sizes_of_network.setdefault(network_of(run), sizes)
    for run in campaign.runs:
        paths = campaign.weights_file(run), campaign.folder / FOLDER / f"{run.id}.safetensors"
        weights = next((path.stat().st_size for path in paths if path.exists()), None)
        checkpoint = campaign.weights_folder(run) / "checkpoint.pt"
        if weights:
            sizes_of_network[network_of(run)] = weights, checkpoint.stat().st_size if checkpoint.exists() else STATES * weights
    return sizes_of_network


def network_of(run: Run) -> str:
    """Name what two runs share whose weights are equally large: the data set, and the network without its timesteps."""
    network = {key: value for key, value in run.network.items() if key != "timesteps"}
    return f"{run.data.name} {sorted(network.items())}"


def arrays_bytes(campaign: Campaign, run: Run) -> int | None:
    """Estimate the bytes of a run's arrays of evaluations: of the file here, else at most (not compressed); None if unknown."""
    path, image_counts = campaign.arrays_file(run), counts(campaign.catalogue, run.data)
    if path.exists():
        return path.stat().st_size
    if image_counts is None:
        return None
    return sum(
        array_bytes(campaign.catalogue, evaluation, image_counts[1])
        for evaluation in campaign.evaluations_of(run)
        if not evaluation.probe
    )


def array_bytes(catalogue: Catalogue, evaluation: Evaluation, test: int) -> int:
    """Compute the bytes of the arrays that pipeline.evaluation.evaluate_run.arrays_of returns.

    They are labels and logits and, where tokens are adaptive, the state of each token.
    """
    T = evaluation.timesteps
    classes = catalogue.datasets[evaluation.run.data.name].CLASS_COUNT
    bytes_per_image = 2 + 4 * T * classes
    token_bytes_per_image = TOKENS * (T + 2) + 8 * T if "gamma" in evaluation.options else 0
    return test * (bytes_per_image + token_bytes_per_image) + (HELD_OUT * bytes_per_image if evaluation.exits else 0)


def prepared_bytes(catalogue: Catalogue, data: Data) -> int | None:
    """Estimate the bytes of a data set's prepared images and labels: of those here, else by their number; None if unknown."""
    if data.folder.is_dir():
        return folder_bytes(data.folder)
    side, image_counts = catalogue.datasets[data.name].IMAGE_SIZE, counts(catalogue, data)
    return image_counts and (sum(image_counts) + HELD_OUT) * (3 * side * side + 8)


def folder_bytes(folder: Path) -> int:
    """Sum the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
