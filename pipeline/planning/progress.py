"""Find how far each training of a campaign has come, from the files that it has left. Imports no torch."""
# Tested in tests/pipeline/planning/test_plan.py

from dataclasses import dataclass, field

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.campaign.published_weights import FOLDER
from pipeline.core import atomic_files
from pipeline.core import record as records
from pipeline.core.errors import UserError

FINISHED, UNDER_WAY, FAILED, NOT_BEGUN = "finished", "under way", "failed", "not begun"


@dataclass(frozen=True)
class Progress:
    """State of one training, and the epochs done.

    `entries`: its record, empty where there is none or it is damaged. `note`: what is damaged or missing, or why it failed.
    """

    state: str
    epoch: int = 0
    entries: list[dict] = field(default_factory=list)
    note: str = ""


def progress_of(campaign: Campaign) -> dict[str, Progress]:
    """Find the progress of each run, by its id. A damaged file goes into the note of its run, and stops nothing."""
    return {run.id: progress(campaign, run) for run in campaign.runs}


def progress(campaign: Campaign, run: Run) -> Progress:
    """Find the progress of one run."""
    folder = campaign.run_folder(run)
    if (folder / "done.json").exists():
        entries, damage = read(folder / "record.jsonl")
        return Progress(FINISHED, epochs(run), entries, damage or without_weights(campaign, run))
    weights_folder = campaign.weights_folder(run)
    has_checkpoint = any((weights_folder / name).exists() for name in ("checkpoint.pt", "checkpoint.pt.before"))
    entries, damage = read(weights_folder / "record.jsonl") if has_checkpoint else ([], "")
    epoch = max((entry["epoch"] for entry in entries if entry["event"] == "epoch"), default=0)
    if (folder / "failed.json").exists():
        return Progress(FAILED, epoch, entries, reason(folder / "failed.json"))
    return Progress(UNDER_WAY if has_checkpoint else NOT_BEGUN, epoch, entries, damage)


def epochs(run: Run) -> int:
    """Count the epochs of a whole training, cooldown included."""
    return run.recipe["epochs"] + run.recipe["cooldown_epochs"]


def read(path) -> tuple[list[dict], str]:
    """Read a record's entries, and say in words what is wrong where it can't be read."""
    try:
        return records.read(path), ""
    except UserError as error:
        return [], f"left out: {error}"
    except OSError as error:
        return [], f"left out: {path} can't be read ({error.strerror})"


def reason(path) -> str:
    """Read the reason of a failure; where its file is damaged, the damage."""
    try:
        return str(atomic_files.read_json(path, "reason")["reason"])
    except UserError as error:
        return str(error)


def without_weights(campaign: Campaign, run: Run) -> str:
    """Note that a finished training's weights are not here, so that the graph would train it again; empty where they are."""
    paths = campaign.weights_file(run), campaign.folder / FOLDER / f"{run.id}.safetensors"
    if any(path.exists() for path in paths):
        return ""
    return "its weights are not here: dvc pull brings them, else the graph trains it again"
