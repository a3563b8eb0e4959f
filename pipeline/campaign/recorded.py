"""Read the records and results of a campaign's runs and evaluations, checked against the sha256 kept of them."""

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Evaluation, Run
from pipeline.core import atomic_files
from pipeline.core import record as records
from pipeline.core.checksums import sha256
from pipeline.core.errors import UserError


def flatten(metrics: dict) -> dict[str, float]:
    """Flatten metrics to numbers by name: a list to name_1, name_2, ..., nested lists to name_1_1, ..., a mapping to name.key."""
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
    """Read the results file of a run's evaluations. Raises UserError where it is not as it was written."""
    return atomic_files.read_sealed(campaign.results_file(run), "weights_sha256", "evaluations")


def record_of(campaign: Campaign, run: Run) -> list[dict]:
    """Read a run's record. Raises UserError where it is not the one that the run ended with."""
    path, done = (campaign.run_folder(run) / name for name in ("record.jsonl", "done.json"))
    entries = records.read(path)
    if done.exists() and atomic_files.read_json(done, "record_sha256")["record_sha256"] != sha256(path):
        raise UserError(
            f"{path} is not the record that run {run.id} ended with: delete it, and it is restored from the checkpoint"
        )
    return entries


def evaluation_entries(campaign: Campaign, evaluation: Evaluation) -> list[dict]:
    """Read an evaluation as the one event of a record. Raises UserError where its numbers are missing or damaged."""
    content = results_of(campaign, evaluation.run)
    try:
        results = content["evaluations"][evaluation.name]
        entry = {
            "event": "end",
            "time": float(results["time"]),
            "metrics": results["metrics"],
            "warnings": results.get("warnings", []),
        }
        if not all(isinstance(text, str) for text in entry["warnings"]):
            raise TypeError("warnings that are no text")
        if not evaluation.probe:
            flatten(entry["metrics"])["accuracy"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        path = campaign.results_file(evaluation.run)
        raise UserError(f"{path} lacks the numbers of {evaluation.name} ({error!r}): delete it, and it is made again") from error
    return [entry]


def weights_differ(campaign: Campaign, run: Run) -> str:
    """Say that a run was evaluated with other weights than it has now, and what to do; an empty string where it wasn't."""
    done = atomic_files.read_json(campaign.run_folder(run) / "done.json", "weights_sha256", "best_on_test")
    if results_of(campaign, run)["weights_sha256"] == done["weights_sha256"]:
        return ""
    path = campaign.results_file(run)
    return f"{path} was measured with other weights than run {run.id} has now: delete it, and it is measured again"


def epochs_of(campaign: Campaign, run: Run) -> list[dict]:
    """Read the epoch events of a run's record."""
    return [entry for entry in record_of(campaign, run) if entry["event"] == "epoch"]
