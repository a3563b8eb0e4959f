"""What a campaign keeps on disk, in bytes: as it lies here, else by measured sizes and the shapes of arrays. Imports no torch."""

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

CHECKPOINTS = 2  # the last one and the one before, which a training keeps
STATES = 3  # of a weight in a checkpoint: itself and AdamW's two moments
TOKENS = 64  # of an image, of either size


def disk(campaign: Campaign, rates: Rates, devices: int) -> dict:
    """Bytes of all that a whole campaign leaves, by what it is, and how many trainings or data sets have none.

    checkpoints_at_once: of as many trainings as there are devices, the largest. here: what lies here now.
    """
    sizes = weights_bytes(campaign, rates)
    weights, checkpoints = ([sizes.get(network_of(run), (None, None))[i] for run in campaign.runs] for i in (0, 1))
    found = {
        "prepared": [prepared_bytes(campaign.catalogue, campaign.data(name)) for name in campaign.experiment.datasets],
        "weights": weights,
        "checkpoints": [size and CHECKPOINTS * size for size in checkpoints],
        "arrays": [arrays_bytes(campaign, run) for run in campaign.measured_runs],
    }
    told = {name: {"bytes": sum(filter(None, each)), "unknown": each.count(None)} for name, each in found.items()}
    told["checkpoints_at_once"] = CHECKPOINTS * sum(sorted(filter(None, checkpoints))[-devices:])
    own = [campaign.weights_folder(run) for run in campaign.runs] + [
        campaign.data(n).folder for n in campaign.experiment.datasets
    ]
    here = sum(folder_bytes(folder) for folder in own if folder.is_dir())
    arrays = [campaign.arrays_file(run) for run in campaign.measured_runs]
    return told | {"here": here + sum(path.stat().st_size for path in arrays if path.exists())}


def weights_bytes(campaign: Campaign, rates: Rates) -> dict[str, tuple[int, int]]:
    """Final weights and a checkpoint of a network, by `network_of`: as they lie here, else as they were measured."""
    found: dict[str, tuple[int, int]] = {}
    for run in campaign.runs:
        if sizes := rates.sizes.get(training_kinds.kind_of(run)):
            found.setdefault(network_of(run), sizes)
    for run in campaign.runs:
        places = campaign.weights_file(run), campaign.folder / FOLDER / f"{run.id}.safetensors"
        weights = next((place.stat().st_size for place in places if place.exists()), None)
        checkpoint = campaign.weights_folder(run) / "checkpoint.pt"
        if weights:
            found[network_of(run)] = weights, checkpoint.stat().st_size if checkpoint.exists() else STATES * weights
    return found


def network_of(run: Run) -> str:
    """What two runs share whose weights are as large."""
    network = {key: value for key, value in run.network.items() if key != "timesteps"}
    return f"{run.data.name} {sorted(network.items())}"


def arrays_bytes(campaign: Campaign, run: Run) -> int | None:
    """The arrays of a run's evaluations: as they lie here, else at most, not compressed."""
    path, images = campaign.arrays_file(run), counts(campaign.catalogue, run.data)
    if path.exists():
        return path.stat().st_size
    if images is None:
        return None
    return sum(
        array_bytes(campaign.catalogue, evaluation, images[1])
        for evaluation in campaign.evaluations_of(run)
        if not evaluation.probe
    )


def array_bytes(catalogue: Catalogue, evaluation: Evaluation, test: int) -> int:
    """pipeline.evaluation.evaluate_run.arrays_of: labels and logits, and each token's fate where tokens are adaptive."""
    T = evaluation.timesteps
    classes = catalogue.datasets[evaluation.run.data.name].CLASS_COUNT
    image = 2 + 4 * T * classes
    tokens = TOKENS * (T + 2) + 8 * T if "gamma" in evaluation.options else 0
    return test * (image + tokens) + (HELD_OUT * image if evaluation.exits else 0)


def prepared_bytes(catalogue: Catalogue, data: Data) -> int | None:
    """Images and labels of a prepared data set: as they lie here, else by their number."""
    if data.folder.is_dir():
        return folder_bytes(data.folder)
    size, images = catalogue.datasets[data.name].IMAGE_SIZE, counts(catalogue, data)
    return images and (sum(images) + HELD_OUT) * (3 * size * size + 8)


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
