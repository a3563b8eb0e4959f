"""Read what a campaign recorded of its runs and evaluations, checked against what it says of itself."""

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.core import atomic_files
from pipeline.core import record as records
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError


def flatten(metrics: dict) -> dict[str, float]:
    """Numbers by name; a list becomes name_1, name_2, ..., one of lists name_1_1, ..., a mapping name.key."""
    flat = {}
    for key, value in metrics.items():
        if isinstance(value, list):
            flat |= flatten({f"{key}_{i}": x for i, x in enumerate(value, start=1)})
        elif isinstance(value, dict):
            flat |= {f"{key}.{name}": x for name, x in flatten(value).items()}
        elif value is not None:
            flat[key] = float(value)
    return flat


def results_of(campaign: Campaign, run: Run) -> dict:
    """The results file of a run's evaluations."""
    return atomic_files.read_sealed(campaign.results_file(run), "weights_sha256", "evaluations")


def record_of(campaign: Campaign, run: Run) -> list[dict]:
    """A run's record. Raises UserError where it is not the one that the run ended with."""
    path, done = (campaign.run_folder(run) / name for name in ("record.jsonl", "done.json"))
    entries = records.read(path)
    if done.exists() and atomic_files.read_json(done, "record_sha256")["record_sha256"] != sha256(path):
        raise UserError(
            f"{path} is not the record that run {run.id} ended with: delete it, and it is restored from the checkpoint"
        )
    return entries


def evaluation_entries(campaign: Campaign, evaluation: Evaluation) -> list[dict]:
    """An evaluation as the only event of a record."""
    content = results_of(campaign, evaluation.run)
    try:
        found = content["evaluations"][evaluation.name]
        entry = {"event": "end", "time": float(found["time"]), "metrics": found["metrics"], "warnings": found.get("warnings", [])}
        if not all(isinstance(text, str) for text in entry["warnings"]):
            raise TypeError("warnings that are no text")
        if not evaluation.probe:
            flatten(entry["metrics"])["accuracy"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        path = campaign.results_file(evaluation.run)
        raise UserError(f"{path} lacks the numbers of {evaluation.name} ({error!r}): delete it, and it is made again") from error
    return [entry]


def weights_differ(campaign: Campaign, run: Run) -> str:
    """In words, that a run's evaluations are not of the weights that it has now; nothing where they are."""
    done = atomic_files.read_json(campaign.run_folder(run) / "done.json", "weights_sha256", "best_on_test")
    if results_of(campaign, run)["weights_sha256"] == done["weights_sha256"]:
        return ""
    file = campaign.results_file(run)
    return f"{file} was measured with other weights than run {run.id} has now: delete it, and it is measured again"


def epochs_of(campaign: Campaign, run: Run) -> list[dict]:
    return [entry for entry in record_of(campaign, run) if entry["event"] == "epoch"]
