"""How far each training of a campaign has come, from the files that it has left. Imports no torch."""

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
    """`epoch`: how many are done. `entries`: its record, empty where there is none or it is damaged. `note`: what to know of it."""

    state: str
    epoch: int = 0
    entries: list[dict] = field(default_factory=list)
    note: str = ""


def progress_of(campaign: Campaign) -> dict[str, Progress]:
    """By a run's id. A damaged file is told in the note of its run, and stops nothing."""
    return {run.id: progress(campaign, run) for run in campaign.runs}


def progress(campaign: Campaign, run: Run) -> Progress:
    folder = campaign.run_folder(run)
    if (folder / "done.json").exists():
        entries, damage = read(folder / "record.jsonl")
        return Progress(FINISHED, epochs(run), entries, damage or without_weights(campaign, run))
    begun = campaign.weights_folder(run)
    checkpoint = any((begun / name).exists() for name in ("checkpoint.pt", "checkpoint.pt.before"))
    entries, damage = read(begun / "record.jsonl") if checkpoint else ([], "")
    epoch = max((entry["epoch"] for entry in entries if entry["event"] == "epoch"), default=0)
    if (folder / "failed.json").exists():
        return Progress(FAILED, epoch, entries, reason(folder / "failed.json"))
    return Progress(UNDER_WAY if checkpoint else NOT_BEGUN, epoch, entries, damage)


def epochs(run: Run) -> int:
    """Of a whole training."""
    return run.recipe["epochs"] + run.recipe["cooldown_epochs"]


def read(path) -> tuple[list[dict], str]:
    """A record's entries, or what is wrong with it."""
    try:
        return records.read(path), ""
    except UserError as error:
        return [], f"left out: {error}"
    except OSError as error:
        return [], f"left out: {path} can't be read ({error.strerror})"


def reason(path) -> str:
    try:
        return str(atomic_files.read_json(path, "reason")["reason"])
    except UserError as error:
        return str(error)


def without_weights(campaign: Campaign, run: Run) -> str:
    """A finished training whose weights are not at hand would be trained again by the graph."""
    places = campaign.weights_file(run), campaign.folder / FOLDER / f"{run.id}.safetensors"
    if any(place.exists() for place in places):
        return ""
    return "its weights are not here: dvc pull brings them, else the graph trains it again"
